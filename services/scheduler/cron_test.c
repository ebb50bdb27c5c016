#include "cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "recurrence.h"
#include "sys/zones.h"

/* The grammar and the rule for clocks that jump, at their edges. The large tables of known answers
 * are tests/integration/test_cron.py's. */

static struct cm_zones *zones;

static cm_time time_of(const char *text)
{
        cm_time at;

        if (!cm_time_parse(cm_str_from(text), &at, NULL))
                fail_msg("%s", text);
        return at;
}

static void what_is_refused(void **state CM_UNUSED)
{
        static const struct {
                const char *expression, *fault;
        } cases[] = {
                { "60 * * * *", "minute: 60 is above 59 (column 1)" },
                { "  60 * * * *", "minute: 60 is above 59 (column 3)" },
                { "* * * * * *x", "day-of-week: unexpected 'x' (column 12)" },
                { "5/15 * * * *", "minute: a step needs a range: write 5-59/n (column 2)" },
                { "* * 0 * *", "day-of-month: 0 is below 1 (column 5)" },
                { "* * L-31 * *", "day-of-month: L-31: L goes with 1 to 30 (column 7)" },
                { "* * 1,LW * *",
                  "day-of-month: W goes with a single day, not with a list (column 5)" },
                { "* * * * SAT-MON", "day-of-week: the range goes down: 6-1 (column 13)" },
                { "* * * * 6-0", "day-of-week: the range goes down: 6-0 (column 11)" },
                { "* * * * MONDAY", "day-of-week: 'MONDAY' is no weekday (SUN to SAT) (column 9)" },
                { "* * * * MONl", "day-of-week: 'MONl' is no weekday (SUN to SAT) (column 9)" },
                { "* * l * *", "day-of-month: unexpected 'l' (column 5)" },
                { "H(5-1) * * * *", "minute: the range goes down: 5-1 (column 2)" },
                { "H(5) * * * *", "minute: unexpected ')' (column 4)" },
                { "0 0 0 1 1 * H", "year: unexpected 'H' (column 13)" },
                { "@hourly *", "macro: a macro stands alone (column 9)" },
                { "TZ=UTC * * * * *",
                  "expression: the time zone has a field of its own, not a prefix (column 1)" },
                { "@every 1h30", "every: a unit is missing: h, m or s, in this order (column 12)" },
                { "@every 30m1h",
                  "every: a unit is missing: h, m or s, in this order (column 12)" },
                { "@every 100001h", "every: longer than 100000h (column 8)" },
                { "@every", "every: shorter than 60s (column 7)" },
                { "@at 2026-01-01T00:00:00.5Z", "at: whole seconds only (column 5)" },
        };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct recurrence recurrence;
                struct cron_fault fault;
                char text[CRON_FAULT_TEXT_SIZE];

                if (recurrence_parse(cm_str_from(cases[i].expression), 0, &recurrence, &fault) !=
                    CRON_INVALID)
                        fail_msg("%s is taken", cases[i].expression);
                assert_string_equal(cron_fault_format(&fault, text), cases[i].fault);
        }
}

