#include "passwords.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/time.h"
#include "sys/fiber.h"
#include "sys/loop.h"

static const struct cm_str pepper = { "a pepper of the house, long enough", 34 };
static const struct cm_str other_pepper = { "another pepper, long enough as well", 35 };

static struct passwords *with(int cost, struct cm_str first, struct cm_str second)
{
        const struct passwords_config config = {
                .peppers = { first, second },
                .pepper_count = second.data ? 2 : 1,
                .cost = cost,
                .max_memory = 64 << 20,
                .threads = 1,
                .max_queued = 4,
        };
        struct passwords *passwords = NULL;

        assert_int_equal(passwords_new(&config, &passwords), 0);
        return passwords;
}

static int set_up(void **state)
{
        *state = with(4, pepper, CM_STR_NONE);
        return 0;
}

static int tear_down(void **state)
{
        struct passwords *passwords = *state;

        passwords_free(&passwords);
        return 0;
}

static struct cm_str make(const struct passwords *passwords, struct cm_buf *hash,
                          struct cm_str password)
{
        assert_true(password_make(passwords, password, hash));
        return cm_buf_str(hash);
}

static void keeps_places_for_as_many_as_there_is_room_for(void **state)
{
        struct hash_place places[6];

        for (int i = 0; i < 5; i++) /* one is hashed, four wait */
                assert_true(passwords_keep_place(*state, &places[i]));
        assert_false(passwords_keep_place(*state, &places[5]));
        hash_place_leave(&places[5]); /* has none */
        assert_false(passwords_keep_place(*state, &places[5]));
        hash_place_leave(&places[2]);
        hash_place_leave(&places[2]);
        assert_true(passwords_keep_place(*state, &places[5]));
        assert_false(passwords_keep_place(*state, &places[2]));
}

static void tells_right_from_wrong(void **state)
{
        static const struct {
                struct cm_str set;
                struct cm_str tried;
                int expected;
        } rows[] = {
                { CM_STR("correct horse"), CM_STR("correct horse"), 0 },
                { CM_STR("correct horse"), CM_STR("correct hors"), PASSWORD_WRONG },
                { CM_STR("correct horse"), CM_STR("Correct horse"), PASSWORD_WRONG },
                { CM_STR("correct horse"), CM_STR("correct horse "), PASSWORD_WRONG },
                { CM_STR("correct horse"), CM_STR(""), PASSWORD_WRONG },
                { CM_STR("\xd7\xa1\xd7\x95\xd7\x93"), CM_STR("\xd7\xa1\xd7\x95\xd7\x93"), 0 },
                /* é composed and decomposed: as given */
                { CM_STR("caf\xc3\xa9 au lait"), CM_STR("cafe\xcc\x81 au lait"), PASSWORD_WRONG },
                { CM_STR("before\0after"), CM_STR("before\0other"), PASSWORD_WRONG },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };

                make(*state, &hash, rows[i].set);
                assert_int_equal(password_compare(*state, rows[i].tried, cm_buf_str(&hash)),
                                 rows[i].expected);
        }
}

static void cuts_nothing_off(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };
        char password[1024];

        memset(password, 'x', sizeof(password));
        make(*state, &hash, (struct cm_str){ password, sizeof(password) });
        password[sizeof(password) - 1] = 'y';
        assert_int_equal(password_compare(*state, (struct cm_str){ password, sizeof(password) },
                                          cm_buf_str(&hash)),
                         PASSWORD_WRONG);
}

static void says_what_it_is(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf a = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf b = { 0 };

        make(*state, &a, CM_STR("one password"));
        make(*state, &b, CM_STR("one password"));
        assert_true(cm_str_starts(cm_buf_str(&a), CM_STR("$s1$")));
        assert_memory_equal(a.data + 12, "$2b$04$", 7);
        assert_memory_equal(a.data, b.data, 12); /* the same pepper */
        assert_string_not_equal(a.data, b.data);
}

