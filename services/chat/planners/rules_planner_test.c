#include "rules_planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "data.h"

/*
 * Conversations with the planner against tools of a person who has a week, a memory and a reminder.
 * Each row: what is said, in which zone, the calls that must come, and what the reply must hold.
 */
static struct planner *planner;
static struct cm_zone *zone;
static struct cm_arena arena;

#define ID(n) "0190b2a4-0000-7000-8000-00000000000" #n
#define WEEK                                                                                       \
        "{\"from_date\":\"2026-11-24\",\"to_date\":\"2026-11-30\",\"days_with_entries\":5,"        \
        "\"sleep\":{\"nights\":4,\"average_minutes\":372.5},"                                      \
        "\"mood\":{\"count\":3,\"latest\":\"calm\"},\"workouts\":{\"count\":2,"                    \
        "\"total_minutes\":75},\"average_steps\":6120,"                                            \
        "\"doses\":{\"taken\":5,\"skipped\":0,\"missed\":1}}"
#define NOTE(n, text)                                                                              \
        "{\"memory_id\":\"" ID(n) "\",\"text\":\"" text                                            \
                                  "\",\"remembered_at\":\"2026-11-28T10:00:00Z\"}"
#define REMINDER(n, text, schedule, state)                                                         \
        "{\"reminder_id\":\"" ID(n) "\",\"text\":\"" text "\",\"schedule\":\"" schedule            \
                                    "\",\"state\":\"" state "\"}"

/* What each tool answers, unless the test says otherwise. */
static const char *answers[CHAT_TOOLS] = {
        [CHAT_TOOL_RECORD_MOOD] = "{\"event_id\":\"" ID(1) "\"}",
        [CHAT_TOOL_RECORD_SYMPTOM] = "{\"event_id\":\"" ID(1) "\"}",
        [CHAT_TOOL_RECORD_SLEEP] = "{\"event_id\":\"" ID(1) "\"}",
        [CHAT_TOOL_LOG_EXERCISE] = "{\"event_id\":\"" ID(1) "\"}",
        [CHAT_TOOL_RECORD_DOSE] = "{\"event_id\":\"" ID(1) "\"}",
        [CHAT_TOOL_VOID_RECORD] = "{\"event_id\":\"" ID(1) "\"}",
        [CHAT_TOOL_REMEMBER] = NOTE(2, "I am allergic to penicillin"),
        [CHAT_TOOL_RECALL] = "{\"items\":[" NOTE(2, "I am allergic to penicillin") "]}",
        [CHAT_TOOL_FORGET] = "{\"forgotten\":true}",
        [CHAT_TOOL_CREATE_REMINDER] = REMINDER(3, "take my meds", "0 8 * * 1-5", "active"),
        [CHAT_TOOL_LIST_REMINDERS] =
                "{\"items\":[" REMINDER(3, "take my meds", "0 8 * * 1-5", "active") "]}",
        [CHAT_TOOL_CANCEL_REMINDER] = REMINDER(3, "take my meds", "0 8 * * 1-5", "cancelled"),
        [CHAT_TOOL_CONFIRM_REMINDER] = REMINDER(3, "take my meds", "0 8 * * 1-5", "confirmed"),
        [CHAT_TOOL_WEEK_SUMMARY] = WEEK,
        [CHAT_TOOL_DAY_SUMMARY] = WEEK,
};

struct talk {
        struct planner_input input;
        struct cm_buf calls; /* "name arguments\n" … */
        struct cm_buf reply;
        struct planner_step last;
        struct planner_round rounds[4];
        size_t round_count;
        const char *const *answers;
        size_t steps;
};

static int setup(void **state CM_UNUSED)
{
        const struct rules_tables tables = { chat_table(CHAT_TABLE_INTENTS),
                                             chat_table(CHAT_TABLE_EXERCISES) };
        const char *error = NULL;

        cm_arena_init(&arena, 65536);
        zone = cm_zone_fixed(2 * 3600);
        planner = rules_planner_new(&tables, &error);
        if (!planner)
                print_error("%s\n", error);
        return planner ? 0 : -1;
}

static int teardown(void **state CM_UNUSED)
{
        rules_planner_free(&planner);
        cm_zone_free(&zone);
        cm_arena_deinit(&arena);
        return 0;
}

