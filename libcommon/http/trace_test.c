#include "http/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

static void test_traceparents(void **state CM_UNUSED)
{
        static const struct {
                const char *given;
                bool taken;
        } rows[] = {
                { "00-" TRACE "-" SPAN "-01", true },
                { "00-" TRACE "-" SPAN "-00", true },
                { "cc-" TRACE "-" SPAN "-01-more", true },
                { "00-" TRACE "-" SPAN "-01-more", false },
                { "cc-" TRACE "-" SPAN "-01more", false },
                { "ff-" TRACE "-" SPAN "-01", false },
                { "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", false },
                { "00-00000000000000000000000000000000-" SPAN "-01", false },
                { "00-" TRACE "-0000000000000000-01", false },
                { "00-" TRACE "-" SPAN "-0", false },
                { "00-" TRACE "-" SPAN "-0x", false },
                { "00_" TRACE "-" SPAN "-01", false },
                { "", false },
        };
        struct cm_trace_source source;

        cm_trace_source_init(&source);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                char out[CM_TRACEPARENT_SIZE];
                struct cm_str given = cm_str_from(rows[i].given);

                cm_traceparent_choose(&source, given, out);
                assert_int_equal(strlen(out), CM_TRACEPARENT_SIZE - 1);
                assert_memory_equal(out, "00-", 3);
                assert_int_equal(memcmp(out + 3, TRACE, 32) == 0, rows[i].taken);
                assert_memory_not_equal(out + 36, SPAN, 16); /* a span of our own */
                if (rows[i].taken)
                        assert_memory_equal(out + 53, rows[i].given + 53, 2);
        }
}

static void test_request_ids(void **state CM_UNUSED)
{
        static const struct {
                const char *given;
                bool taken;
        } rows[] = {
                { "a", true },
                { "A-z_0.9~", true },
                { "0123456789012345678901234567890123456789012345678901234567890123", true },
                { "01234567890123456789012345678901234567890123456789012345678901234", false },
                { "a b", false },
                { "a\"", false },
                { "", false },
        };
        struct cm_trace_source source;

        cm_trace_source_init(&source);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                char out[CM_REQUEST_ID_SIZE];

                cm_request_id_choose(&source, cm_str_from(rows[i].given), out);
                assert_int_equal(strcmp(out, rows[i].given) == 0, rows[i].taken);
                if (!rows[i].taken)
                        assert_int_equal(strlen(out), 32);
        }
}

static void test_names_differ(void **state CM_UNUSED)
{
        struct cm_trace_source source;
        char first[CM_REQUEST_ID_SIZE], second[CM_REQUEST_ID_SIZE];

        cm_trace_source_init(&source);
        cm_request_id_choose(&source, CM_STR_NONE, first);
        cm_request_id_choose(&source, CM_STR_NONE, second);
        assert_string_not_equal(first, second);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_traceparents),
                cmocka_unit_test(test_request_ids),
                cmocka_unit_test(test_names_differ),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