/* expression, zone, policy, start, the next runs */
static void when_clocks_jump(void **state CM_UNUSED)
{
        static const struct {
                const char *expression, *zone;
                struct cron_policy policy;
                const char *start, *first, *second;
                enum cron_adjusted adjusted;
        } cases[] = {
                { "30 2 * * *",
                  "America/New_York",
                  { 0 },
                  "2025-03-09T00:00:00Z",
                  "2025-03-09T07:00:00Z",
                  "2025-03-10T06:30:00Z",
                  CRON_ADJUSTED_GAP },
                { "30 2 * * *",
                  "America/New_York",
                  { CRON_GAP_SKIP, 0 },
                  "2025-03-09T00:00:00Z",
                  "2025-03-10T06:30:00Z",
                  "2025-03-11T06:30:00Z",
                  CRON_AS_PLANNED },
                { "30 2 * * *",
                  "America/New_York",
                  { CRON_GAP_SHIFT, 0 },
                  "2025-03-09T00:00:00Z",
                  "2025-03-09T07:30:00Z",
                  "2025-03-10T06:30:00Z",
                  CRON_ADJUSTED_GAP },
                { "0 2,3 * * *",
                  "America/New_York",
                  { 0 },
                  "2025-03-09T00:00:00Z",
                  "2025-03-09T07:00:00Z",
                  "2025-03-10T06:00:00Z",
                  CRON_ADJUSTED_GAP },
                { "0 2,3 * * *",
                  "America/New_York",
                  { CRON_GAP_SHIFT, 0 },
                  "2025-03-09T00:00:00Z",
                  "2025-03-09T07:00:00Z",
                  "2025-03-10T06:00:00Z",
                  CRON_ADJUSTED_GAP },
                { "30 1 * * *",
                  "America/New_York",
                  { 0 },
                  "2025-11-02T00:00:00Z",
                  "2025-11-02T05:30:00Z",
                  "2025-11-03T06:30:00Z",
                  CRON_ADJUSTED_OVERLAP },
                { "30 1 * * *",
                  "America/New_York",
                  { 0, CRON_OVERLAP_SECOND },
                  "2025-11-02T00:00:00Z",
                  "2025-11-02T06:30:00Z",
                  "2025-11-03T06:30:00Z",
                  CRON_ADJUSTED_OVERLAP },
                { "30 1 * * *",
                  "America/New_York",
                  { 0, CRON_OVERLAP_BOTH },
                  "2025-11-02T00:00:00Z",
                  "2025-11-02T05:30:00Z",
                  "2025-11-02T06:30:00Z",
                  CRON_ADJUSTED_OVERLAP },
                { "30 1 * * *",
                  "America/New_York",
                  { 0 },
                  "2025-11-02T05:59:00Z",
                  "2025-11-03T06:30:00Z",
                  "2025-11-04T06:30:00Z",
                  CRON_AS_PLANNED },
                { "*/30 1 * * *",
                  "America/New_York",
                  { 0 },
                  "2025-11-02T05:30:00Z",
                  "2025-11-02T06:00:00Z",
                  "2025-11-02T06:30:00Z",
                  CRON_AS_PLANNED },
                /* The last year that is named, in its second 01:30. */
                { "0 30 1 2 11 * 2025",
                  "America/New_York",
                  { 0, CRON_OVERLAP_SECOND },
                  "2025-11-02T05:45:00Z",
                  "2025-11-02T06:30:00Z",
                  NULL,
                  CRON_ADJUSTED_OVERLAP },
                { "0 12 30 12 *",
                  "Pacific/Apia",
                  { 0 },
                  "2011-06-01T00:00:00Z",
                  "2012-12-29T22:00:00Z",
                  "2013-12-29T22:00:00Z",
                  CRON_AS_PLANNED },
                { "15 2 * * *",
                  "Australia/Lord_Howe",
                  { 0 },
                  "2025-10-04T00:00:00Z",
                  "2025-10-04T15:30:00Z",
                  "2025-10-05T15:15:00Z",
                  CRON_ADJUSTED_GAP },
                { "0 0 29 2 *",
                  "UTC",
                  { 0 },
                  "2096-03-01T00:00:00Z",
                  "2104-02-29T00:00:00Z",
                  "2108-02-29T00:00:00Z",
                  CRON_AS_PLANNED },
                { "0 9 * * 1-5",
                  "Europe/London",
                  { 0 },
                  "2090-03-24T12:00:00Z",
                  "2090-03-27T08:00:00Z",
                  "2090-03-28T08:00:00Z",
                  CRON_AS_PLANNED },
        };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                const struct cm_zone *zone = cm_zones_get(zones, cm_str_from(cases[i].zone));
                struct cron_firing firing;
                struct cron_fault fault;
                char text[CM_TIME_TEXT_SIZE];
                struct cron cron;

                print_message("%s\n", cases[i].expression);
                assert_int_equal(cron_parse(cm_str_from(cases[i].expression), 0, &cron, &fault), 0);
                assert_true(
                        cron_next(&cron, zone, cases[i].policy, time_of(cases[i].start), &firing));
                assert_string_equal(cm_time_format(firing.at, text), cases[i].first);
                assert_int_equal(firing.adjusted, cases[i].adjusted);
                assert_int_equal(cron_next(&cron, zone, cases[i].policy, firing.at, &firing),
                                 cases[i].second != NULL);
                if (cases[i].second)
                        assert_string_equal(cm_time_format(firing.at, text), cases[i].second);
        }
}

static void what_never_fires(void **state CM_UNUSED)
{
        static const char *const cases[] = { "0 0 30 2 *",       "0 0 31 2,4,6,9,11 *",
                                             "0 0 29 2 +1#1",    "0 0 31 * +1#1",
                                             "0 0 0 1 1 * 2024", "0 0 31W 2 *" };
        const struct cm_zone *zone = cm_zones_get(zones, CM_STR("Asia/Jerusalem"));

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct cron_firing firing;
                struct cron_fault fault;
                struct cron cron;

                assert_int_equal(cron_parse(cm_str_from(cases[i]), 0, &cron, &fault), 0);
                if (cron_next(&cron, zone, (struct cron_policy){ 0 },
                              time_of("2025-01-01T00:00:00Z"), &firing))
                        fail_msg("%s fires", cases[i]);
        }
}

