#include "day_rules.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cm_arena arena;

static int start(void **state)
{
        (void)state;
        cm_arena_init(&arena, 65536);
        return 0;
}

static int stop(void **state)
{
        (void)state;
        cm_arena_deinit(&arena);
        return 0;
}

/* Minutes of the day; to 0: no end. */
static struct recorded_event event(int16_t type, int16_t subtype, int from, int to,
                                   const char *source, const char *data)
{
        return (struct recorded_event){
                .event_type = type,
                .event_subtype = subtype,
                .occurred_at = from * CM_MINUTE,
                .ended_at = to ? to * CM_MINUTE : EVENT_NO_END,
                .source = cm_str_from(source),
                .event_data = cm_str_from(data),
        };
}

#define VITAL(subtype, from, to, source, data)                                                     \
        event(HEALTH_EVENT_TYPE_VITAL, subtype, from, to, source, data)

static struct day_summary summarize(struct recorded_event *events, size_t count)
{
        struct day_summary summary = { 0 };

        day_rules_summarize(&(struct event_list){ events, count }, &arena, &summary);
        return summary;
}

static void an_empty_day(void **state)
{
        struct day_summary summary = summarize(NULL, 0);

        (void)state;
        assert_int_equal(summary.has_mood, CM_ABSENT);
        assert_int_equal(summary.has_sleep, CM_ABSENT);
        assert_int_equal(summary.activity.has_steps, CM_ABSENT);
        assert_int_equal(summary.counts.count, 0);
        assert_int_equal(summary.vitals.measures.count, 0);
        assert_true(summary.rules.count > 0);
}

static void moods_symptoms_and_doses(void **state)
{
        struct recorded_event events[] = {
                event(HEALTH_EVENT_TYPE_MOOD, 1, 1, 0, "a",
                      "{\"mood\":\"low\",\"confidence\":4,\"valence\":-0.5}"),
                event(HEALTH_EVENT_TYPE_MOOD, 1, 2, 0, "a", "{\"mood\":\"calm\",\"confidence\":7}"),
                event(HEALTH_EVENT_TYPE_SYMPTOM, 1, 3, 0, "a",
                      "{\"symptoms\":[\"fatigue\",\"nausea\"],\"severity\":3}"),
                event(HEALTH_EVENT_TYPE_SYMPTOM, 1, 4, 0, "a",
                      "{\"symptoms\":[\"nausea\"],\"severity\":6}"),
                event(HEALTH_EVENT_TYPE_SYMPTOM, 1, 5, 0, "a", "{\"symptoms\":[\"nausea\"]}"),
                event(HEALTH_EVENT_TYPE_MEDICATION, 1, 6, 0, "a",
                      "{\"status\":\"taken\",\"name\":\"x\"}"),
                event(HEALTH_EVENT_TYPE_MEDICATION, 1, 7, 0, "a",
                      "{\"status\":\"skipped\",\"name\":\"x\"}"),
                event(HEALTH_EVENT_TYPE_MEDICATION, 1, 8, 0, "a",
                      "{\"status\":\"taken\",\"name\":\"x\"}"),
        };
        struct day_summary summary = summarize(events, CM_COUNT(events));

        (void)state;
        assert_int_equal(summary.mood.count, 2);
        assert_true(cm_str_equal(summary.mood.latest, CM_STR("calm")));
        assert_true(summary.mood.average_confidence == 5.5);
        assert_true(summary.mood.average_valence == -0.5);
        assert_int_equal(summary.mood.has_average_anxiety_level, CM_ABSENT);
        assert_int_equal(summary.symptoms.count, 2);
        assert_true(cm_str_equal(summary.symptoms.items[1].symptom, CM_STR("nausea")));
        assert_int_equal(summary.symptoms.items[1].count, 3);
        assert_true(summary.symptoms.items[1].worst_severity == 6);
        assert_int_equal(summary.doses.taken, 2);
        assert_int_equal(summary.doses.skipped, 1);
        assert_int_equal(summary.counts.count, 3);
        assert_int_equal(summary.counts.items[2].event_type, HEALTH_EVENT_TYPE_SYMPTOM);
        assert_int_equal(summary.counts.items[2].count, 3);
}

