#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_zero(const char *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (bytes[i])
                        return false;
        return true;
}

static void test_pieces_are_zeroed_aligned_and_apart(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;

        cm_arena_init(&arena, 1024);
        for (int round = 0; round < 3; round++) {
                char *last = NULL;

                for (size_t size = 1; size < 3000; size = size * 2 + 1) {
                        char *piece = cm_arena_alloc(&arena, size);

                        assert_true(is_zero(piece, size));
                        assert_int_equal((uintptr_t)piece % 16, 0);
                        memset(piece, 0xAA, size);
                        assert_true(!last || last[0] == (char)0xAA);
                        last = piece;
                }
                cm_arena_reset(&arena);
                assert_int_equal(arena.used, 0);
        }
}

static void test_text(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;
        struct cm_str copy;

        cm_arena_init(&arena, 64);
        copy = cm_arena_str(&arena, (struct cm_str){ "abcdef", 3 });
        assert_string_equal(copy.data, "abc");
        assert_null(cm_arena_str(&arena, CM_STR_NONE).data);
        copy = cm_arena_printf(&arena, "%s-%d", "x", 42);
        assert_string_equal(copy.data, "x-42");
        assert_int_equal(copy.len, 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pieces_are_zeroed_aligned_and_apart),
                cmocka_unit_test(test_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
