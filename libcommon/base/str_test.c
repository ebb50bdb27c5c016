#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static void test_numbers(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                bool ok;
                int64_t value;
        } rows[] = {
                { "0", true, 0 },
                { "-0", true, 0 },
                { "+7", true, 7 },
                { "9223372036854775807", true, INT64_MAX },
                { "-9223372036854775808", true, INT64_MIN },
                { "9223372036854775808", false, 0 },
                { "-9223372036854775809", false, 0 },
                { "99999999999999999999", false, 0 },
                { "", false, 0 },
                { "-", false, 0 },
                { "1 ", false, 0 },
                { " 1", false, 0 },
                { "0x1", false, 0 },
                { "1.0", false, 0 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                int64_t value = 0;

                assert_int_equal(cm_str_to_int(cm_str_from(rows[i].text), &value), rows[i].ok);
                assert_true(value == rows[i].value);
        }
}

static void test_split_and_trim(void **state CM_UNUSED)
{
        struct cm_str rest = CM_STR("a,,b"), part;

        assert_true(cm_str_split(&rest, ',', &part) && cm_str_equal(part, CM_STR("a")));
        assert_true(cm_str_split(&rest, ',', &part) && part.len == 0);
        assert_true(cm_str_split(&rest, ',', &part) && cm_str_equal(part, CM_STR("b")));
        assert_false(cm_str_split(&rest, ',', &part));
        assert_true(cm_str_equal(cm_str_trim(CM_STR(" \t x y \r\n")), CM_STR("x y")));
        assert_int_equal(cm_str_trim(CM_STR("  ")).len, 0);
        assert_true(cm_str_equal_nocase(CM_STR("ÄbC"), CM_STR("ÄBc")));
        assert_false(cm_str_equal_nocase(CM_STR("a["), CM_STR("a{")));
        assert_true(cm_str_starts(CM_STR("abc"), CM_STR("ab")));
        assert_false(cm_str_starts(CM_STR("a"), CM_STR("ab")));
}

/* After table 3-7 of the Unicode standard: each edge, inside and outside. */
static void test_utf8(void **state CM_UNUSED)
{
        static const struct {
                const char *bytes;
                bool ok;
        } rows[] = {
                { "", true },
                { "plain ascii, longer than eight bytes", true },
                { "\xC2\x80", true },
                { "\xDF\xBF", true },
                { "\xC1\xBF", false },
                { "\xC0\x80", false },
                { "\xE0\xA0\x80", true },
                { "\xE0\x9F\xBF", false },
                { "\xED\x9F\xBF", true },
                { "\xED\xA0\x80", false },
                { "\xEE\x80\x80", true },
                { "\xF0\x90\x80\x80", true },
                { "\xF0\x8F\xBF\xBF", false },
                { "\xF4\x8F\xBF\xBF", true },
                { "\xF4\x90\x80\x80", false },
                { "\xF5\x80\x80\x80", false },
                { "\x80", false },
                { "12345678\xC3", false },
                { "\xE2\x82", false },
                { "\xE2\x28\xA1", false },
                { "\xF0\x9F\x98\x80 ok", true },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_int_equal(cm_utf8_is_valid(cm_str_from(rows[i].bytes)), rows[i].ok);
        assert_int_equal(cm_utf8_length(CM_STR("שלום!")), 5);
}

static void test_base64(void **state CM_UNUSED)
{
        static const char *const cases[][2] = { { "", "" },
                                                { "f", "Zg==" },
                                                { "fo", "Zm8=" },
                                                { "foo", "Zm9v" },
                                                { "\xfb\xff", "+/8=" } };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct cm_buf out = { 0 };

                cm_buf_add_str(&out, CM_STR("x"));
                cm_base64_encode(cases[i][0], strlen(cases[i][0]), &out);
                assert_string_equal(out.data + 1, cases[i][1]);
                cm_buf_deinit(&out);
        }
}

static void test_base64url(void **state CM_UNUSED)
{
        /* RFC 4648 section 10, without padding. */
        static const char *const rows[][2] = {
                { "", "" },
                { "f", "Zg" },
                { "fo", "Zm8" },
                { "foo", "Zm9v" },
                { "foob", "Zm9vYg" },
                { "fooba", "Zm9vYmE" },
                { "foobar", "Zm9vYmFy" },
                { "\xfb\xff", "-_8" },
        };
        static const char *const refused[] = { "Z", "Zg==", "Zh", "Zm9", "Zm 8", "+_8", "Zm8\n" };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                cm_buf_reset(&out);
                cm_base64url_encode(rows[i][0], strlen(rows[i][0]), &out);
                assert_true(cm_str_equal(cm_buf_str(&out), cm_str_from(rows[i][1])));
                cm_buf_reset(&out);
                assert_true(cm_base64url_decode(cm_str_from(rows[i][1]), &out));
                assert_true(cm_str_equal(cm_buf_str(&out), cm_str_from(rows[i][0])));
        }
        for (size_t i = 0; i < CM_COUNT(refused); i++) {
                cm_buf_reset(&out);
                assert_false(cm_base64url_decode(cm_str_from(refused[i]), &out));
        }
}

static void test_buffer(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf buf = { 0 };
        char hex[7];

        assert_string_equal(cm_buf_str(&buf).data, "");
        for (int i = 0; i < 1000; i++)
                cm_buf_printf(&buf, "%d,", i);
        assert_int_equal(buf.len, 3890);
        cm_buf_consume(&buf, 3886);
        assert_string_equal(buf.data, "999,");
        cm_buf_consume(&buf, 4);
        cm_buf_add_char(&buf, '!');
        assert_string_equal(buf.data, "!");
        cm_hex_encode("\x00\xAB\xFF", 3, hex);
        assert_string_equal(hex, "00abff");
        assert_true(cm_equal_secret("abc", "abc", 3));
        assert_false(cm_equal_secret("abc", "abd", 3));
}

static void test_decimal(void **state CM_UNUSED)
{
        static const struct {
                int64_t value;
                const char *text;
        } rows[] = { { 0, "0" },
                     { 7, "7" },
                     { -10, "-10" },
                     { INT64_MAX, "9223372036854775807" },
                     { INT64_MIN, "-9223372036854775808" } };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf buf = { 0 };
                char text[CM_INT_TEXT_SIZE];

                assert_int_equal(cm_int_format(rows[i].value, text), strlen(rows[i].text));
                assert_string_equal(text, rows[i].text);
                cm_buf_add_int(&buf, rows[i].value);
                assert_string_equal(buf.data, rows[i].text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers),   cmocka_unit_test(test_split_and_trim),
                cmocka_unit_test(test_utf8),      cmocka_unit_test(test_base64),
                cmocka_unit_test(test_base64url), cmocka_unit_test(test_buffer),
                cmocka_unit_test(test_decimal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
