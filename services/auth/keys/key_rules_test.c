#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "key_rules.h"

/* Times in seconds; now is 1,000. A key signs for 100 s, is announced 10 s before, published 20 s
 * after. */
#define NOW 1000

static const struct key_schedule schedule = { 100 * CM_SECOND, 10 * CM_SECOND, 20 * CM_SECOND };

struct row {
        const char *name;
        struct stored_key keys[3];
        bool untold;
        enum key_step want;
        int which; /* index, -1: none */
};

#define ACTIVE(at)                                                                                 \
        {                                                                                          \
                .state = KEY_ACTIVE, .activated_at = (at)*CM_SECOND                                \
        }
#define ANNOUNCED(at)                                                                              \
        {                                                                                          \
                .state = KEY_ANNOUNCED, .announced_at = (at)*CM_SECOND                             \
        }
#define RETIRED(until)                                                                             \
        {                                                                                          \
                .state = KEY_RETIRED, .published_until = (until)*CM_SECOND                         \
        }
#define NO_KEY                                                                                     \
        {                                                                                          \
                .state = 0                                                                         \
        }
#define KEYS(...)                                                                                  \
        {                                                                                          \
                __VA_ARGS__                                                                        \
        }

static size_t count_of(const struct row *row)
{
        size_t count = 0;

        while (count < CM_COUNT(row->keys) && row->keys[count].state)
                count++;
        return count;
}

static void steps(void **state CM_UNUSED)
{
        static const struct row rows[] = {
                { "an empty database", KEYS(NO_KEY), false, KEY_STEP_MAKE, -1 },
                { "the same without Redis", KEYS(NO_KEY), true, KEY_STEP_MAKE, -1 },
                { "the active one is gone", KEYS(RETIRED(1010)), false, KEY_STEP_MAKE, -1 },
                { "the active one is gone and there is a next", KEYS(ANNOUNCED(0)), true,
                  KEY_STEP_ACTIVATE, 0 },
                { "a young key", KEYS(ACTIVE(911)), false, KEY_STEP_NONE, -1 },
                { "time to announce the next", KEYS(ACTIVE(910)), false, KEY_STEP_ANNOUNCE, -1 },
                { "the same without Redis", KEYS(ACTIVE(910)), true, KEY_STEP_ANNOUNCE, -1 },
                { "overdue", KEYS(ACTIVE(1)), false, KEY_STEP_ANNOUNCE, -1 },
                { "not told yet", KEYS(ACTIVE(1), ANNOUNCED(0)), false, KEY_STEP_NONE, -1 },
                { "told too late", KEYS(ACTIVE(1), ANNOUNCED(991)), false, KEY_STEP_NONE, -1 },
                { "told long enough ago", KEYS(ACTIVE(1), ANNOUNCED(990)), false, KEY_STEP_ACTIVATE,
                  1 },
                { "but Redis is gone", KEYS(ACTIVE(1), ANNOUNCED(990)), true, KEY_STEP_NONE, -1 },
                { "by command, long before its time", KEYS(ACTIVE(989), ANNOUNCED(990)), false,
                  KEY_STEP_ACTIVATE, 1 },
                { "a retired one has tokens", KEYS(RETIRED(1001), ACTIVE(990)), false,
                  KEY_STEP_NONE, -1 },
                { "a retired one has none", KEYS(RETIRED(1000), ACTIVE(990)), false, KEY_STEP_END,
                  0 },
                { "also without Redis", KEYS(RETIRED(1000), ACTIVE(990)), true, KEY_STEP_END, 0 },
                { "the second retired one", KEYS(RETIRED(1001), RETIRED(999), ACTIVE(990)), false,
                  KEY_STEP_END, 1 },
                { "use comes before tidying", KEYS(RETIRED(1), ACTIVE(1), ANNOUNCED(1)), false,
                  KEY_STEP_ACTIVATE, 2 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct stored_key keys[3];
                const struct stored_key *which = NULL;
                const struct key_list list = { keys, count_of(&rows[i]), NOW * CM_SECOND };
                enum key_step got;

                for (size_t k = 0; k < 3; k++)
                        keys[k] = rows[i].keys[k];
                got = key_rules_next(&list, &schedule, !rows[i].untold, &which);
                if (got != rows[i].want ||
                    which != (rows[i].which < 0 ? NULL : &keys[rows[i].which]))
                        fail_msg("%s: %s", rows[i].name, key_step_name((int)got));
        }
}

/* However often somebody asks: the set that others read has an end. */
static void room(void **state CM_UNUSED)
{
        struct stored_key keys[KEYS_PUBLISHED_MAX + 1] = { ACTIVE(1) };
        const struct stored_key *which;
        struct key_list list = { keys, KEYS_PUBLISHED_MAX - 1, NOW * CM_SECOND };

        for (size_t i = 1; i < CM_COUNT(keys); i++)
                keys[i] = (struct stored_key)RETIRED(2000);
        assert_true(key_rules_has_room(&list));
        assert_int_equal(key_rules_next(&list, &schedule, true, &which), KEY_STEP_ANNOUNCE);
        list.count++;
        assert_false(key_rules_has_room(&list));
        assert_int_equal(key_rules_next(&list, &schedule, true, &which), KEY_STEP_NONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(steps),
                cmocka_unit_test(room),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
