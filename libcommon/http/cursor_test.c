#include "http/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct cm_arena arena;
static struct cm_cursor_key key;

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 1024);
        cm_cursor_key_init(&key, CM_STR("a secret"));
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

static void test_a_cursor_opens_where_it_was_made(void **state CM_UNUSED)
{
        const struct cm_str place = { "a\0b\xff", 4 };
        struct cm_str text = cm_cursor_seal(&key, CM_STR("list\nuser"), place, &arena), opened;
        struct cm_cursor_key same, other;

        cm_cursor_key_init(&same, CM_STR("a secret"));
        cm_cursor_key_init(&other, CM_STR("another"));
        opened = cm_cursor_open(&same, CM_STR("list\nuser"), text, &arena);
        assert_true(cm_str_equal(opened, place));
        assert_null(cm_cursor_open(&other, CM_STR("list\nuser"), text, &arena).data);
        assert_null(cm_cursor_open(&key, CM_STR("list\nuse"), text, &arena).data);
        assert_null(cm_cursor_open(&key, CM_STR(""), text, &arena).data);
}

static void test_no_character_can_be_changed(void **state CM_UNUSED)
{
        struct cm_str text = cm_cursor_seal(&key, CM_STR("x"), CM_STR("place"), &arena);
        char *copy = (char *)text.data;

        for (size_t i = 0; i < text.len; i++) {
                char before = copy[i];

                copy[i] = before == 'A' ? 'B' : 'A';
                assert_null(cm_cursor_open(&key, CM_STR("x"), text, &arena).data);
                copy[i] = before;
                assert_null(
                        cm_cursor_open(&key, CM_STR("x"), (struct cm_str){ text.data, i }, &arena)
                                .data);
        }
        assert_non_null(cm_cursor_open(&key, CM_STR("x"), text, &arena).data);
}

static void test_what_binds_and_what_is_bound_do_not_mix(void **state CM_UNUSED)
{
        struct cm_str text = cm_cursor_seal(&key, CM_STR("ab"), CM_STR("c"), &arena);

        assert_null(cm_cursor_open(&key, CM_STR("a"), text, &arena).data);
        assert_null(cm_cursor_open(&key, CM_STR("abc"), text, &arena).data);
}

static void test_empty_and_endless(void **state CM_UNUSED)
{
        char endless[5000];

        memset(endless, 'A', sizeof(endless));
        assert_null(cm_cursor_open(&key, CM_STR("x"), CM_STR(""), &arena).data);
        assert_null(cm_cursor_open(&key, CM_STR("x"), (struct cm_str){ endless, sizeof(endless) },
                                   &arena)
                            .data);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_a_cursor_opens_where_it_was_made),
                T(test_no_character_can_be_changed),
                T(test_what_binds_and_what_is_bound_do_not_mix),
                T(test_empty_and_endless),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
