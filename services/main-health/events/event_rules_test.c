#include "event_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW "2026-11-20T20:00:00Z"
#define OK  NULL

static struct cm_zones *zones;
static struct cm_arena arena;

/* Moved from New York to Jerusalem in June. */
static struct person_zone moves[] = {
        { 0, { "America/New_York", 16 } },
        { 0, { "Asia/Jerusalem", 14 } },
};
static const struct person person = { .zones = moves, .zone_count = 2 };

static int start(void **state)
{
        (void)state;
        zones = cm_zones_new(NULL);
        cm_arena_init(&arena, 4096);
        return cm_time_parse(CM_STR("2026-06-01T00:00:00Z"), &moves[1].valid_from, NULL) ? 0 : -1;
}

static int stop(void **state)
{
        (void)state;
        cm_arena_deinit(&arena);
        cm_zones_free(&zones);
        return 0;
}

static int complete(const char *json, struct recorded_event *event_r, struct cm_faults *faults)
{
        struct health_event_input in;
        struct event_rules rules = { .zones = zones,
                                     .person = &person,
                                     .arena = &arena,
                                     .pointers = &event_at_top,
                                     .faults = faults };

        assert_true(cm_time_parse(CM_STR(NOW), &rules.now, NULL));
        *faults = (struct cm_faults){ .count = 0 };
        if (cm_schema_decode(&health_event_input_schema, cm_str_from(json), &arena, &in, faults))
                return EVENT_INVALID;
        return event_rules_complete(&rules, &in, event_r);
}

#define MOOD(more)                                                                                 \
        "{\"event_type\":\"mood\",\"event_subtype\":\"quick_checkin\",\"event_data\":{\"mood\":"   \
        "\"calm\"}" more "}"
#define VITAL(subtype, data) VITAL_AT(subtype, "", data)
#define VITAL_AT(subtype, more, data)                                                              \
        "{\"event_type\":\"vital\",\"event_subtype\":\"" subtype "\"," more                        \
        "\"event_data\":{" data "}}"
#define NIGHT "\"occurred_at\":\"2026-11-19T22:00:00Z\",\"ended_at\":\"2026-11-20T06:00:00Z\","