static void prepare(struct talk *talk, const char *message, const char *zone_name)
{
        struct chat_text *text = CM_ARENA_NEW(&arena, struct chat_text);

        assert_true(chat_text_read(&arena, cm_str_from(message), text));
        talk->input.message = text;
        talk->input.reply = text->reply == CHAT_LANGUAGE_HE ? CHAT_LANGUAGE_HE : CHAT_LANGUAGE_EN;
        talk->input.context.zone = zone;
        talk->input.context.zone_name = cm_str_from(zone_name);
        assert_true(cm_time_parse(CM_STR("2026-11-30T08:15:00Z"), &talk->input.context.now, NULL));
        if (!talk->answers)
                talk->answers = answers;
}

static void answer_calls(struct talk *talk, struct planner_run *run,
                         const struct planner_step *step)
{
        struct chat_tool_result *results =
                cm_arena_array(&arena, step->call_count, sizeof(*results));
        struct chat_tool_call *calls = cm_arena_array(&arena, step->call_count, sizeof(*calls));

        for (size_t i = 0; i < step->call_count; i++) {
                const struct chat_tool_call *call = &step->calls[i];
                const char *json = talk->answers[call->tool];

                calls[i] = *call;
                cm_buf_printf(&talk->calls, "%s %.*s\n", chat_tools[call->tool].name,
                              CM_STR_ARG(call->arguments));
                results[i].status = CHAT_RESULT_UNAVAILABLE;
                if (json)
                        results[i] = chat_tool_result_read(&arena, call->tool, cm_str_from(json));
                assert_true(!json || results[i].status == CHAT_RESULT_DONE);
        }
        talk->rounds[talk->round_count++] =
                (struct planner_round){ calls, results, step->call_count };
        planner->ops->answer(run, results);
}

static void go(struct talk *talk)
{
        struct planner_run *run;
        struct planner_step step;

        assert_int_equal(planner->ops->start(planner, &talk->input, &arena, &run), 0);
        do {
                assert_int_equal(planner->ops->next(run, &step), 0);
                assert_true(talk->steps++ < 1000);
                if (step.kind == PLANNER_SAY) {
                        assert_true(step.text.len > 0 && cm_utf8_is_valid(step.text));
                        cm_buf_add_str(&talk->reply, step.text);
                }
                if (step.kind == PLANNER_CALL)
                        answer_calls(talk, run, &step);
        } while (step.kind != PLANNER_FINISH);
        talk->last = step;
        assert_int_equal(step.finish, PLANNER_DONE);
        planner->ops->end(&run);
        assert_null(run);
        assert_true(talk->reply.len > 0);
}

static void done(struct talk *talk)
{
        cm_buf_deinit(&talk->calls);
        cm_buf_deinit(&talk->reply);
        cm_arena_reset(&arena);
}

#define CALLS(talk) ((talk).calls.data ? (talk).calls.data : "")

/* ---- the phrases of the demo and their plain variations */

