#include "week_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct cm_arena arena;

static void nothing(void **state)
{
        struct day_summary days[7] = { { .date = 100 } };
        struct week_summary week;

        (void)state;
        days[6].date = 106;
        week_rules_sum(&arena, days, 7, &week);
        assert_int_equal(week.from_date, 100);
        assert_int_equal(week.to_date, 106);
        assert_int_equal(week.days_with_entries, 0);
        assert_int_equal(week.has_sleep, CM_ABSENT);
        assert_int_equal(week.has_mood, CM_ABSENT);
        assert_int_equal(week.has_workouts, CM_ABSENT);
        assert_int_equal(week.has_doses, CM_ABSENT);
        assert_int_equal(week.has_symptoms, CM_ABSENT);
        assert_int_equal(week.has_average_steps, CM_ABSENT);
}

static void nights_and_moods(void **state)
{
        const struct day_summary days[] = {
                { .has_sleep = CM_PRESENT,
                  .sleep = { .total_duration = 360 },
                  .has_mood = CM_PRESENT,
                  .mood = { .count = 3,
                            .latest = CM_STR("calm"),
                            .has_average_valence = CM_PRESENT,
                            .average_valence = 0.5 } },
                { .has_mood = CM_PRESENT, .mood = { .count = 5, .latest = CM_STR("odd") } },
                { .has_sleep = CM_PRESENT,
                  .sleep = { .total_duration = 480 },
                  .has_mood = CM_PRESENT,
                  .mood = { .count = 1,
                            .latest = CM_STR("anxious"),
                            .has_average_valence = CM_PRESENT,
                            .average_valence = -0.5 } },
        };
        struct week_summary week;

        (void)state;
        week_rules_sum(&arena, days, CM_COUNT(days), &week);
        assert_int_equal(week.sleep.nights, 2);
        assert_true(week.sleep.average_minutes == 420);
        assert_true(week.sleep.shortest_minutes == 360 && week.sleep.longest_minutes == 480);
        assert_int_equal(week.mood.count, 9);
        assert_true(cm_str_equal(week.mood.latest, CM_STR("anxious")));
        assert_true(week.mood.average_valence == 0.25); /* (3 × 0.5 − 0.5) / 4 */
}

static void workouts_symptoms_doses_steps(void **state)
{
        struct day_workout workouts[] = {
                { .has_duration = CM_PRESENT, .duration = 30 },
                { .has_exercise = CM_PRESENT,
                  .exercise = { .has_duration_seconds = CM_PRESENT, .duration_seconds = 90 } },
                { .has_exercise = CM_PRESENT },
        };
        struct day_symptom first = { CM_STR("headache"), 2, 4, CM_PRESENT };
        struct day_symptom second[] = { { CM_STR("cough"), 1, 0, CM_ABSENT },
                                        { CM_STR("headache"), 1, 7, CM_PRESENT } };
        struct day_count counts = { HEALTH_EVENT_TYPE_VITAL, 1 };
        const struct day_summary days[] = {
                { .workouts = { workouts, 3 },
                  .symptoms = { &first, 1 },
                  .doses = { 1, 0, 1 },
                  .counts = { &counts, 1 },
                  .activity = { .has_steps = CM_PRESENT, .steps = 1000 } },
                { .doses = { 2, 1, 0 } },
                { .symptoms = { second, 2 },
                  .activity = { .has_steps = CM_PRESENT, .steps = 4000 } },
        };
        struct week_summary week;

        (void)state;
        week_rules_sum(&arena, days, CM_COUNT(days), &week);
        assert_int_equal(week.workouts.count, 3);
        assert_true(week.workouts.total_minutes == 31.5);
        assert_int_equal(week.symptoms.count, 2);
        assert_int_equal(week.symptoms.items[0].count, 3);
        assert_true(week.symptoms.items[0].worst_severity == 7);
        assert_int_equal(week.symptoms.items[1].has_worst_severity, CM_ABSENT);
        assert_int_equal(week.doses.taken, 3);
        assert_int_equal(week.doses.skipped, 1);
        assert_int_equal(week.doses.missed, 1);
        assert_int_equal(week.days_with_entries, 1);
        assert_true(week.average_steps == 2500);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing),
                cmocka_unit_test(nights_and_moods),
                cmocka_unit_test(workouts_symptoms_doses_steps),
        };
        int failed;

        cm_arena_init(&arena, 4096);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_arena_deinit(&arena);
        return failed;
}