static bool is_leap(int year)
{
        return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* What bounds the search: in 40 years each kind of year occurs, wherever in the calendar's cycle.
 */
static void forty_years_have_all_kinds(void **state CM_UNUSED)
{
        for (int year = 1600; year < 2000; year++) {
                unsigned kinds = 0;

                for (int y = year + 1; y <= year + 40; y++)
                        kinds |= 1U << ((cm_date_from_civil(y, 1, 1) % 7 + 7) % 7 * 2 + is_leap(y));
                assert_int_equal(kinds, (1U << 14) - 1);
        }
}

/* The same id, the same time; other ids, other times; all within bounds. */
static void spreading(void **state CM_UNUSED)
{
        uint64_t minutes = 0;

        for (uint64_t seed = 1; seed <= 2000; seed++) {
                struct cron first, second;
                struct cron_fault fault;

                assert_int_equal(cron_parse(CM_STR("H H(9-17) H * *"), seed, &first, &fault), 0);
                assert_int_equal(cron_parse(CM_STR("H H(9-17) H * *"), seed, &second, &fault), 0);
                assert_memory_equal(&first, &second, sizeof(first));
                assert_int_equal(__builtin_popcountll(first.minutes), 1);
                assert_int_equal(first.hours & ~UINT32_C(0x3fe00), 0);
                assert_int_equal(first.days & ~UINT32_C(0x1ffffffe), 0);
                assert_false(first.interval);
                minutes |= first.minutes;
                assert_int_equal(cron_parse(CM_STR("H/20 H/50 * * *"), seed, &first, &fault), 0);
                assert_int_equal(__builtin_popcountll(first.minutes), 3);
                assert_int_equal(__builtin_popcount(first.hours), 1);
                assert_true(first.interval && (first.warnings & CRON_STEP_BEYOND));
        }
        assert_int_equal(minutes, (UINT64_C(1) << 60) - 1);
}

static void warnings(void **state CM_UNUSED)
{
        static const struct {
                const char *expression;
                uint32_t warnings;
        } cases[] = {
                { "0 0 * * *", 0 },
                { "0 0 1 * 1", CRON_DAYS_OR },
                { "0 0 1 * +1", 0 },
                { "0 0 */2 * 1", CRON_DAYS_OR | CRON_STAR_DAYS_OR },
                { "0 0 */2 * *", 0 },
                { "0 0 1 * */2", CRON_DAYS_OR | CRON_STAR_DAYS_OR },
                { "*/60 0 * * *", CRON_STEP_BEYOND },
                { "0 0 1 * ?", 0 },
                { "H 0 * * *", CRON_SPREAD },
        };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct cron_fault fault;
                struct cron cron;

                assert_int_equal(cron_parse(cm_str_from(cases[i].expression), 0, &cron, &fault), 0);
                if (cron.warnings != cases[i].warnings)
                        fail_msg("%s: %u", cases[i].expression, cron.warnings);
        }
}

static void elapsed_time(void **state CM_UNUSED)
{
        struct recurrence_place place = { .zone = cm_zones_get(zones, CM_STR("Europe/London")),
                                          .anchor = time_of("2025-03-29T12:00:00Z") };
        struct recurrence recurrence;
        struct cron_firing firing;
        struct cron_fault fault;
        char text[CM_TIME_TEXT_SIZE];

        assert_int_equal(recurrence_parse(CM_STR(" @every 24h "), 0, &recurrence, &fault), 0);
        assert_true(recurrence_next(&recurrence, &place, time_of("2020-01-01T00:00:00Z"), &firing));
        assert_string_equal(cm_time_format(firing.at, text), "2025-03-30T12:00:00Z");
        assert_true(recurrence_next(&recurrence, &place, firing.at, &firing));
        assert_string_equal(cm_time_format(firing.at, text), "2025-03-31T12:00:00Z");
        assert_true(recurrence_next(&recurrence, &place, firing.at - 1, &firing));
        assert_string_equal(cm_time_format(firing.at, text), "2025-03-31T12:00:00Z");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_refused),  cmocka_unit_test(when_clocks_jump),
                cmocka_unit_test(what_never_fires), cmocka_unit_test(forty_years_have_all_kinds),
                cmocka_unit_test(spreading),        cmocka_unit_test(warnings),
                cmocka_unit_test(elapsed_time),
        };
        int failed;

        zones = cm_zones_new(NULL);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_zones_free(&zones);
        return failed;
}