static const struct row {
        const char *message, *zone, *calls, *reply;
} rows[] = {
        { "how was my week?", "UTC", "week_summary {}\n", "6 h 13 min on average over 4 nights" },
        { "How's my week been", "UTC", "week_summary {}\n", "Workouts: 2, 1 h 15 min" },
        { "how was last week?", "UTC", "week_summary {\"weeks_ago\":1}\n", "The week before" },
        { "איך היה השבוע שלי?", "UTC", "week_summary {}\n", "שבעת הימים האחרונים" },
        { "how was my day?", "UTC", "day_summary {}\n", "Today" },
        { "איך היה היום שלי?", "UTC", "day_summary {}\n", "היום" },
        { "I slept badly and feel anxious", "UTC",
          "record_sleep {\"quality\":\"bad\"}\nrecord_mood "
          "{\"mood\":\"anxious\",\"valence\":-0.6}\n",
          "I noted a bad night and feeling anxious." },
        { "I didn't sleep well, I feel really stressed", "UTC",
          "record_sleep {\"quality\":\"bad\"}\nrecord_mood "
          "{\"mood\":\"stressed\",\"valence\":-0.5}\n",
          "a bad night" },
        { "I slept great", "UTC", "record_sleep {\"quality\":\"good\"}\n", "a good night" },
        { "ישנתי רע ואני מרגישה חרדה", "UTC",
          "record_sleep {\"quality\":\"bad\"}\nrecord_mood {\"mood\":\"חרדה\",\"valence\":-0.6}\n",
          "לילה לא טוב, הרגשה: חרדה" },
        { "I don't feel anxious", "UTC", "", "did not understand" },
        { "I have a headache", "UTC", "record_symptom {\"symptoms\":[\"headache\"]}\n",
          "headache" },
        { "יש לי כאב ראש", "UTC", "record_symptom {\"symptoms\":[\"כאב ראש\"]}\n", "כאב ראש" },
        { "did 3 sets of 10 squats with 60 kg", "UTC",
          "log_exercise {\"exercise\":\"squat\",\"exercise_name\":\"squats\",\"sets\":3,"
          "\"repetitions\":10,\"weight\":60,\"weight_unit\":\"kg\"}\n",
          "squats, 3 × 10, 60 kg" },
        { "עשיתי 20 שכיבות סמיכה", "UTC",
          "log_exercise {\"exercise\":\"push_up\",\"exercise_name\":\"שכיבות סמיכה\","
          "\"repetitions\":20}\n",
          "שכיבות סמיכה, חזרות: 20" },
        { "רצתי 5 ק\"מ ב-25 דקות", "UTC",
          "log_exercise {\"exercise\":\"running\",\"exercise_name\":\"רצתי\","
          "\"duration_seconds\":1500,\"distance\":5,\"distance_unit\":\"km\"}\n",
          "ריצה, 5 ק\"מ, 25 דק'" },
        { "I want to do 3x10 squats tomorrow", "UTC", "", "did not understand" },
        { "did some squats", "UTC", "", "How many?" },
        { "remember that I am allergic to penicillin", "UTC",
          "remember {\"text\":\"I am allergic to penicillin\"}\n",
          "I'll remember: \"I am allergic to penicillin\"" },
        { "Please remember I'm Dana. I live in Haifa.", "UTC",
          "remember {\"text\":\"I'm Dana. I live in Haifa\"}\n", "I'll remember" },
        { "תזכור שאני אלרגי לפניצילין", "UTC", "remember {\"text\":\"אני אלרגי לפניצילין\"}\n",
          "נשמר בזיכרון" },
        { "remind me every weekday at 8 to take my meds", "Europe/London",
          "create_reminder {\"text\":\"take my meds\",\"schedule\":\"0 8 * * 1-5\"}\n",
          "every weekday (Monday to Friday) at 08:00: take my meds" },
        { "remind me every weekday at 8 to take my meds", "Asia/Jerusalem",
          "create_reminder {\"text\":\"take my meds\",\"schedule\":\"0 8 * * 0-4\"}\n",
          "remind you" },
        { "תזכיר לי כל יום חול בשמונה לקחת תרופות", "Asia/Jerusalem",
          "create_reminder {\"text\":\"לקחת תרופות\",\"schedule\":\"0 8 * * 0-4\"}\n",
          "נקבעה תזכורת" },
        { "remind me in 10 minutes to drink water", "UTC",
          "create_reminder {\"text\":\"drink water\",\"schedule\":\"@at 2026-11-30T08:25:00Z\"}\n",
          "remind you" },
        { "remind me tomorrow at 9 to call the clinic", "UTC",
          "create_reminder {\"text\":\"call the clinic\",\"schedule\":\"@at "
          "2026-12-01T07:00:00Z\"}\n",
          "remind you" },
        { "remind me to take my meds", "UTC", "", "When shall I remind you of \"take my meds\"?" },
        { "remember to take my meds every day at 7:30", "UTC",
          "create_reminder {\"text\":\"take my meds\",\"schedule\":\"30 7 * * *\"}\n",
          "remind you" },
        { "what are my reminders?", "UTC", "list_reminders {}\n", "take my meds: every weekday" },
        { "cancel the reminder", "UTC",
          "list_reminders {}\ncancel_reminder {\"reminder_id\":\"" ID(3) "\"}\n",
          "The reminder is cancelled: take my meds." },
        { "please cancel the reminder to take my meds", "UTC",
          "list_reminders {}\ncancel_reminder {\"reminder_id\":\"" ID(3) "\"}\n",
          "The reminder is cancelled: take my meds." },
        { "בטל תזכורת לקחת תרופות", "UTC",
          "list_reminders {}\ncancel_reminder {\"reminder_id\":\"" ID(3) "\"}\n",
          "התזכורת בוטלה: take my meds." },
        { "what am I allergic to?", "UTC",
          "recall {\"query\":\"what am I allergic to?\",\"limit\":5}\n",
          "You told me on 28 November 2026: \"I am allergic to penicillin\"." },
        { "למה אני אלרגי?", "UTC", "recall {\"query\":\"למה אני אלרגי?\",\"limit\":5}\n",
          "28 בנובמבר 2026" },
        { "forget that I am allergic to penicillin", "UTC",
          "recall {\"query\":\"I am allergic to penicillin\",\"limit\":5}\n"
          "forget {\"memory_id\":\"" ID(2) "\"}\n",
          "Forgotten." },
        { "forget that", "UTC", "", "I have forgotten nothing" },
        { "I took my meds", "UTC", "record_dose {\"status\":\"taken\"}\n",
          "your medicine as taken" },
        { "לקחתי את התרופות", "UTC", "record_dose {\"status\":\"taken\"}\n", "התרופה נלקחה" },
        { "I forgot to take my pills", "UTC", "record_dose {\"status\":\"skipped\"}\n",
          "as not taken" },
        { "I haven't taken my meds", "UTC", "record_dose {\"status\":\"skipped\"}\n",
          "as not taken" },
        { "hello", "UTC", "", "Hello!" },
        { "שלום", "UTC", "", "שלום!" },
        { "thanks!", "UTC", "", "You're welcome." },
        { "תודה רבה", "UTC", "", "בשמחה" },
        { "help", "UTC", "", "built-in companion" },
        { "עזרה", "UTC", "", "המלווה המובנה" },
        { "what is the capital of France", "UTC", "", "I did not understand that" },
        { "מה בירת צרפת", "UTC", "", "לא הבנתי" },
        { "🙂", "UTC", "", "I did not understand that" },
};

