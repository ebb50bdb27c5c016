#include "due_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "schemas.h"
#include "sys/zones.h"

/* What becomes of times that have passed. A letter a run, oldest first: F fired, C coalesced, M
 * missed, O skipped for overlap, P skipped for the pause, X cancelled. */

static struct cm_zones *zones;
static struct due_plan *plan;

#define HOURLY "0 * * * *"
#define START  "2026-01-01T00:00:00Z"

static cm_time time_of(const char *text)
{
        cm_time at;

        assert_true(cm_time_parse(cm_str_from(text), &at, NULL));
        return at;
}

static struct due_case usual(void)
{
        return (struct due_case){
                .next_nominal = time_of("2026-01-01T01:00:00Z"),
                .grace_us = CM_MINUTE,
                .max_lateness_us = CM_HOUR,
                .misfire = MISFIRE_FIRE_ONCE,
                .overlap_policy = OVERLAP_POLICY_SKIP,
                .catchup_limit = 10,
                .paused_until = INT64_MAX,
                .delivers = true,
        };
}

static void run(struct due_case due, const char *expression, const char *now)
{
        struct recurrence_place place = { .zone = cm_zones_get(zones, CM_STR("UTC")),
                                          .anchor = time_of(START) };
        struct recurrence recurrence;
        struct cron_fault fault;

        assert_int_equal(recurrence_parse(cm_str_from(expression), 1, &recurrence, &fault), 0);
        due.recurrence = &recurrence;
        due.place = &place;
        due.now = time_of(now);
        due_rules_plan(&due, plan);
}

static void expect(const char *states, const char *next)
{
        char text[DUE_MAX_RUNS + 1] = "", at[CM_TIME_TEXT_SIZE];

        for (size_t i = 0; i < plan->count; i++)
                text[i] = "?FCMOPX"[plan->runs[i].state];
        assert_string_equal(text, states);
        assert_int_equal(plan->has_next, next != NULL);
        if (next)
                assert_string_equal(cm_time_format(plan->next_nominal, at), next);
}

static void in_time(void **state CM_UNUSED)
{
        run(usual(), HOURLY, "2026-01-01T00:59:59Z");
        expect("", "2026-01-01T01:00:00Z");
        run(usual(), HOURLY, "2026-01-01T01:00:00Z");
        expect("F", "2026-01-01T02:00:00Z");
        run(usual(), "@at 2026-01-01T01:00:00Z", "2026-01-01T01:00:01Z");
        expect("F", NULL);
        run(usual(), "@every 1h", "2026-01-01T01:00:01Z");
        expect("F", "2026-01-01T02:00:00Z");
}

/* policy, lateness allowed, now, what becomes of the runs of 01:00, 02:00, … */
static void after_an_absence(void **state CM_UNUSED)
{
        static const struct {
                int32_t misfire;
                int64_t max_lateness_us, catchup;
                const char *now, *states;
        } cases[] = {
                { MISFIRE_FIRE_ONCE, CM_HOUR, 10, "2026-01-01T01:59:59Z", "F" },
                { MISFIRE_FIRE_ONCE, CM_HOUR, 10, "2026-01-01T02:00:00Z", "CF" },
                { MISFIRE_FIRE_ONCE, CM_HOUR, 10, "2026-01-01T02:00:01Z", "MF" },
                { MISFIRE_FIRE_ONCE, CM_HOUR, 10, "2026-01-01T05:30:00Z", "MMMMF" },
                { MISFIRE_FIRE_ONCE, 10 * CM_MINUTE, 10, "2026-01-01T05:30:00Z", "MMMMM" },
                { MISFIRE_FIRE_ONCE, 0, 10, "2026-01-01T05:30:00Z", "CCCCF" },
                { MISFIRE_SKIP, CM_HOUR, 10, "2026-01-01T03:00:59Z", "MMF" },
                { MISFIRE_SKIP, CM_HOUR, 10, "2026-01-01T03:01:01Z", "MMM" },
                { MISFIRE_FIRE_ALL, 0, 10, "2026-01-01T04:30:00Z", "FFFF" },
                { MISFIRE_FIRE_ALL, 0, 3, "2026-01-01T05:30:00Z", "CCFFF" },
                { MISFIRE_FIRE_ALL, 2 * CM_HOUR, 10, "2026-01-01T05:30:00Z", "MMMFF" },
        };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct due_case due = usual();

                print_message("%zu\n", i);
                due.misfire = cases[i].misfire;
                due.max_lateness_us = cases[i].max_lateness_us;
                due.catchup_limit = cases[i].catchup;
                due.overlap_policy = OVERLAP_POLICY_ALLOW;
                run(due, HOURLY, cases[i].now);
                if (strlen(cases[i].states) != plan->count)
                        fail_msg("%zu runs", plan->count);
                expect(cases[i].states,
                       (const char *[]){ NULL, "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z",
                                         "2026-01-01T04:00:00Z", "2026-01-01T05:00:00Z",
                                         "2026-01-01T06:00:00Z" }[plan->count]);
        }
}

