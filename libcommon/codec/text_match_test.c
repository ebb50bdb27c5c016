#include "codec/text_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static const struct {
        const char *source, *folded;
} rows[] = {
        { "", "" },
        { "Don\u2019t STOP", "don't stop" },
        { "caf\u00e9 cafe\u0301", "cafe cafe" },
        { "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "שלומ" },
        { "\ufb2a", "ש" },
        { "ק\u05f4מ ק\u201dמ", "ק\"מ ק\"מ" },
        { "\u200fמת\u200e\u202b", "מת" },
        { "k\u200bill", "kill" },
        { "\u043a\u0456ll", "kill" },
        { "\u041aILL", "kill" },
        { "\uff4b\uff49\uff4c\uff4c", "kill" },
        { "\U0001d424\U0001d422\U0001d425\U0001d425", "kill" },
        { "\u1d0b\u026a\u029f\u029f", "kill" },
        { "3\u00d710 \u2014 \u00bd", "3x10 - 1/2" },
        { "א\u05beב", "א-ב" },
        { "\u2026", "..." },
        { "\U0001f600", "\U0001f600" },
};

static void test_folds(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_match_text match;
                struct cm_arena arena;

                cm_arena_init(&arena, 4096);
                assert_true(cm_text_match(&arena, cm_str_from(rows[i].source), &match));
                assert_string_equal(match.text.data, rows[i].folded);
                assert_int_equal(match.text.len, strlen(rows[i].folded));
                assert_int_equal(match.at[match.text.len], strlen(rows[i].source));
                cm_arena_deinit(&arena);
        }
}

static void test_knows_where_it_came_from(void **state CM_UNUSED)
{
        struct cm_match_text match;
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        assert_true(cm_text_match(&arena, CM_STR("a\u2026\u05d5\u05b9b"), &match));
        assert_string_equal(match.text.data, "a...\u05d5b");
        assert_int_equal(match.at[0], 0);
        assert_int_equal(match.at[1], 1);
        assert_int_equal(match.at[3], 1);
        assert_int_equal(match.at[4], 4);
        assert_int_equal(match.at[6], 8);
        cm_arena_deinit(&arena);
}

static void test_refuses_what_is_not_utf8(void **state CM_UNUSED)
{
        struct cm_match_text match;
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        assert_false(cm_text_match(&arena, CM_STR("a\xc3"), &match));
        assert_false(cm_text_match(&arena, CM_STR("\xed\xa0\x80"), &match));
        cm_arena_deinit(&arena);
}

/* Every code point folds to well-formed text, and what was folded folds to itself. */
static void test_all_code_points(void **state CM_UNUSED)
{
        struct cm_arena arena;

        cm_arena_init(&arena, 65536);
        for (uint32_t c = 1; c < 0x30000; c++) {
                struct cm_match_text once, twice;
                char bytes[4];
                struct cm_str one = { bytes, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4 };

                if (c >= 0xd800 && c < 0xe000)
                        continue;
                bytes[one.len - 1] = (char)(one.len == 1 ? c : 0x80 | (c & 0x3f));
                if (one.len == 2)
                        bytes[0] = (char)(0xc0 | c >> 6);
                if (one.len == 3) {
                        bytes[0] = (char)(0xe0 | c >> 12);
                        bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
                }
                if (one.len == 4) {
                        bytes[0] = (char)(0xf0 | c >> 18);
                        bytes[1] = (char)(0x80 | (c >> 12 & 0x3f));
                        bytes[2] = (char)(0x80 | (c >> 6 & 0x3f));
                }
                cm_arena_reset(&arena);
                assert_true(cm_text_match(&arena, one, &once));
                assert_true(cm_text_match(&arena, once.text, &twice));
                if (!cm_str_equal(once.text, twice.text))
                        fail_msg("U+%04X folds to %s, and that to %s", c, once.text.data,
                                 twice.text.data);
        }
        cm_arena_deinit(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_folds),
                cmocka_unit_test(test_knows_where_it_came_from),
                cmocka_unit_test(test_refuses_what_is_not_utf8),
                cmocka_unit_test(test_all_code_points),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