static void test_phrases(void **state CM_UNUSED)
{
        int wrong = 0;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct talk talk = { .steps = 0 };

                prepare(&talk, rows[i].message, rows[i].zone);
                go(&talk);
                if (strcmp(CALLS(talk), rows[i].calls) != 0 ||
                    !strstr(talk.reply.data, rows[i].reply)) {
                        print_error("%s\n  calls %s  reply %s\n", rows[i].message, CALLS(talk),
                                    talk.reply.data);
                        wrong++;
                }
                done(&talk);
        }
        assert_int_equal(wrong, 0);
}

/* ---- what depends on what went before */

static void test_forgets_what_the_last_answer_rested_on(void **state CM_UNUSED)
{
        struct talk asked = { .steps = 0 }, talk = { .steps = 0 };
        struct planner_message recent = { 0 };

        prepare(&asked, "what am I allergic to?", "UTC");
        go(&asked);
        assert_int_equal(asked.last.source_count, 1);
        recent.sources = asked.last.sources;
        recent.source_count = 1;
        prepare(&talk, "forget that", "UTC");
        talk.input.recent = &recent;
        talk.input.recent_count = 1;
        go(&talk);
        assert_string_equal(CALLS(talk), "forget {\"memory_id\":\"" ID(2) "\"}\n");
        assert_string_equal(talk.reply.data, "Forgotten.");
        cm_buf_deinit(&asked.calls);
        cm_buf_deinit(&asked.reply);
        done(&talk);
}