/* Another cost, another pepper, nobody's pepper, an imported hash. */
static void tells_what_is_outdated(void **state)
{
        static const struct cm_str right = CM_STR("one password"), wrong = CM_STR("two password");
        static const struct cm_str imported =
                CM_STR("$2a$04$.nFlxYkbFeC2zQzmeEoZKeNJzh4Fvpz1GV.FkuTbC8fOeEmQyhcxi");
        CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };
        struct passwords *dearer = with(6, pepper, CM_STR_NONE);
        struct passwords *rotated = with(4, other_pepper, pepper);
        struct passwords *stranger = with(4, other_pepper, CM_STR_NONE);

        make(*state, &hash, right);
        assert_int_equal(password_compare(*state, right, cm_buf_str(&hash)), 0);
        assert_int_equal(password_compare(dearer, right, cm_buf_str(&hash)), PASSWORD_OUTDATED);
        assert_int_equal(password_compare(dearer, wrong, cm_buf_str(&hash)), PASSWORD_WRONG);
        assert_int_equal(password_compare(rotated, right, cm_buf_str(&hash)), PASSWORD_OUTDATED);
        assert_int_equal(password_compare(rotated, wrong, cm_buf_str(&hash)), PASSWORD_WRONG);
        assert_int_equal(password_compare(stranger, right, cm_buf_str(&hash)), PASSWORD_WRONG);
        assert_int_equal(password_compare(*state,
                                          CM_STR("\xd7\xa1\xd7\x99\xd7\xa1\xd7\x9e\xd7\x94 "
                                                 "\xd7\x90\xd7\xa8\xd7\x95\xd7\x9b\xd7\x94 "
                                                 "\xd7\x9e\xd7\x90\xd7\x95\xd7\x93"),
                                          imported),
                         PASSWORD_OUTDATED);
        assert_int_equal(password_compare(*state, right, imported), PASSWORD_WRONG);
        passwords_free(&dearer);
        passwords_free(&rotated);
        passwords_free(&stranger);
}

/* Nobody is let in, and nothing breaks. */
static void nothing_fits_what_is_no_hash(void **state)
{
        static const struct cm_str rows[] = {
                CM_STR_NONE,
                CM_STR(""),
                CM_STR("!"),
                CM_STR("$s1"),
                CM_STR("$s1$"),
                CM_STR("$s1$01234567"),
                CM_STR("$s1$01234567$2b$04$"),
                CM_STR("$s2$01234567$2b$04$abcdefghijklmnopqrstuu"),
                CM_STR("$2b$04$abcdefghijklmnopqrstuu"),
                CM_STR("$s1$01234567$2b$xx$abcdefghijklmnopqrstuu"),
                CM_STR("x"),
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                assert_int_equal(password_compare(*state, CM_STR("x"), rows[i]), PASSWORD_WRONG);
                assert_int_equal(password_compare(*state, CM_STR(""), rows[i]), PASSWORD_WRONG);
        }
}

struct story {
        struct cm_loop *loop;
        int good, bad, nobody, imported;
        int64_t took_us;
};

static void story_fiber(void *arg)
{
        static const struct cm_str imported =
                CM_STR("$2a$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW");
        static const struct cm_str right = CM_STR("correct horse battery staple");
        struct story *story = arg;
        struct passwords *passwords = with(4, pepper, CM_STR_NONE);
        struct cm_str hash = CM_STR_NONE;
        struct cm_arena arena;
        int64_t start_us;

        cm_arena_init(&arena, 1024);
        assert_int_equal(passwords_hash(passwords, &arena, right, &hash), 0);
        story->good = passwords_check(passwords, right, hash);
        story->bad = passwords_check(passwords, CM_STR("two password"), hash);
        story->nobody = passwords_check(passwords, right, CM_STR_NONE);
        story->imported = passwords_check(passwords, right, imported);
        passwords_pad(passwords, 100 * CM_MILLISECOND);
        start_us = cm_monotonic_us();
        story->bad += passwords_check(passwords, CM_STR("two password"), hash) - PASSWORD_WRONG;
        story->took_us = cm_monotonic_us() - start_us;
        passwords_free(&passwords);
        cm_arena_deinit(&arena);
        cm_loop_stop(story->loop);
}

static void start_story(void *arg)
{
        assert_int_equal(cm_fiber_start("story", story_fiber, arg, CM_NEVER), 0);
}

static void hashes_on_its_lane(void **state)
{
        struct cm_fiber_pool_config pool = { .stack_size = 65536,
                                             .max_fibers = 4,
                                             .keep_stacks = 1 };
        struct story story = { .good = -1, .imported = -1 };

        (void)state;
        assert_int_equal(cm_loop_new(&story.loop), 0);
        assert_int_equal(cm_fiber_pool_init(story.loop, &pool), 0);
        cm_loop_post(story.loop, start_story, &story);
        cm_loop_run(story.loop);
        cm_fiber_pool_deinit(story.loop);
        cm_loop_free(&story.loop);
        assert_int_equal(story.good, 0);
        assert_int_equal(story.bad, PASSWORD_WRONG);
        assert_int_equal(story.nobody, PASSWORD_WRONG);
        assert_int_equal(story.imported, PASSWORD_OUTDATED);
        assert_true(story.took_us >= 100 * CM_MILLISECOND);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(keeps_places_for_as_many_as_there_is_room_for),
                cmocka_unit_test(tells_right_from_wrong),
                cmocka_unit_test(cuts_nothing_off),
                cmocka_unit_test(says_what_it_is),
                cmocka_unit_test(tells_what_is_outdated),
                cmocka_unit_test(nothing_fits_what_is_no_hash),
                cmocka_unit_test(hashes_on_its_lane),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