static void measures(void **state)
{
        struct recorded_event events[] = {
                VITAL(VITAL_SUBTYPE_HEART_RATE, 1, 0, "w", "{\"value\":60,\"unit\":\"/min\"}"),
                VITAL(VITAL_SUBTYPE_HEART_RATE, 2, 0, "w", "{\"value\":90,\"unit\":\"/min\"}"),
                VITAL(VITAL_SUBTYPE_HEART_RATE, 3, 0, "w", "{\"value\":75,\"unit\":\"/min\"}"),
                VITAL(VITAL_SUBTYPE_RESTING_HEART_RATE, 3, 0, "w",
                      "{\"value\":55,\"unit\":\"/min\"}"),
                VITAL(VITAL_SUBTYPE_BODY_TEMPERATURE, 4, 0, "w",
                      "{\"value\":98.6,\"unit\":\"[degF]\"}"),
                VITAL(VITAL_SUBTYPE_BLOOD_PRESSURE, 5, 0, "w",
                      "{\"systolic\":120,\"diastolic\":80}"),
                VITAL(VITAL_SUBTYPE_BLOOD_PRESSURE, 6, 0, "w",
                      "{\"systolic\":130,\"diastolic\":70}"),
        };
        struct day_summary summary = summarize(events, CM_COUNT(events));
        const struct day_measure *items = summary.vitals.measures.items;

        (void)state;
        assert_int_equal(summary.vitals.measures.count, 5);
        assert_true(summary.vitals.heart_rate == 75);
        assert_true(summary.vitals.min_heart_rate == 60);
        assert_true(summary.vitals.max_heart_rate == 90);
        assert_true(summary.vitals.avg_heart_rate == 75);
        assert_true(summary.vitals.resting_heart_rate == 55);
        assert_int_equal(summary.vitals.recorded_at, 3 * CM_MINUTE);
        assert_true(items[2].average == 37 && cm_str_equal(items[2].unit, CM_STR("Cel")));
        assert_int_equal(items[3].part, DAY_MEASURE_PART_SYSTOLIC);
        assert_true(items[3].minimum == 120 && items[3].maximum == 130 && items[3].latest == 130);
        assert_true(items[4].minimum == 70 && items[4].average == 75 && items[4].count == 2);
}