static void test_corrects_what_was_logged_last(void **state CM_UNUSED)
{
        static const char *const said[] = { "actually 12", "sorry, I meant 12 reps", "בעצם 12" };

        for (size_t i = 0; i < CM_COUNT(said); i++) {
                struct talk logged = { .steps = 0 }, talk = { .steps = 0 };
                struct planner_message recent = { 0 };

                prepare(&logged, "did 3x10 squats with 60 kg", "UTC");
                go(&logged);
                recent.rounds = logged.rounds;
                recent.round_count = logged.round_count;
                prepare(&talk, said[i], "UTC");
                talk.input.recent = &recent;
                talk.input.recent_count = 1;
                go(&talk);
                assert_string_equal(
                        CALLS(talk),
                        "log_exercise {\"exercise\":\"squat\",\"exercise_name\":\"squats\","
                        "\"sets\":3,\"repetitions\":12,\"weight\":60,"
                        "\"weight_unit\":\"kg\",\"corrects\":\"" ID(1) "\"}\n");
                cm_buf_deinit(&logged.calls);
                cm_buf_deinit(&logged.reply);
                done(&talk);
        }
}

#define CORRECTS "\"corrects\":\"" ID(1) "\"}\n"
#define VOID     "void_record {\"event_id\":\"" ID(1) "\"}\n"

/* What was said, what is said then, the calls that must come, and what the reply must hold. */
static const struct {
        const char *first, *then, *calls, *reply;
} corrections[] = {
        { "I took my meds", "no, 2 mg",
          "record_dose {\"status\":\"taken\",\"dose\":{\"value\":2,\"unit\":\"mg\"}," CORRECTS,
          "Corrected: your medicine as taken, 2 mg." },
        { "took 1 mg of my meds", "sorry, I meant half a mg",
          "record_dose {\"status\":\"taken\",\"dose\":{\"value\":0.5,\"unit\":\"mg\"}," CORRECTS,
          "0.5 mg" },
        { "לקחתי את הכדור", "לא, 2 מ\"ג",
          "record_dose {\"status\":\"taken\",\"dose\":{\"value\":2,\"unit\":\"mg\"}," CORRECTS,
          "תוקן: התרופה נלקחה, 2 מ\"ג." },
        { "I took my meds", "actually I forgot to take my pills",
          "record_dose {\"status\":\"skipped\"," CORRECTS,
          "Corrected: your medicine as not taken" },
        { "I feel anxious", "that was yesterday",
          "record_mood {\"mood\":\"anxious\",\"valence\":-0.6,\"days_ago\":1," CORRECTS,
          "Corrected: feeling anxious, yesterday." },
        { "I slept badly and feel anxious", "no, the day before yesterday",
          "record_sleep {\"quality\":\"bad\",\"days_ago\":2," CORRECTS
          "record_mood {\"mood\":\"anxious\",\"valence\":-0.6,\"days_ago\":2," CORRECTS,
          "Corrected: a bad night and feeling anxious, 2 days ago." },
        { "יש לי כאב ראש", "זה היה אתמול",
          "record_symptom {\"symptoms\":[\"כאב ראש\"],\"days_ago\":1," CORRECTS,
          "תוקן: כאב ראש, אתמול." },
        { "did 3x10 squats with 60 kg", "no, yesterday",
          "log_exercise {\"exercise\":\"squat\",\"exercise_name\":\"squats\",\"sets\":3,"
          "\"repetitions\":10,\"weight\":60,\"weight_unit\":\"kg\",\"days_ago\":1," CORRECTS,
          "Corrected: squats, 3 × 10, 60 kg, yesterday." },
        { "I feel anxious", "no, I feel calm",
          "record_mood {\"mood\":\"calm\",\"valence\":0.5," CORRECTS, "Corrected: feeling calm." },
        { "I feel anxious", "I also feel tired",
          "record_mood {\"mood\":\"tired\",\"valence\":-0.3}\n", "I noted feeling tired." },
        { "I slept badly", "no, I slept well", "record_sleep {\"quality\":\"good\"}\n" VOID,
          "Corrected: a good night." },
        { "I have a headache", "delete that", VOID, "Taken back: the entry no longer counts." },
        { "I slept badly and feel anxious", "undo that", VOID VOID, "2 entries no longer count" },
        { "I feel anxious", "that was a mistake", VOID, "Taken back" },
        { "יש לי כאב ראש", "תמחק את זה", VOID, "בוטל: הרישום כבר לא נספר." },
        { "לקחתי את התרופות", "טעות", VOID, "בוטל" },
        { "I have a headache", "please remove the last entry", VOID, "Taken back" },
        { "hello", "that was yesterday", "", "I'm not sure which entry you mean" },
        { "hello", "undo that", "", "I'm not sure which entry you mean" },
        { "שלום", "זה היה אתמול", "", "לא ברור לאיזה רישום הכוונה" },
        { "hello", "no, 2 mg", "", "did not understand" },
        { "I have a headache", "no, 2 mg", "", "did not understand" },
};

