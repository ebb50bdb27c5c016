#include "service/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Rules; that sets travel is tried in tests/integration/test_flags.py. */

static struct cm_uuid person(unsigned number)
{
        return (struct cm_uuid){ { 1, (uint8_t)(number >> 8), (uint8_t)number } };
}

static unsigned count_on(const struct flag_set_item *flag, unsigned people)
{
        unsigned on = 0;

        for (unsigned i = 0; i < people; i++) {
                struct cm_uuid id = person(i);

                on += cm_flag_is_on(flag, &id);
        }
        return on;
}

static void shares(void **state CM_UNUSED)
{
        static const struct {
                double share;
                unsigned least, most; /* of 10,000; five standard deviations */
        } rows[] = { { 0, 0, 0 },        { 1, 50, 150 },         { 10, 850, 1150 },
                     { 50, 4750, 5250 }, { 99.99, 9990, 10000 }, { 100, 10000, 10000 } };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                const struct flag_set_item flag = { .key = CM_STR("a.flag"),
                                                    .enabled = true,
                                                    .share = rows[i].share };
                unsigned on = count_on(&flag, 10000);

                if (on < rows[i].least || on > rows[i].most)
                        fail_msg("%g: %u", rows[i].share, on);
        }
}

/* The hash is a promise: another one would exchange the people of every share. */
static void shares_are_the_same_for_ever(void **state CM_UNUSED)
{
        const struct flag_set_item flag = { .key = CM_STR("a.flag"), .enabled = true, .share = 50 };
        static const bool want[16] = { false, false, true, false, false, true,  false, true,
                                       false, true,  true, false, true,  false, false, false };

        for (unsigned i = 0; i < CM_COUNT(want); i++) {
                struct cm_uuid id = person(i);

                assert_int_equal(cm_flag_is_on(&flag, &id), want[i]);
        }
}

static void who_is_in_stays_in(void **state CM_UNUSED)
{
        for (unsigned i = 0; i < 1000; i++) {
                struct flag_set_item flag = { .key = CM_STR("a.flag"), .enabled = true };
                struct cm_uuid id = person(i);
                bool before = false;

                for (flag.share = 0; flag.share <= 100; flag.share += 5) {
                        bool now = cm_flag_is_on(&flag, &id);

                        assert_true(now || !before);
                        before = now;
                }
        }
}

static void flags_draw_different_people(void **state CM_UNUSED)
{
        const struct flag_set_item one = { .key = CM_STR("one"), .enabled = true, .share = 50 };
        const struct flag_set_item two = { .key = CM_STR("two"), .enabled = true, .share = 50 };
        unsigned both = 0;

        for (unsigned i = 0; i < 10000; i++) {
                struct cm_uuid id = person(i);

                both += cm_flag_is_on(&one, &id) && cm_flag_is_on(&two, &id);
        }
        assert_in_range(both, 2283, 2717);
}

static void named_people(void **state CM_UNUSED)
{
        struct cm_uuid named = person(7), other = person(8);
        struct flag_set_item flag = { .key = CM_STR("a.flag"), .users = { &named, 1 } };

        assert_false(cm_flag_is_on(&flag, &named));
        flag.enabled = true;
        assert_true(cm_flag_is_on(&flag, &named));
        assert_false(cm_flag_is_on(&flag, &other));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(shares),
                cmocka_unit_test(shares_are_the_same_for_ever),
                cmocka_unit_test(who_is_in_stays_in),
                cmocka_unit_test(flags_draw_different_people),
                cmocka_unit_test(named_people),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
