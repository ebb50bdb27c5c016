#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"

static void commas_stand_between(CM_UNUSED void **state)
{
        struct cm_json_writer writer;
        struct cm_buf out = { 0 };

        cm_json_writer_init(&writer, &out);
        cm_json_object(&writer);
        cm_json_key(&writer, "a");
        cm_json_array(&writer);
        cm_json_integer(&writer, 1);
        cm_json_object(&writer);
        cm_json_object_end(&writer);
        cm_json_array(&writer);
        cm_json_array_end(&writer);
        cm_json_bool(&writer, true);
        cm_json_array_end(&writer);
        cm_json_key(&writer, "b");
        cm_json_null(&writer);
        cm_json_key(&writer, "c");
        cm_json_raw(&writer, CM_STR("{\"x\":1}"));
        cm_json_object_end(&writer);
        assert_string_equal(out.data, "{\"a\":[1,{},[],true],\"b\":null,\"c\":{\"x\":1}}");
        cm_buf_deinit(&out);
}

static void text_is_escaped(CM_UNUSED void **state)
{
        struct cm_json_writer writer;
        struct cm_buf out = { 0 };

        cm_json_writer_init(&writer, &out);
        cm_json_text(&writer, CM_STR("\b\t\n\f\r\"\\/\x1f\x7fא"));
        cm_json_text(&writer, CM_STR(""));
        cm_json_text(&writer, CM_STR_NONE);
        cm_json_text(&writer, (struct cm_str){ "a\0b", 3 });
        assert_string_equal(out.data,
                            "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\x7fא\",\"\",null,\"a\\u0000b\"");
        cm_buf_deinit(&out);
}

static void integers(CM_UNUSED void **state)
{
        static const struct {
                int64_t value;
                const char *text;
        } rows[] = {
                { 0, "0" },
                { -1, "-1" },
                { 1000, "1000" },
                { INT64_MAX, "9223372036854775807" },
                { INT64_MIN, "-9223372036854775808" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_json_writer writer;
                struct cm_buf out = { 0 };

                cm_json_writer_init(&writer, &out);
                cm_json_integer(&writer, rows[i].value);
                assert_string_equal(out.data, rows[i].text);
                cm_buf_deinit(&out);
        }
}

static void number_is(double value, const char *want)
{
        struct cm_json_writer writer;
        struct cm_buf out = { 0 };

        cm_json_writer_init(&writer, &out);
        cm_json_number(&writer, value);
        assert_string_equal(out.data, want);
        cm_buf_deinit(&out);
}

static void numbers(CM_UNUSED void **state)
{
        number_is(0.1, "0.1");
        number_is(-0.5, "-0.5");
        number_is(0.05, "0.05");
        number_is(0.001, "0.001");
        number_is(-72.35, "-72.35");
        number_is(100, "100");
        number_is(1e15, "1e+15");
        number_is(0.1 + 0.2, "0.3");
        number_is(NAN, "null");
        number_is(INFINITY, "null");
}

/* Every decimal of up to 15 digits comes back as it was, and as printf would say it. */
static void numbers_agree_with_printf(CM_UNUSED void **state)
{
        uint64_t seed = 20261120;

        for (int i = 0; i < 200000; i++) {
                static const double scales[] = { 1, 10, 100, 1e3, 1e4, 1e6, 1e12 };
                char want[40];
                double value;

                seed = seed * 6364136223846793005u + 1442695040888963407u;
                value = (double)(int64_t)(seed >> (14 + seed % 40)) / scales[(seed >> 8) % 7];
                (void)snprintf(want, sizeof(want), "%.15g", value);
                number_is(value, want);
        }
}

static void scalars_as_text(CM_UNUSED void **state)
{
        struct cm_json_writer writer;
        struct cm_uuid id = { { 0x01, 0x92 } };
        struct cm_buf out = { 0 };

        cm_json_writer_init(&writer, &out);
        cm_json_time(&writer, 0);
        cm_json_date(&writer, -1);
        cm_json_uuid(&writer, &id);
        assert_string_equal(out.data, "\"1970-01-01T00:00:00Z\",\"1969-12-31\","
                                      "\"01920000-0000-0000-0000-000000000000\"");
        cm_buf_deinit(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(commas_stand_between),
                cmocka_unit_test(text_is_escaped),
                cmocka_unit_test(integers),
                cmocka_unit_test(numbers),
                cmocka_unit_test(numbers_agree_with_printf),
                cmocka_unit_test(scalars_as_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