/* Input and the pointer of the one fault that it has. */
static void what_is_refused(void **state)
{
        static const struct {
                const char *json;
                const char *pointer;
        } cases[] = {
                { MOOD(""), OK },
                { MOOD(",\"occurred_at\":\"2026-11-20T20:05:00Z\""), OK },
                { MOOD(",\"occurred_at\":\"2026-11-20T20:05:00.000001Z\""), "/occurred_at" },
                { MOOD(",\"occurred_at\":\"1900-01-01T00:00:00Z\""), OK },
                { MOOD(",\"occurred_at\":\"1899-12-31T23:59:59Z\""), "/occurred_at" },
                { MOOD(",\"occurred_at\":\"9999-01-01T00:00:00Z\""), "/occurred_at" },
                { MOOD(",\"occurred_at\":\"2026-11-20T10:00:00Z\",\"ended_at\":\"2026-11-20T09:59:"
                       "59Z\""),
                  "/ended_at" },
                { MOOD(",\"occurred_at\":\"2026-11-20T10:00:00Z\",\"ended_at\":\"2026-11-20T10:00:"
                       "00Z\""),
                  OK },
                { MOOD(",\"time_zone\":\"Mars/Olympus\""), "/time_zone" },
                { MOOD(",\"time_zone\":\"+05:30\""), OK },
                { MOOD(",\"surprise\":1"), "/surprise" },
                { VITAL("heart_rate", "\"value\":72,\"unit\":\"/min\""), OK },
                { VITAL("heart_rate", "\"value\":301,\"unit\":\"/min\""), "/event_data/value" },
                { VITAL("heart_rate", "\"value\":72"), "/event_data/unit" },
                { VITAL("heart_rate", "\"unit\":\"/min\""), "/event_data/value" },
                { VITAL("heart_rate", "\"value\":72,\"unit\":\"kg\""), "/event_data/unit" },
                { VITAL("heart_rate", "\"value\":72,\"unit\":\"/min\",\"systolic\":120"),
                  "/event_data/systolic" },
                { VITAL("heart_beat", "\"value\":72,\"unit\":\"/min\""), "/event_subtype" },
                { VITAL("blood_pressure", "\"systolic\":120,\"diastolic\":80"), OK },
                { VITAL("blood_pressure", "\"systolic\":120,\"diastolic\":80,\"unit\":\"mm[Hg]\""),
                  OK },
                { VITAL("blood_pressure", "\"systolic\":120,\"diastolic\":80,\"unit\":\"kPa\""),
                  "/event_data/unit" },
                { VITAL("blood_pressure", "\"systolic\":120"), "/event_data/diastolic" },
                { VITAL("blood_pressure", "\"systolic\":80,\"diastolic\":80"),
                  "/event_data/diastolic" },
                { VITAL("blood_pressure", "\"systolic\":301,\"diastolic\":80"),
                  "/event_data/systolic" },
                { VITAL("blood_pressure", "\"systolic\":120,\"diastolic\":19"),
                  "/event_data/diastolic" },
                { VITAL("stress", "\"level\":\"high\""), OK },
                { VITAL("stress", "\"value\":70"), OK },
                { VITAL("stress", "\"value\":101"), "/event_data/value" },
                { VITAL("stress", "\"note\":\"?\""), "/event_data" },
                { VITAL_AT("sleep", NIGHT, "\"stage\":\"deep\""), OK },
                { VITAL("sleep", "\"stage\":\"deep\""), "/ended_at" },
                { VITAL_AT("sleep", NIGHT, "\"sleep_quality\":80"), "/event_data" },
                { VITAL_AT("sleep", NIGHT, "\"total_duration\":480,\"deep_sleep_duration\":480"),
                  OK },
                { VITAL_AT("sleep", NIGHT, "\"total_duration\":481"),
                  "/event_data/total_duration" },
                { VITAL_AT("sleep", NIGHT,
                           "\"total_duration\":400,\"deep_sleep_duration\":300,\"rem_sleep_"
                           "duration\":101"),
                  "/event_data" },
                { VITAL("sleep", "\"total_duration\":1441"), "/event_data/total_duration" },
                { VITAL_AT("sleep", NIGHT,
                           "\"stages\":[{\"stage\":\"rem\",\"starts_at\":\"2026-11-19T22:00:00Z\","
                           "\"ends_at\":"
                           "\"2026-11-20T06:00:00Z\"}]"),
                  OK },
                { VITAL_AT("sleep", NIGHT,
                           "\"stages\":[{\"stage\":\"rem\",\"starts_at\":\"2026-11-19T22:00:00Z\","
                           "\"ends_at\":"
                           "\"2026-11-20T06:00:01Z\"}]"),
                  "/event_data/stages/0/ends_at" },
                { VITAL_AT("sleep", NIGHT,
                           "\"stages\":[{\"stage\":\"rem\",\"starts_at\":\"2026-11-19T21:59:59Z\","
                           "\"ends_at\":"
                           "\"2026-11-20T05:00:00Z\"}]"),
                  "/event_data/stages/0/starts_at" },
                { VITAL_AT("sleep",
                           "\"occurred_at\":\"2026-11-18T22:00:00Z\",\"ended_at\":\"2026-11-19T22:"
                           "00:01Z\",",
                           "\"stage\":\"asleep\""),
                  "/ended_at" },
                { VITAL("workout", "\"activity\":\"running\",\"duration\":30"), OK },
                { VITAL("workout", "\"duration\":30"), "/event_data/activity" },
                { VITAL("workout", "\"exercise\":{\"exercise_name\":\"squat\",\"sets\":3,"
                                   "\"repetitions\":10,\"weight_kg\":60}"),
                  OK },
                { VITAL("weight", "\"value\":70,\"unit\":\"kg\",\"exercise\":{\"exercise_"
                                  "name\":\"squat\"}"),
                  "/event_data/exercise" },
                { "{\"event_type\":\"medication\",\"event_subtype\":\"scheduled\",\"event_data\":{"
                  "\"status\":\"taken\"}}",
                  "/event_data" },
                { "{\"event_type\":\"medication\",\"event_subtype\":\"scheduled\",\"event_data\":{"
                  "\"status\":\"taken\","
                  "\"name\":\"Ibuprofen\",\"time\":\"08:30\"}}",
                  OK },
                { "{\"event_type\":\"medication\",\"event_subtype\":\"scheduled\",\"event_data\":{"
                  "\"status\":\"taken\","
                  "\"name\":\"Ibuprofen\",\"time\":\"24:00\"}}",
                  "/event_data/time" },
                { "{\"event_type\":\"assessment\",\"event_subtype\":\"phq4\",\"event_data\":{"
                  "\"answers\":[{\"item\":\"1\","
                  "\"value\":4}]}}",
                  "/event_data/answers/0/value" },
                { "{\"event_type\":\"assessment\",\"event_subtype\":\"custom\",\"event_data\":{"
                  "\"answers\":[{\"item\":\"1\","
                  "\"value\":4}]}}",
                  "/event_data/name" },
                { "{\"event_type\":\"appointment\",\"event_subtype\":\"visit\",\"occurred_at\":"
                  "\"2027-11-20T20:00:00Z\","
                  "\"event_data\":{\"title\":\"Dentist\",\"status\":\"booked\"}}",
                  OK },
                { "{\"event_type\":\"appointment\",\"event_subtype\":\"visit\",\"occurred_at\":"
                  "\"2027-11-20T20:00:00Z\","
                  "\"event_data\":{\"title\":\"Dentist\",\"status\":\"fulfilled\"}}",
                  "/occurred_at" },
                { "{\"event_type\":\"appointment\",\"event_subtype\":\"visit\",\"occurred_at\":"
                  "\"2032-11-20T20:00:00Z\","
                  "\"event_data\":{\"title\":\"Dentist\",\"status\":\"booked\"}}",
                  "/occurred_at" },
                { "{\"event_type\":\"treatment\",\"event_subtype\":\"infusion\",\"occurred_at\":"
                  "\"2026-12-20T20:00:00Z\","
                  "\"event_data\":{\"name\":\"Iron\",\"status\":\"planned\"}}",
                  OK },
                { "{\"event_type\":\"treatment\",\"event_subtype\":\"infusion\",\"occurred_at\":"
                  "\"2026-12-20T20:00:00Z\","
                  "\"event_data\":{\"name\":\"Iron\"}}",
                  "/occurred_at" },
                { "{\"event_type\":\"note\",\"event_subtype\":\"general\",\"event_data\":{\"text\":"
                  "\"x\"}}",
                  OK },
                { "{\"event_type\":\"symptom\",\"event_subtype\":\"general\",\"event_data\":{"
                  "\"symptoms\":[]}}",
                  "/event_data/symptoms" },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct recorded_event event;
                struct cm_faults faults;
                int r = complete(cases[i].json, &event, &faults);

                if (!r != !cases[i].pointer)
                        fail_msg("%s", cases[i].json);
                if (!r)
                        continue;
                assert_int_equal(r, EVENT_INVALID);
                if (faults.count != 1 ||
                    !cm_str_equal(faults.items[0].pointer, cm_str_from(cases[i].pointer)))
                        fail_msg("%s: %zu faults, first at %.*s", cases[i].json, faults.count,
                                 CM_STR_ARG(faults.items[0].pointer));
        }
}

