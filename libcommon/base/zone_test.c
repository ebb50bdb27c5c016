#include "base/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/zone_rule.h"

static void rules(void **state)
{
        static const struct {
                const char *text;
                bool valid;
                const char *at;
                int32_t offset_s;
        } cases[] = {
                { "UTC0", true, "2026-01-01T00:00:00Z", 0 },
                { "<+0545>-5:45", true, "2026-01-01T00:00:00Z", 20700 },
                { "EST5EDT,M3.2.0,M11.1.0", true, "2040-03-11T06:59:59Z", -18000 },
                { "EST5EDT,M3.2.0,M11.1.0", true, "2040-03-11T07:00:00Z", -14400 },
                { "EST5EDT,M3.2.0,M11.1.0", true, "2040-11-04T05:59:59Z", -14400 },
                { "EST5EDT,M3.2.0,M11.1.0", true, "2040-11-04T06:00:00Z", -18000 },
                { "IST-2IDT,M3.4.4/26,M10.5.0", true, "2040-03-22T23:59:59Z", 7200 },
                { "IST-2IDT,M3.4.4/26,M10.5.0", true, "2040-03-23T00:00:00Z", 10800 },
                { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true, "2040-03-25T00:59:59Z", -7200 },
                { "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true, "2040-03-25T01:00:00Z", -3600 },
                { "AEST-10AEDT,M10.1.0,M4.1.0/3", true, "2041-01-01T00:00:00Z", 39600 },
                { "AAA-1BBB,J60/0,J300/0", true, "2040-02-29T22:59:59Z", 3600 },
                { "AAA-1BBB,J60/0,J300/0", true, "2040-02-29T23:00:00Z", 7200 },
                { "AAA-1BBB-3,59/0,300/0", true, "2040-02-28T23:00:00Z", 10800 },
                { "", false, NULL, 0 },
                { "UTC", false, NULL, 0 },
                { "AB3", false, NULL, 0 },
                { "<+05-5", false, NULL, 0 },
                { "EST5EDT", false, NULL, 0 },
                { "EST5EDT,M3.2.0", false, NULL, 0 },
                { "EST5EDT,M13.2.0,M11.1.0", false, NULL, 0 },
                { "EST5EDT,M3.6.0,M11.1.0", false, NULL, 0 },
                { "EST5EDT,J0,J300", false, NULL, 0 },
                { "EST5EDT,M3.2.0,M11.1.0x", false, NULL, 0 },
                { "EST168", false, NULL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct cm_zone_rule rule;
                cm_time at;

                if (cm_zone_rule_parse(cm_str_from(cases[i].text), &rule) != cases[i].valid)
                        fail_msg("%s", cases[i].text);
                if (!cases[i].valid)
                        continue;
                assert_true(cm_time_parse(cm_str_from(cases[i].at), &at, NULL));
                if (cm_zone_rule_offset(&rule, at / CM_SECOND) != cases[i].offset_s)
                        fail_msg("%s at %s", cases[i].text, cases[i].at);
        }
}

/* A whole file in miniature: no 32-bit data, one transition, a rule. */
struct tiny {
        char bytes[256];
        size_t len;
};

static void add(struct tiny *file, const void *data, size_t len)
{
        memcpy(file->bytes + file->len, data, len);
        file->len += len;
}

static void add_header(struct tiny *file, char times, char types)
{
        char header[44] = "TZif2";

        header[35] = times;
        header[39] = types;
        header[43] = 4;
        add(file, header, sizeof(header));
}

static struct tiny tiny_file(void)
{
        struct tiny file = { .len = 0 };

        add_header(&file, 0, 1);
        add(&file, "\0\0\0\0\0\0AAA", 10);
        add_header(&file, 1, 2);
        add(&file, "\0\0\0\0\0\1\121\200", 8); /* 86400 */
        add(&file, "\1", 1);
        add(&file, "\0\0\16\20\0\0", 6); /* 3600 */
        add(&file, "\0\0\34\40\1\0", 6); /* 7200 */
        add(&file, "AAA", 4);
        add(&file, "\nAAA-2\n", 7);
        return file;
}

static void files(void **state)
{
        struct tiny file = tiny_file();
        struct cm_zone *zone = NULL;
        cm_time at;

        (void)state;
        assert_int_equal(cm_zone_parse((struct cm_str){ file.bytes, file.len }, &zone), 0);
        assert_int_equal(cm_zone_offset(zone, CM_DAY - 1), 3600);
        assert_int_equal(cm_zone_offset(zone, CM_DAY), 7200);
        assert_int_equal(cm_zone_date(zone, -CM_HOUR - 1), -1);
        assert_int_equal(cm_zone_date(zone, -CM_HOUR), 0);
        assert_true(cm_zone_next_change(zone, INT64_C(-1000000) * CM_SECOND, &at));
        assert_int_equal(at, CM_DAY);
        assert_false(cm_zone_next_change(zone, CM_DAY, &at));
        cm_zone_free(&zone);

        for (size_t len = 0; len < file.len; len++)
                assert_int_equal(cm_zone_parse((struct cm_str){ file.bytes, len }, &zone),
                                 -CM_E_MALFORMED);
        for (size_t i = 0; i < file.len * 8; i++) {
                struct tiny bent = file;

                bent.bytes[i / 8] ^= (char)(1 << i % 8);
                if (cm_zone_parse((struct cm_str){ bent.bytes, bent.len }, &zone) == 0) {
                        (void)cm_zone_offset(zone, 0);
                        cm_zone_free(&zone);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rules),
                cmocka_unit_test(files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