static void test_corrects_and_takes_back(void **state CM_UNUSED)
{
        int wrong = 0;

        for (size_t i = 0; i < CM_COUNT(corrections); i++) {
                struct talk first = { .steps = 0 }, talk = { .steps = 0 };
                struct planner_message recent = { 0 };

                prepare(&first, corrections[i].first, "UTC");
                go(&first);
                recent.rounds = first.rounds;
                recent.round_count = first.round_count;
                prepare(&talk, corrections[i].then, "UTC");
                talk.input.recent = &recent;
                talk.input.recent_count = 1;
                go(&talk);
                if (strcmp(CALLS(talk), corrections[i].calls) != 0 ||
                    !strstr(talk.reply.data, corrections[i].reply)) {
                        print_error("%s / %s\n  calls %s  reply %s\n", corrections[i].first,
                                    corrections[i].then, CALLS(talk), talk.reply.data);
                        wrong++;
                }
                cm_buf_deinit(&first.calls);
                cm_buf_deinit(&first.reply);
                done(&talk);
        }
        assert_int_equal(wrong, 0);
}

static void test_confirms_the_reminder_that_waits(void **state CM_UNUSED)
{
        struct talk talk = { .steps = 0 };
        struct reminder due = { .text = CM_STR("take my meds"), .state = REMINDER_STATE_DUE };
        struct reminder_list list = { .items = { &due, 1 } };

        prepare(&talk, "I took my meds", "UTC");
        talk.input.context.reminders = &list;
        go(&talk);
        assert_non_null(strstr(CALLS(talk), "record_dose {\"status\":\"taken\",\"reminder_id\":"));
        assert_non_null(strstr(CALLS(talk), "}\nconfirm_reminder "));
        assert_non_null(strstr(talk.reply.data, "The reminder is confirmed: take my meds."));
        done(&talk);

        due.has_medication_name = CM_PRESENT;
        due.medication_name = CM_STR("Metformin");
        talk = (struct talk){ .steps = 0 };
        prepare(&talk, "I took my meds", "UTC");
        talk.input.context.reminders = &list;
        go(&talk);
        assert_non_null(strstr(
                CALLS(talk),
                "record_dose {\"status\":\"taken\",\"name\":\"Metformin\",\"reminder_id\":"));
        done(&talk);

        talk = (struct talk){ .steps = 0 };
        prepare(&talk, "I took my insulin", "UTC");
        talk.input.context.reminders = &list;
        go(&talk);
        assert_string_equal(CALLS(talk), "record_dose {\"status\":\"taken\"}\n");
        done(&talk);
}

static void test_uses_the_persons_week(void **state CM_UNUSED)
{
        struct talk talk = { .steps = 0 };
        struct chat_tool_result week =
                chat_tool_result_read(&arena, CHAT_TOOL_WEEK_SUMMARY, cm_str_from(WEEK));

        prepare(&talk, "I slept badly", "UTC");
        talk.input.context.week = week.decoded;
        go(&talk);
        assert_non_null(
                strstr(talk.reply.data, "Your last 4 recorded nights averaged 6 h 13 min."));
        done(&talk);
}

