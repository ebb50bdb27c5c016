#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/attr.h"

static void test_instants(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                const char *formatted; /* NULL: refused */
                int offset;
        } rows[] = {
                { "2026-11-20T20:15:12Z", "2026-11-20T20:15:12Z", 0 },
                { "2026-11-20t20:15:12z", "2026-11-20T20:15:12Z", 0 },
                { "2026-11-20 20:15:12Z", "2026-11-20T20:15:12Z", 0 },
                { "2026-11-20T22:15:12+02:00", "2026-11-20T20:15:12Z", 120 },
                { "2026-01-01T00:30:00+05:45", "2025-12-31T18:45:00Z", 345 },
                { "2026-11-20T20:15:12-00:30", "2026-11-20T20:45:12Z", -30 },
                { "2026-11-20T20:15:12.5Z", "2026-11-20T20:15:12.5Z", 0 },
                { "2026-11-20T20:15:12.123456789Z", "2026-11-20T20:15:12.123456Z", 0 },
                { "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", 0 },
                { "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", 0 },
                { "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 0 },
                { "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", 0 },
                { "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", 0 },
                { "1900-02-29T00:00:00Z", NULL, 0 },
                { "2023-02-29T00:00:00Z", NULL, 0 },
                { "0000-01-01T00:00:00Z", NULL, 0 },
                { "2026-00-10T00:00:00Z", NULL, 0 },
                { "2026-13-10T00:00:00Z", NULL, 0 },
                { "2026-11-31T00:00:00Z", NULL, 0 },
                { "2026-11-20T24:00:00Z", NULL, 0 },
                { "2026-11-20T23:60:00Z", NULL, 0 },
                { "2026-11-20T23:59:60Z", NULL, 0 },
                { "2026-11-20T23:59:59", NULL, 0 },
                { "2026-11-20T23:59Z", NULL, 0 },
                { "2026-11-20T23:59:59.Z", NULL, 0 },
                { "2026-11-20T23:59:59.1234567890Z", NULL, 0 },
                { "2026-11-20T23:59:59+2:00", NULL, 0 },
                { "2026-11-20T23:59:59+24:00", NULL, 0 },
                { "2026-11-20T23:59:59Z ", NULL, 0 },
                { "20261120T235959Z", NULL, 0 },
                { "", NULL, 0 },
        };
        char out[CM_TIME_TEXT_SIZE];

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                cm_time time = 0;
                int offset = 0;
                bool ok = cm_time_parse(cm_str_from(rows[i].text), &time, &offset);

                assert_int_equal(ok, rows[i].formatted != NULL);
                if (!ok)
                        continue;
                assert_string_equal(cm_time_format(time, out), rows[i].formatted);
                assert_int_equal(offset, rows[i].offset);
        }
}

static void test_every_date_there_and_back(void **state CM_UNUSED)
{
        char out[CM_DATE_TEXT_SIZE];
        cm_date first = cm_date_from_civil(1, 1, 1), last = cm_date_from_civil(9999, 12, 31);

        assert_int_equal(cm_date_from_civil(1970, 1, 1), 0);
        assert_int_equal(last - first, 3652058); /* Python: date.max - date.min */
        for (cm_date date = first; date <= last; date++) {
                cm_date back = 0;

                assert_true(cm_date_parse(cm_str_from(cm_date_format(date, out)), &back));
                assert_int_equal(back, date);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_instants),
                cmocka_unit_test(test_every_date_there_and_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
