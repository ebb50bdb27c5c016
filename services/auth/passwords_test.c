#include "passwords.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "sys/fiber.h"
#include "sys/loop.h"

static const struct cm_str pepper = { "a pepper of the house, long enough", 34 };

static struct cm_str make(struct cm_buf *hash, struct cm_str password)
{
        assert_true(password_make(pepper, 4, password, hash));
        return cm_buf_str(hash);
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

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };

                make(&hash, rows[i].set);
                assert_int_equal(password_compare(pepper, 4, rows[i].tried, cm_buf_str(&hash)),
                                 rows[i].expected);
        }
}

static void cuts_nothing_off(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };
        char password[1024];

        (void)state;
        memset(password, 'x', sizeof(password));
        make(&hash, (struct cm_str){ password, sizeof(password) });
        password[sizeof(password) - 1] = 'y';
        assert_int_equal(password_compare(pepper, 4, (struct cm_str){ password, sizeof(password) },
                                          cm_buf_str(&hash)),
                         PASSWORD_WRONG);
}

static void says_what_it_is(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf a = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf b = { 0 };

        (void)state;
        make(&a, CM_STR("one password"));
        make(&b, CM_STR("one password"));
        assert_true(cm_str_starts(cm_buf_str(&a), CM_STR("$s1$2b$04$")));
        assert_string_not_equal(a.data, b.data);
}

static void another_cost_is_outdated(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };

        (void)state;
        make(&hash, CM_STR("one password"));
        assert_int_equal(password_compare(pepper, 5, CM_STR("one password"), cm_buf_str(&hash)),
                         PASSWORD_OUTDATED);
        assert_int_equal(password_compare(pepper, 5, CM_STR("two password"), cm_buf_str(&hash)),
                         PASSWORD_WRONG);
}

static void needs_the_pepper(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf hash = { 0 };

        (void)state;
        make(&hash, CM_STR("one password"));
        assert_int_equal(password_compare(CM_STR("another pepper"), 4, CM_STR("one password"),
                                          cm_buf_str(&hash)),
                         PASSWORD_WRONG);
}

static void foreign_forms_are_errors(void **state)
{
        static const struct cm_str rows[] = {
                CM_STR(""),
                CM_STR("$s1"),
                CM_STR("$s1$2b$"),
                CM_STR("$s2$2b$04$abcdefghijklmnopqrstuu"),
                CM_STR("$2b$04$abcdefghijklmnopqrstuu"),
                CM_STR("$s1$2b$xx$abcdefghijklmnopqrstuu"),
                CM_STR("$s1$2b$04$tooshort"),
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_int_equal(password_compare(pepper, 4, CM_STR("x"), rows[i]), -CM_E_INTERNAL);
}

struct story {
        struct cm_loop *loop;
        int good, bad, nobody;
};

static void story_fiber(void *arg)
{
        struct story *story = arg;
        struct passwords_config config = {
                .pepper = pepper, .cost = 4, .threads = 1, .max_queued = 4
        };
        struct passwords *passwords = NULL;
        struct cm_arena arena;
        struct cm_str hash = CM_STR_NONE;

        cm_arena_init(&arena, 1024);
        assert_int_equal(passwords_new(&config, &passwords), 0);
        assert_int_equal(passwords_hash(passwords, &arena, CM_STR("one password"), &hash), 0);
        story->good = passwords_check(passwords, CM_STR("one password"), hash);
        story->bad = passwords_check(passwords, CM_STR("two password"), hash);
        story->nobody = passwords_check(passwords, CM_STR("one password"), CM_STR_NONE);
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
        struct story story = { .good = -1, .bad = -1, .nobody = -1 };

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
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(tells_right_from_wrong),
                cmocka_unit_test(cuts_nothing_off),
                cmocka_unit_test(says_what_it_is),
                cmocka_unit_test(another_cost_is_outdated),
                cmocka_unit_test(needs_the_pepper),
                cmocka_unit_test(foreign_forms_are_errors),
                cmocka_unit_test(hashes_on_its_lane),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