static void what_is_completed(void **state)
{
        static const struct {
                const char *json;
                const char *zone, *date, *source;
        } cases[] = {
                { MOOD(""), "Asia/Jerusalem", "2026-11-20", "manual" },
                { MOOD(",\"occurred_at\":\"2026-11-20T19:59:00Z\",\"time_zone\":\"Asia/Tokyo\""),
                  "Asia/Tokyo", "2026-11-21", "manual" },
                { MOOD(",\"occurred_at\":\"2026-05-01T03:00:00Z\",\"source\":\"Watch\""),
                  "America/New_York", "2026-04-30", "Watch" },
                { MOOD(",\"occurred_at\":\"1969-05-01T03:59:00Z\""), "America/New_York",
                  "1969-04-30", "manual" },
                { MOOD(",\"occurred_at\":\"2026-11-20T02:00:00Z\",\"time_zone\":\"-02:30\""),
                  "-02:30", "2026-11-19", "manual" },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct recorded_event event;
                struct cm_faults faults;
                char text[CM_DATE_TEXT_SIZE];

                assert_int_equal(complete(cases[i].json, &event, &faults), 0);
                assert_true(cm_str_equal(event.zone, cm_str_from(cases[i].zone)));
                assert_string_equal(cm_date_format(event.local_date, text), cases[i].date);
                assert_true(cm_str_equal(event.source, cm_str_from(cases[i].source)));
                assert_int_equal(event.version, 1);
                assert_int_equal(event.status, HEALTH_EVENT_STATUS_RECORDED);
                assert_int_equal(event.id.bytes[6] >> 4, 7);
                assert_null(event.key.data);
        }
}

