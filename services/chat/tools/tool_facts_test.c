#include "tool_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What a call becomes, as the JSON that main-health gets. */
static struct cm_arena arena;
#define NOW (20000 * CM_DAY)

static struct cm_str fact(const char *tool, const char *arguments, enum chat_language language)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct health_event_input event;
        struct chat_tool_call call;
        struct cm_str why;

        assert_int_equal(
                chat_tool_call_read(&arena, cm_str_from(tool), cm_str_from(arguments), &call, &why),
                0);
        if (tool_fact_make(&arena, &call, language, NOW, &event, &why))
                return CM_STR("unsupported");
        cm_schema_encode(&health_event_input_schema, &event, &json);
        return cm_arena_str(&arena, cm_buf_str(&json));
}

static void facts(void **state)
{
        static const struct {
                const char *tool, *arguments;
                enum chat_language language;
                const char *fact;
        } rows[] = {
                { "record_mood", "{\"mood\":\"anxious\",\"valence\":-0.5}", CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"mood\",\"event_subtype\":\"quick_checkin\",\"source\":"
                  "\"companion\",\"event_data\":{\"mood\":\"anxious\",\"valence\":-0.5}}" },
                { "record_symptom", "{\"symptoms\":[\"headache\"],\"severity\":6}",
                  CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"symptom\",\"event_subtype\":\"general\",\"source\":"
                  "\"companion\",\"event_data\":{\"symptoms\":[\"headache\"],\"severity\":6}}" },
                { "record_sleep", "{\"quality\":\"bad\",\"total_duration\":300}", CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"vital\",\"event_subtype\":\"sleep\",\"source\":\"companion\","
                  "\"event_data\":{\"total_duration\":300}}" },
                { "record_sleep", "{\"quality\":\"bad\"}", CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"symptom\",\"event_subtype\":\"general\",\"source\":"
                  "\"companion\",\"event_data\":{\"symptoms\":[\"poor sleep\"]}}" },
                { "record_sleep", "{\"quality\":\"good\"}", CHAT_LANGUAGE_HE,
                  "{\"event_type\":\"note\",\"event_subtype\":\"journal\",\"source\":"
                  "\"companion\",\"event_data\":{\"text\":\"שינה טובה\"}}" },
                { "record_dose", "{\"status\":\"taken\"}", CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"medication\",\"event_subtype\":\"scheduled\",\"source\":"
                  "\"companion\",\"event_data\":{\"name\":\"medication\",\"status\":\"taken\"}}" },
                { "record_dose", "{\"status\":\"skipped\",\"name\":\"Ramipril\"}", CHAT_LANGUAGE_HE,
                  "{\"event_type\":\"medication\",\"event_subtype\":\"scheduled\",\"source\":"
                  "\"companion\",\"event_data\":{\"name\":\"Ramipril\",\"status\":\"skipped\"}}" },
                { "log_exercise",
                  "{\"exercise\":\"squat\",\"exercise_name\":\"סקוואט\",\"sets\":3,"
                  "\"repetitions\":10,\"weight\":60,\"weight_unit\":\"kg\"}",
                  CHAT_LANGUAGE_HE,
                  "{\"event_type\":\"vital\",\"event_subtype\":\"workout\",\"source\":"
                  "\"companion\",\"event_data\":{\"exercise\":{\"exercise_name\":\"squat\","
                  "\"exercise_name_he\":\"סקוואט\",\"sets\":3,\"repetitions\":10,"
                  "\"weight_kg\":60}}}" },
                { "log_exercise",
                  "{\"exercise\":\"running\",\"exercise_name\":\"run\",\"distance\":5,"
                  "\"distance_unit\":\"km\",\"days_ago\":1}",
                  CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"vital\",\"event_subtype\":\"workout\",\"occurred_at\":"
                  "\"2024-10-03T00:00:00Z\",\"source\":\"companion\",\"event_data\":{\"exercise\":"
                  "{\"exercise_name\":\"run\",\"distance_m\":5000}}}" },
                { "log_exercise",
                  "{\"exercise\":\"squat\",\"exercise_name\":\"squat\",\"corrects\":"
                  "\"01a224da-cc13-7001-8f50-42aa6fcdb61b\"}",
                  CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"vital\",\"event_subtype\":\"workout\",\"source\":"
                  "\"companion\",\"event_data\":{\"exercise\":{\"exercise_name\":\"squat\"}}}" },
                { "record_dose",
                  "{\"status\":\"taken\",\"dose\":{\"value\":2,\"unit\":\"mg\"},\"days_ago\":1}",
                  CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"medication\",\"event_subtype\":\"scheduled\",\"occurred_at\":"
                  "\"2024-10-03T00:00:00Z\",\"source\":\"companion\",\"event_data\":{\"name\":"
                  "\"medication\",\"status\":\"taken\",\"dose\":{\"value\":2,\"unit\":\"mg\"}}}" },
                { "record_mood",
                  "{\"mood\":\"calm\",\"days_ago\":0,\"corrects\":"
                  "\"01a224da-cc13-7001-8f50-42aa6fcdb61b\"}",
                  CHAT_LANGUAGE_EN,
                  "{\"event_type\":\"mood\",\"event_subtype\":\"quick_checkin\",\"occurred_at\":"
                  "\"2024-10-04T00:00:00Z\",\"source\":\"companion\",\"event_data\":{\"mood\":"
                  "\"calm\"}}" },
                { "void_record", "{\"event_id\":\"01a224da-cc13-7001-8f50-42aa6fcdb61b\"}",
                  CHAT_LANGUAGE_EN, "unsupported" },
                { "week_summary", "{}", CHAT_LANGUAGE_EN, "unsupported" },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_string_equal(fact(rows[i].tool, rows[i].arguments, rows[i].language).data,
                                    rows[i].fact);
}

static void pounds(void **state)
{
        struct log_exercise_arguments in = { .exercise = CM_STR("squat"),
                                             .exercise_name = CM_STR("squat"),
                                             .has_weight = CM_PRESENT,
                                             .weight = 100,
                                             .has_weight_unit = CM_PRESENT,
                                             .weight_unit = WEIGHT_UNIT_LB };
        struct chat_tool_call call = chat_tool_call_make(&arena, CHAT_TOOL_LOG_EXERCISE, &in);
        struct health_event_input event;
        struct cm_str why;

        (void)state;
        assert_int_equal(tool_fact_make(&arena, &call, CHAT_LANGUAGE_EN, NOW, &event, &why), 0);
        assert_true(event.vital_event_input.event_data.exercise.weight_kg == 100 * 0.45359237);
}

/* The reminder's medicine; its amount, unless the person said another. */
static void answers_a_reminder(void **state CM_UNUSED)
{
        const struct schedule reminder = { .has_medication_name = CM_PRESENT,
                                           .medication_name = CM_STR("Ramipril"),
                                           .has_dose = CM_PRESENT,
                                           .dose = { 5, CM_STR("mg") } };
        static const struct {
                double said, kept;
        } rows[] = { { 0, 5 }, { 2.5, 2.5 } };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct health_event_input event = { .kind = HEALTH_EVENT_INPUT_KIND_MEDICATION };
                struct medication_data *data = &event.medication_event_input.event_data;

                data->has_dose = rows[i].said > 0 ? CM_PRESENT : CM_ABSENT;
                data->dose = (struct quantity){ rows[i].said, CM_STR("mg") };
                tool_fact_answer(&reminder, &event);
                assert_true(data->has_dose == CM_PRESENT && data->dose.value == rows[i].kept);
                assert_true(cm_str_equal(data->name, reminder.medication_name));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(facts),
                                            cmocka_unit_test(answers_a_reminder),
                                            cmocka_unit_test(pounds) };
        int failed;

        cm_arena_init(&arena, 4096);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_arena_deinit(&arena);
        return failed;
}