#define STEPS(from, to, source, n)                                                                 \
        VITAL(VITAL_SUBTYPE_STEPS, from, to, source, "{\"value\":" #n ",\"unit\":\"{steps}\"}")

static void each_moment_counts_once(void **state)
{
        struct recorded_event events[] = {
                STEPS(0, 60, "phone", 800), /* half of it seen by the watch as well */
                STEPS(30, 90, "watch", 1000),
                STEPS(200, 210, "phone", 100), /* by the phone alone */
                STEPS(300, 0, "hand", 50),     /* at one instant */
                VITAL(VITAL_SUBTYPE_DISTANCE, 30, 90, "watch", "{\"value\":0.5,\"unit\":\"km\"}"),
                VITAL(VITAL_SUBTYPE_DISTANCE, 95, 99, "watch", "{\"value\":20,\"unit\":\"m\"}"),
        };
        struct day_summary summary = summarize(events, CM_COUNT(events));

        (void)state;
        assert_true(summary.activity.steps == 1000 + 400 + 100 + 50);
        assert_true(summary.activity.distance == 520);
        assert_int_equal(summary.activity.has_floors, CM_ABSENT);
}

/* Minute by minute. */
static double oracle(const struct day_stretch *stretches, size_t count)
{
        static const char *const names[] = { "a", "b", "c" };
        bool covered[600] = { false };
        double total[3] = { 0 }, sum = 0;
        int order[3] = { 0, 1, 2 };

        for (size_t i = 0; i < count; i++)
                total[stretches[i].source.data[0] - 'a'] += stretches[i].amount;
        for (int i = 0; i < 3; i++)
                for (int j = i + 1; j < 3; j++)
                        if (total[order[j]] > total[order[i]]) {
                                int swap = order[i];

                                order[i] = order[j];
                                order[j] = swap;
                        }
        for (int s = 0; s < 3; s++) {
                bool mine[600] = { false };

                for (size_t i = 0; i < count; i++) {
                        int from = (int)(stretches[i].from / CM_MINUTE),
                            to = (int)(stretches[i].to / CM_MINUTE);
                        int open = 0;

                        if (!cm_str_equal(stretches[i].source, cm_str_from(names[order[s]])))
                                continue;
                        for (int m = from; m < to; m++) {
                                open += !covered[m];
                                mine[m] = true;
                        }
                        sum += from == to ? stretches[i].amount
                                          : stretches[i].amount * open / (to - from);
                }
                for (int m = 0; m < 600; m++)
                        covered[m] |= mine[m];
        }
        return sum;
}

static void unions_of_random_days(void **state)
{
        static const char *const names[] = { "a", "b", "c" };
        struct day_stretch stretches[40], copy[40];

        (void)state;
        srand(11);
        for (int round = 0; round < 20000; round++) {
                size_t count = (size_t)(rand() % 40);
                double want, got;

                for (size_t i = 0; i < count; i++) {
                        int from = rand() % 500;

                        stretches[i] = (struct day_stretch){ from * CM_MINUTE,
                                                             (from + rand() % 60) * CM_MINUTE,
                                                             rand() % 10000 / 8.0 + i * 1e-3,
                                                             cm_str_from(names[rand() % 3]) };
                }
                memcpy(copy, stretches, sizeof(copy));
                want = oracle(stretches, count);
                got = day_union_sum(copy, count, &arena);
                if (fabs(want - got) > 1e-6)
                        fail_msg("round %d: %f instead of %f", round, got, want);
                cm_arena_reset(&arena);
        }
}

#define SLEEP(from, to, source, data) VITAL(VITAL_SUBTYPE_SLEEP, from, to, source, data)

static void sleep_from_stages(void **state)
{
        struct recorded_event events[] = {
                SLEEP(0, 500, "phone", "{\"stage\":\"in_bed\"}"),
                SLEEP(10, 490, "phone", "{\"stage\":\"asleep\"}"),
                SLEEP(5, 20, "watch", "{\"stage\":\"awake\"}"),
                SLEEP(20, 100, "watch", "{\"stage\":\"light\"}"),
                SLEEP(100, 160, "watch", "{\"stage\":\"deep\"}"),
                SLEEP(150, 200, "watch", "{\"stage\":\"rem\"}"),
        };
        struct day_summary summary = summarize(events, CM_COUNT(events));

        (void)state;
        assert_int_equal(summary.has_sleep, CM_PRESENT);
        assert_true(cm_str_equal(summary.sleep.source, CM_STR("watch")));
        assert_true(summary.sleep.total_duration == 180);
        assert_true(summary.sleep.light_sleep_duration == 80);
        assert_true(summary.sleep.deep_sleep_duration == 60);
        assert_true(summary.sleep.rem_sleep_duration == 50);
        assert_int_equal(summary.sleep.bedtime, 5 * CM_MINUTE);
        assert_int_equal(summary.sleep.wake_time, 200 * CM_MINUTE);
}

static void sleep_as_told(void **state)
{
        struct recorded_event events[] = {
                SLEEP(0, 480, "hand",
                      "{\"total_duration\":420,\"sleep_quality\":80,\"deep_sleep_duration\":90}"),
                SLEEP(700, 730, "hand", "{\"total_duration\":25}"),
                SLEEP(0, 100, "phone", "{\"stage\":\"in_bed\"}"),
        };
        struct day_summary summary = summarize(events, CM_COUNT(events));
        struct day_summary in_bed = summarize(&events[2], 1);

        (void)state;
        assert_true(summary.sleep.total_duration == 445);
        assert_true(summary.sleep.deep_sleep_duration == 90);
        assert_int_equal(summary.sleep.has_rem_sleep_duration, CM_ABSENT);
        assert_true(summary.sleep.sleep_quality == 80);
        assert_int_equal(summary.sleep.wake_time, 730 * CM_MINUTE);
        assert_int_equal(in_bed.has_sleep, CM_ABSENT);
}

static void workouts(void **state)
{
        struct recorded_event events[] = {
                VITAL(VITAL_SUBTYPE_WORKOUT, 60, 0, "manual",
                      "{\"exercise\":{\"exercise_name\":\"squat\",\"sets\":3,\"repetitions\":10,"
                      "\"weight_kg\":60}}"),
                VITAL(VITAL_SUBTYPE_WEIGHT, 70, 0, "scale", "{\"value\":70,\"unit\":\"kg\"}"),
                VITAL(VITAL_SUBTYPE_WORKOUT, 80, 110, "watch",
                      "{\"activity\":\"running\",\"duration\":30,\"distance\":5000}"),
        };
        struct day_summary summary = summarize(events, CM_COUNT(events));
        const struct day_workout *workout = summary.workouts.items;
        struct recorded_event many[120];

        (void)state;
        assert_int_equal(summary.workouts.count, 2);
        assert_int_equal(workout[0].has_exercise, CM_PRESENT);
        assert_true(cm_str_equal(workout[0].exercise.exercise_name, CM_STR("squat")));
        assert_int_equal(workout[0].exercise.sets, 3);
        assert_int_equal(workout[0].exercise.repetitions, 10);
        assert_true(workout[0].exercise.weight_kg == 60);
        assert_int_equal(workout[0].has_activity, CM_ABSENT);
        assert_int_equal(workout[0].occurred_at, 60 * CM_MINUTE);
        assert_true(cm_str_equal(workout[1].activity, CM_STR("running")));
        assert_true(workout[1].duration == 30 && workout[1].distance == 5000);
        assert_int_equal(workout[1].has_energy, CM_ABSENT);
        for (size_t i = 0; i < CM_COUNT(many); i++)
                many[i] = events[0];
        assert_int_equal(summarize(many, CM_COUNT(many)).workouts.count, 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_day),
                cmocka_unit_test(moods_symptoms_and_doses),
                cmocka_unit_test(measures),
                cmocka_unit_test(each_moment_counts_once),
                cmocka_unit_test(unions_of_random_days),
                cmocka_unit_test(sleep_from_stages),
                cmocka_unit_test(sleep_as_told),
                cmocka_unit_test(workouts),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
