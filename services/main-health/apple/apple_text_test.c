#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apple_text.h"
#include "base/attr.h"

static void test_times(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                const char *utc; /* NULL: refused */
                int offset;
        } cases[] = {
                { "2014-09-13 10:27:54 +0100", "2014-09-13T09:27:54Z", 60 },
                { "2024-03-31 03:00:00 +0200", "2024-03-31T01:00:00Z", 120 },
                { "2024-02-29 23:59:59 -0930", "2024-03-01T09:29:59Z", -570 },
                { "1969-12-31 23:59:59 +0000", "1969-12-31T23:59:59Z", 0 },
                { "0001-01-01 00:00:00 +0000", "0001-01-01T00:00:00Z", 0 },
                { "9999-12-31 23:59:59 +0545", "9999-12-31T18:14:59Z", 345 },
                { "0000-01-01 00:00:00 +0000", NULL, 0 },
                { "2023-02-29 00:00:00 +0000", NULL, 0 },
                { "2024-13-01 00:00:00 +0000", NULL, 0 },
                { "2024-01-01 24:00:00 +0000", NULL, 0 },
                { "2024-01-01 00:60:00 +0000", NULL, 0 },
                { "2024-01-01 00:00:60 +0000", NULL, 0 },
                { "2024-01-01 00:00:00 +1900", NULL, 0 },
                { "2024-01-01 00:00:00 +0060", NULL, 0 },
                { "2024-01-01 00:00:00 00000", NULL, 0 },
                { "2024-01-01T00:00:00 +0000", NULL, 0 },
                { "2024-01-01 00:00:00 +000", NULL, 0 },
                { "2024-01-01 00:00:00 +00000", NULL, 0 },
                { "", NULL, 0 },
        };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                char text[CM_TIME_TEXT_SIZE];
                cm_time time;
                int offset;
                bool parsed = apple_time_parse(cm_str_from(cases[i].text), &time, &offset);

                if (parsed != (cases[i].utc != NULL))
                        fail_msg("%s", cases[i].text);
                if (!parsed)
                        continue;
                assert_string_equal(cm_time_format(time, text), cases[i].utc);
                assert_int_equal(offset, cases[i].offset);
        }
        assert_false(apple_time_parse(CM_STR_NONE, &(cm_time){ 0 }, &(int){ 0 }));
}

static void test_numbers(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                double value;
        } cases[] = {
                { "72", 72 },
                { "0", 0 },
                { "-0", 0 },
                { "0.1", 0.1 },
                { "36,6", 36.6 },
                { " 5 ", 5 },
                { "+3", 3 },
                { "-0.25", -0.25 },
                { "007", 7 },
                { ".5", 0.5 },
                { "5.", 5 },
                { "1.5e-05", 1.5e-05 },
                { "2E3", 2000 },
                { "139.3170000000021", 139.3170000000021 },
                { "0.000000123", 1.23e-07 },
                { "123456789012345", 123456789012345 },
                { "1e17", 1e17 },
                { "0.3333333333333333333333333333", 0.333333333333333333 },
                { "1e-300", 0 },
        };
        static const char *const refused[] = {
                "",       " ",    "-",     ".",   "1.2.3", "1,234.5",
                "abc",    "0x10", "nan",   "inf", "1e",    "1e+",
                "1e9999", "1e30", "12 kg", "1 2", "--1",   "99999999999999999999"
        };
        struct apple_decimal decimal;

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                if (!apple_decimal_parse(cm_str_from(cases[i].text), &decimal))
                        fail_msg("%s", cases[i].text);
                if (apple_decimal_real(decimal) != cases[i].value)
                        fail_msg("%s is %.17g", cases[i].text, apple_decimal_real(decimal));
        }
        for (size_t i = 0; i < CM_COUNT(refused); i++)
                if (apple_decimal_parse(cm_str_from(refused[i]), &decimal))
                        fail_msg("%s", refused[i]);
}

static void test_multiply(void **state CM_UNUSED)
{
        struct apple_decimal value;

        assert_true(apple_decimal_parse(CM_STR("0.97"), &value));
        assert_true(apple_decimal_real(
                            apple_decimal_multiply(value, (struct apple_decimal){ 100, 0 })) == 97);
        assert_true(
                apple_decimal_parse(CM_STR("0.29"), &value)); /* 0.29 * 100 is not 29 in binary */
        assert_true(apple_decimal_real(
                            apple_decimal_multiply(value, (struct apple_decimal){ 100, 0 })) == 29);
        assert_true(apple_decimal_parse(CM_STR("123.456789012345"), &value));
        assert_true(apple_decimal_real(apple_decimal_multiply(
                            value, (struct apple_decimal){ 750061683, 8 })) ==
                    926.002069443754); /* 926.00206944375398… */
        assert_true(apple_decimal_parse(CM_STR("999999999999999999"), &value));
        assert_true(apple_decimal_real(apple_decimal_multiply(
                            value, (struct apple_decimal){ 1000, 0 })) >= 1e18);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_multiply),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