static void overlap(void **state CM_UNUSED)
{
        struct due_case due = usual();

        due.misfire = MISFIRE_FIRE_ALL;
        due.max_lateness_us = 0;
        run(due, HOURLY, "2026-01-01T03:30:00Z");
        expect("FOO", "2026-01-01T04:00:00Z");
        due.open = 1;
        run(due, HOURLY, "2026-01-01T03:30:00Z");
        expect("OOO", "2026-01-01T04:00:00Z");
        due.overlap_policy = OVERLAP_POLICY_QUEUE_ONE;
        run(due, HOURLY, "2026-01-01T03:30:00Z");
        expect("FOO", "2026-01-01T04:00:00Z");
        due.overlap_policy = OVERLAP_POLICY_ALLOW;
        run(due, HOURLY, "2026-01-01T03:30:00Z");
        expect("FFF", "2026-01-01T04:00:00Z");
        due.overlap_policy = OVERLAP_POLICY_SKIP;
        due.delivers = false; /* nothing that could still be under way */
        run(due, HOURLY, "2026-01-01T03:30:00Z");
        expect("FFF", "2026-01-01T04:00:00Z");
}

static void pauses(void **state CM_UNUSED)
{
        struct due_case due = usual();

        due.paused = true;
        run(due, HOURLY, "2026-01-01T02:00:00Z");
        expect("PP", "2026-01-01T03:00:00Z");
        assert_false(plan->resumed);
        due.paused_until = time_of("2026-01-01T02:00:00Z");
        run(due, HOURLY, "2026-01-01T02:00:00Z");
        expect("PF", "2026-01-01T03:00:00Z");
        assert_true(plan->resumed);
        due = usual();
        due.account_ended = true;
        run(due, HOURLY, "2026-01-01T02:00:00Z");
        expect("XX", "2026-01-01T03:00:00Z");
}

/* A year away, each minute: nothing is lost, and no plan is larger than one may be. */
static void a_long_absence(void **state CM_UNUSED)
{
        struct due_case due = usual();
        size_t total = 0, fired = 0, missed = 0;

        for (int plans = 0; plans < 1000; plans++) {
                run(due, "* * * * *", "2027-01-01T00:00:00Z");
                total += plan->count;
                for (size_t i = 0; i < plan->count; i++) {
                        fired += plan->runs[i].state == RUN_STATE_FIRED;
                        missed += plan->runs[i].state == RUN_STATE_MISSED;
                }
                due.next_nominal = plan->next_nominal;
                if (plan->next_run > due.now && plan->next_run > time_of("2027-01-01T00:00:00Z"))
                        break;
        }
        assert_int_equal(total, 365 * 1440 - 59);
        assert_int_equal(fired, 1);
        assert_int_equal(missed, 365 * 1440 - 59 - 61);
}

/* The same each time, never beyond the next one, and well spread. */
static void jitter(void **state CM_UNUSED)
{
        struct recurrence_place place = { .zone = cm_zones_get(zones, CM_STR("UTC")) };
        struct due_case due = usual();
        struct recurrence recurrence;
        struct cron_fault fault;
        cm_time at = time_of(START);
        int low = 0;

        assert_int_equal(recurrence_parse(CM_STR("* * * * *"), 1, &recurrence, &fault), 0);
        due.recurrence = &recurrence;
        due.place = &place;
        assert_int_equal(due_rules_run_at(&due, at), at);
        due.jitter_us = CM_HOUR;
        for (due.seed = 0; due.seed < 1000; due.seed++) {
                cm_time run_at = due_rules_run_at(&due, at);

                assert_int_equal(run_at, due_rules_run_at(&due, at));
                assert_true(run_at >= at && run_at < at + CM_MINUTE);
                low += run_at < at + CM_MINUTE / 2;
        }
        assert_in_range(low, 400, 600);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_time),        cmocka_unit_test(after_an_absence),
                cmocka_unit_test(overlap),        cmocka_unit_test(pauses),
                cmocka_unit_test(a_long_absence), cmocka_unit_test(jitter),
        };
        int failed;

        zones = cm_zones_new(NULL);
        plan = CM_NEW(struct due_plan);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_free(plan);
        cm_zones_free(&zones);
        return failed;
}