/* Who is not asked would have changed nothing: neither what is said nor what is done. */
static void test_asks_whom_it_needs(void **state CM_UNUSED)
{
        struct reminder due = { .text = CM_STR("take my meds"), .state = REMINDER_STATE_DUE };
        struct reminder_list list = { .items = { &due, 1 } };
        unsigned seen = 0;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct talk all = { .steps = 0 }, asked = { .steps = 0 };
                struct chat_tool_result week =
                        chat_tool_result_read(&arena, CHAT_TOOL_WEEK_SUMMARY, cm_str_from(WEEK));
                unsigned sources;

                prepare(&all, rows[i].message, rows[i].zone);
                all.input.context.week = week.decoded;
                all.input.context.reminders = &list;
                asked.answers = all.answers;
                asked.input = all.input;
                sources = planner->ops->sources(planner, asked.input.message);
                seen |= 1U << sources;
                if (!(sources & PLANNER_ASKS_HEALTH))
                        asked.input.context.week = NULL;
                if (!(sources & PLANNER_ASKS_REMINDERS))
                        asked.input.context.reminders = NULL;
                go(&all);
                go(&asked);
                assert_string_equal(CALLS(asked), CALLS(all));
                assert_string_equal(asked.reply.data, all.reply.data);
                cm_buf_deinit(&asked.calls);
                cm_buf_deinit(&asked.reply);
                done(&all);
        }
        assert_int_equal(seen, 1U | 1U << PLANNER_ASKS_MEMORY |
                                       1U << (PLANNER_ASKS_HEALTH | PLANNER_ASKS_REMINDERS));
}

/* ---- honesty */

static const struct row wished[] = {
        { "did 3x10 squats with 135", "UTC",
          "log_exercise {\"exercise\":\"squat\",\"exercise_name\":\"squats\",\"sets\":3,"
          "\"repetitions\":10,\"weight\":135,\"weight_unit\":\"lb\"}\n",
          "135 lb. It is on your list of exercises to avoid." },
        { "did 3x10 squats with 60 kg", "UTC",
          "log_exercise {\"exercise\":\"squat\",\"exercise_name\":\"squats\",\"sets\":3,"
          "\"repetitions\":10,\"weight\":60,\"weight_unit\":\"kg\"}\n",
          "60 kg" },
        { "what are my goals?", "UTC", "", "Your goals: sleep more; run 5 km." },
        { "מה המטרות שלי?", "UTC", "", "המטרות שהוגדרו: sleep more; run 5 km." },
};

/* Units, goals, what is avoided, and short replies: as the person has asked for. */
static void test_keeps_to_what_the_person_wants(void **state CM_UNUSED)
{
        struct cm_str goals[] = { CM_STR("sleep more"), CM_STR("run 5 km") };
        struct cm_str avoided[] = { CM_STR("Squats") };
        const struct user_context wishes = {
                .version = 1,
                .preferences = { .has_units = CM_PRESENT,
                                 .units = CONTEXT_UNITS_IMPERIAL,
                                 .has_goals = CM_PRESENT,
                                 .goals = { goals, 2 },
                                 .has_avoided_exercises = CM_PRESENT,
                                 .avoided_exercises = { avoided, 1 } },
                .ai_profile = { .has_response_length = CM_PRESENT,
                                .response_length = RESPONSE_LENGTH_SHORT },
        };
        struct talk none = { .steps = 0 }, silent = { .steps = 0 }, low = { .steps = 0 };

        for (size_t i = 0; i < CM_COUNT(wished); i++) {
                struct talk talk = { .steps = 0 };

                prepare(&talk, wished[i].message, wished[i].zone);
                talk.input.context.wishes = &wishes;
                go(&talk);
                assert_string_equal(CALLS(talk), wished[i].calls);
                assert_non_null(strstr(talk.reply.data, wished[i].reply));
                done(&talk);
        }
        prepare(&low, "I feel sad", "UTC");
        low.input.context.wishes = &wishes;
        go(&low);
        assert_string_equal(low.reply.data, "I noted feeling sad.");
        done(&low);
        prepare(&none, "what are my goals?", "UTC");
        go(&none);
        assert_non_null(strstr(none.reply.data, "You have told me no goals."));
        done(&none);
        prepare(&silent, "what are my goals?", "UTC");
        silent.input.context.are_wishes_silent = true;
        go(&silent);
        assert_non_null(strstr(silent.reply.data, "I cannot look that up right now."));
        done(&silent);
}