static void numbers_and_flags(void **state)
{
        static const struct {
                const char *json;
                const char *data;
                int flags;
        } cases[] = {
                { VITAL("weight", "\"value\":0.1e3,\"unit\":\"kg\""),
                  "{\"value\":100,\"unit\":\"kg\"}", 0 },
                { VITAL("weight", "\"unit\":\"kg\",\"value\":71.3"),
                  "{\"value\":71.3,\"unit\":\"kg\"}", 0 },
                { VITAL("weight", "\"value\":71.2345678901234,\"unit\":\"kg\""),
                  "{\"value\":71.2345678901234,\"unit\":\"kg\"}", 0 },
                { VITAL("heart_rate", "\"value\":221,\"unit\":\"/min\""),
                  "{\"value\":221,\"unit\":\"/min\"}",
                  1 << (HEALTH_EVENT_FLAG_UNUSUALLY_HIGH - 1) },
                { VITAL("heart_rate", "\"value\":25,\"unit\":\"/min\""),
                  "{\"value\":25,\"unit\":\"/min\"}", 1 << (HEALTH_EVENT_FLAG_UNUSUALLY_LOW - 1) },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct recorded_event event;
                struct cm_faults faults;

                assert_int_equal(complete(cases[i].json, &event, &faults), 0);
                if (!cm_str_equal(event.event_data, cm_str_from(cases[i].data)))
                        fail_msg("%.*s", CM_STR_ARG(event.event_data));
                assert_int_equal(event.flags, cases[i].flags);
        }
}

static void subtypes(void **state)
{
        (void)state;
        assert_int_equal(event_subtype_find(HEALTH_EVENT_TYPE_VITAL, CM_STR("sleep")),
                         VITAL_SUBTYPE_SLEEP);
        assert_int_equal(event_subtype_find(HEALTH_EVENT_TYPE_MOOD, CM_STR("sleep")), 0);
        assert_string_equal(
                event_subtype_name(HEALTH_EVENT_TYPE_MEDICATION, MEDICATION_SUBTYPE_AS_NEEDED),
                "as_needed");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_refused),
                cmocka_unit_test(what_is_completed),
                cmocka_unit_test(numbers_and_flags),
                cmocka_unit_test(subtypes),
        };

        return cmocka_run_group_tests(tests, start, stop);
}