static void test_claims_nothing_when_services_are_silent(void **state CM_UNUSED)
{
        static const char *const nothing[CHAT_TOOLS] = { NULL };
        static const struct {
                const char *message, *reply;
        } silent[] = {
                { "did 20 pushups", "could not confirm" },
                { "remember that I like tea", "could not confirm" },
                { "what am I allergic to?", "cannot look that up" },
                { "how was my week?", "cannot look that up" },
                { "remind me every day at 8 to run", "could not confirm" },
                { "forget that I like tea", "cannot look that up" },
                { "cancel my reminder", "cannot look that up" },
                { "עשיתי 20 שכיבות סמיכה", "אין אישור" },
        };

        for (size_t i = 0; i < CM_COUNT(silent); i++) {
                struct talk talk = { .answers = nothing };

                prepare(&talk, silent[i].message, "UTC");
                go(&talk);
                if (!strstr(talk.reply.data, silent[i].reply))
                        fail_msg("%s: %s", silent[i].message, talk.reply.data);
                done(&talk);
        }
}

static void test_says_what_failed_of_several(void **state CM_UNUSED)
{
        const char *some[CHAT_TOOLS] = { NULL };
        struct talk talk = { .answers = some };

        some[CHAT_TOOL_RECORD_SLEEP] = answers[CHAT_TOOL_RECORD_SLEEP];
        prepare(&talk, "I slept badly and feel anxious", "UTC");
        go(&talk);
        assert_non_null(strstr(talk.reply.data, "I noted a bad night."));
        assert_non_null(strstr(talk.reply.data, "could not confirm"));
        assert_null(strstr(talk.reply.data, "anxious"));
        done(&talk);
}

/* Taken up again: no call twice, the same bytes. */
static void test_is_taken_up_again(void **state CM_UNUSED)
{
        static const char *const said[] = { "did 3x10 squats", "cancel the reminder",
                                            "what am I allergic to?" };

        for (size_t i = 0; i < CM_COUNT(said); i++) {
                struct talk whole = { .steps = 0 }, again = { .steps = 0 };

                prepare(&whole, said[i], "UTC");
                go(&whole);
                prepare(&again, said[i], "UTC");
                again.input.rounds = whole.rounds;
                again.input.round_count = whole.round_count;
                go(&again);
                assert_string_equal(CALLS(again), "");
                assert_string_equal(again.reply.data, whole.reply.data);
                cm_buf_deinit(&whole.calls);
                cm_buf_deinit(&whole.reply);
                done(&again);
        }
}

static void test_hostile_messages(void **state CM_UNUSED)
{
        static const char *const pieces[] = { "remind me ", "every ", "3x10 ",     "squats ",
                                              "\u202e",     "and ",   "תזכיר לי ", "1/",
                                              "a dozen ",   ":30 ",   "@",         "לא " };

        for (size_t i = 0; i < CM_COUNT(pieces); i++) {
                struct cm_buf text = { 0 };
                struct talk talk = { .steps = 0 };

                while (text.len < 6000)
                        cm_buf_add_str(&text,
                                       cm_str_from(pieces[(text.len * 7 + i) % CM_COUNT(pieces)]));
                prepare(&talk, text.data, "UTC");
                go(&talk);
                cm_buf_deinit(&text);
                done(&talk);
        }
}

static void test_wrong_tables(void **state CM_UNUSED)
{
        const char *error = NULL;
        struct rules_tables tables = { CM_STR("nonsense\t-\t-\tx"), CM_STR("") };

        assert_null(rules_planner_new(&tables, &error));
        tables.intents = CM_STR("hello\t-\t-\thi");
        tables.exercises = CM_STR("squat\tjumping\ta\tb");
        assert_null(rules_planner_new(&tables, &error));
        assert_non_null(error);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_phrases),
                cmocka_unit_test(test_forgets_what_the_last_answer_rested_on),
                cmocka_unit_test(test_corrects_what_was_logged_last),
                cmocka_unit_test(test_corrects_and_takes_back),
                cmocka_unit_test(test_confirms_the_reminder_that_waits),
                cmocka_unit_test(test_uses_the_persons_week),
                cmocka_unit_test(test_keeps_to_what_the_person_wants),
                cmocka_unit_test(test_asks_whom_it_needs),
                cmocka_unit_test(test_claims_nothing_when_services_are_silent),
                cmocka_unit_test(test_says_what_failed_of_several),
                cmocka_unit_test(test_is_taken_up_again),
                cmocka_unit_test(test_hostile_messages),
                cmocka_unit_test(test_wrong_tables),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
