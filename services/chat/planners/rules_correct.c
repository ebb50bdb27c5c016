#include "phrases/numbers.h"
#include "rules_internal.h"
#include "tools/tool_facts.h"

/*
 * Corrections of what the last reply recorded: "no, 2 mg", "that was yesterday", "delete that".
 * Only the last reply counts: what was recorded before is not guessed at.
 */
struct record {
        const struct chat_tool_call *call;
        const struct cm_uuid *event_id;
};

static bool is_record(enum chat_tool_id tool)
{
        return tool == CHAT_TOOL_RECORD_MOOD || tool == CHAT_TOOL_RECORD_SYMPTOM ||
               tool == CHAT_TOOL_RECORD_SLEEP || tool == CHAT_TOOL_RECORD_DOSE ||
               tool == CHAT_TOOL_LOG_EXERCISE;
}

static const struct planner_message *last_reply(const struct planner_run *run)
{
        const struct planner_input *input = run->input;

        for (size_t i = input->recent_count; i > 0; i--)
                if (!input->recent[i - 1].is_from_person)
                        return &input->recent[i - 1];
        return NULL;
}

/* The records of the last reply that are there, and whether it also answered a reminder. */
static size_t last_records(const struct planner_run *run, struct record *records, bool *answered_r)
{
        const struct planner_message *last = last_reply(run);
        size_t count = 0;

        *answered_r = false;
        for (size_t i = 0; last && i < last->round_count; i++)
                for (size_t j = 0; j < last->rounds[i].count; j++) {
                        const struct chat_tool_call *call = &last->rounds[i].calls[j];
                        const struct chat_tool_result *result = &last->rounds[i].results[j];

                        if (result->status != CHAT_RESULT_DONE)
                                continue;
                        *answered_r = *answered_r || call->tool == CHAT_TOOL_CONFIRM_REMINDER;
                        if (is_record(call->tool) && count < REPLY_FACTS)
                                records[count++] = (struct record){
                                        call,
                                        &((const struct record_result *)result->decoded)->event_id
                                };
                }
        return count;
}

/* ---- a record again, as a correction */

#define KEEP_DAY (-1)

#define AMEND(type)                                                                                \
        do {                                                                                       \
                struct type *to = CM_ARENA_NEW(run->arena, struct type);                           \
                                                                                                   \
                *to = *(const struct type *)call->decoded;                                         \
                to->has_corrects = CM_PRESENT;                                                     \
                to->corrects = *event_id;                                                          \
                if (days_ago != KEEP_DAY) {                                                        \
                        to->has_days_ago = CM_PRESENT;                                             \
                        to->days_ago = days_ago;                                                   \
                }                                                                                  \
                return to;                                                                         \
        } while (0)

static void *amend(struct planner_run *run, const struct chat_tool_call *call,
                   const struct cm_uuid *event_id, int days_ago)
{
        switch (call->tool) {
        case CHAT_TOOL_RECORD_MOOD:
                AMEND(record_mood_arguments);
        case CHAT_TOOL_RECORD_SYMPTOM:
                AMEND(record_symptom_arguments);
        case CHAT_TOOL_RECORD_SLEEP:
                AMEND(record_sleep_arguments);
        case CHAT_TOOL_RECORD_DOSE:
                AMEND(record_dose_arguments);
        case CHAT_TOOL_LOG_EXERCISE:
        default:
                AMEND(log_exercise_arguments);
        }
}

/* What is said of a record; false when that cannot be told any more. */
static bool describe(const struct planner_run *run, const struct chat_tool_call *call,
                     struct fact *fact)
{
        const struct record_mood_arguments *mood = call->decoded;
        const struct record_symptom_arguments *symptom = call->decoded;
        const struct record_sleep_arguments *sleep = call->decoded;
        const struct record_dose_arguments *dose = call->decoded;

        *fact = (struct fact){ .is_correction = true };
        switch (call->tool) {
        case CHAT_TOOL_RECORD_MOOD:
                fact->kind = FACT_MOOD;
                fact->word = mood->mood;
                return true;
        case CHAT_TOOL_RECORD_SYMPTOM:
                fact->kind = FACT_SYMPTOM;
                fact->word = symptom->symptoms.items[0];
                return true;
        case CHAT_TOOL_RECORD_SLEEP:
                fact->kind = FACT_SLEEP;
                fact->is_good = sleep->quality == SLEEP_QUALITY_GOOD;
                return true;
        case CHAT_TOOL_RECORD_DOSE:
                fact->kind = FACT_DOSE;
                fact->is_good = dose->status == DOSE_STATUS_TAKEN;
                if (dose->has_dose == CM_PRESENT) {
                        fact->dose = dose->dose.value;
                        fact->dose_unit = dose_unit_of(dose->dose.unit);
                }
                return true;
        case CHAT_TOOL_LOG_EXERCISE:
        default:
                fact->kind = FACT_EXERCISE;
                return rules_exercise_of(run, call->decoded, &fact->exercise);
        }
}

static bool add_amended(struct planner_run *run, const struct chat_tool_call *call,
                        const void *arguments, int days_ago)
{
        struct chat_tool_call again = *call;
        struct fact fact;

        again.decoded = arguments;
        if (run->fact_count == REPLY_FACTS || run->call_count == RULES_CALLS ||
            !describe(run, &again, &fact))
                return false;
        fact.days_ago = days_ago == KEEP_DAY ? 0 : days_ago;
        run->facts[run->fact_count] = fact;
        run->fact_calls[run->fact_count++] = run->call_count;
        rules_add_call(run, call->tool, arguments);
        return true;
}

/* ---- what a correction says */

/* "no, …", "actually …", "I meant …"; not "no, I also …". */
static bool is_correction(const struct chat_text *text)
{
        static const char *const words[] = { "no",    "nope",     "actually",   "sorry", "wait",
                                             "wrong", "meant",    "correction", "לא",    "בעצמ",
                                             "סליחה", "התכוונתי", "רגע",        "טעות",  "טעיתי",
                                             "תיקונ", NULL };
        static const char *const more[] = { "also", "too", "גמ", NULL };
        bool found = false;

        for (size_t i = 0; i < text->count; i++) {
                if (chat_word_in(&text->words[i], more))
                        return false;
                found = found || (i < 3 && chat_word_in(&text->words[i], words));
        }
        return found;
}

bool rules_correct_dose(struct planner_run *run)
{
        struct record records[REPLY_FACTS];
        struct record_dose_arguments *arguments;
        const struct dose_unit *unit;
        bool answered;
        double value;

        if (!is_correction(run->input->message) || !dose_find(run->input->message, &value, &unit) ||
            last_records(run, records, &answered) != 1 ||
            records[0].call->tool != CHAT_TOOL_RECORD_DOSE)
                return false;
        arguments = amend(run, records[0].call, records[0].event_id, KEEP_DAY);
        arguments->has_dose = CM_PRESENT;
        arguments->dose = (struct quantity){ value, cm_str_from(unit->ucum) };
        return add_amended(run, records[0].call, arguments, KEEP_DAY);
}

/* Which kind of entry a night becomes depends on what is said of it, and an entry keeps its kind.
 */
static bool keeps_its_kind(const struct chat_tool_call *before, const struct chat_tool_call *now)
{
        const struct record_sleep_arguments *was = before->decoded, *is = now->decoded;

        return before->tool != CHAT_TOOL_RECORD_SLEEP ||
               (was->has_total_duration != CM_PRESENT && is->has_total_duration != CM_PRESENT &&
                (was->quality == SLEEP_QUALITY_BAD) == (is->quality == SLEEP_QUALITY_BAD));
}

static void take_back(struct planner_run *run, const struct cm_uuid *event_id)
{
        struct void_record_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct void_record_arguments);

        arguments->event_id = *event_id;
        rules_add_call(run, CHAT_TOOL_VOID_RECORD, arguments);
}

void rules_correct_same(struct planner_run *run)
{
        struct record records[REPLY_FACTS];
        struct chat_tool_call *call = &run->calls[0];
        bool answered;
        void *arguments;

        if (run->fact_count != 1 || run->call_count != 1 || tool_fact_corrects(call) ||
            !is_correction(run->input->message) || last_records(run, records, &answered) != 1 ||
            records[0].call->tool != call->tool)
                return;
        run->facts[0].is_correction = true;
        if (!keeps_its_kind(records[0].call, call)) {
                take_back(run, records[0].event_id);
                return;
        }
        arguments = amend(run, call, records[0].event_id, KEEP_DAY);
        run->call_count = 0;
        rules_add_call(run, call->tool, arguments);
}

void rules_move(struct planner_run *run)
{
        struct record records[REPLY_FACTS];
        int64_t days_ago = 0;
        bool answered;
        size_t count = last_records(run, records, &answered);

        if (!cm_str_to_int(run->match.columns[1], &days_ago))
                return;
        for (size_t i = 0; i < count; i++)
                (void)add_amended(run, records[i].call,
                                  amend(run, records[i].call, records[i].event_id, (int)days_ago),
                                  (int)days_ago);
        if (run->fact_count)
                run->intent = INTENT_FACTS;
}

bool rules_take_back(struct planner_run *run)
{
        struct record records[REPLY_FACTS];
        size_t count = last_records(run, records, &run->has_target);

        for (size_t i = 0; i < count && run->call_count < RULES_CALLS; i++)
                take_back(run, records[i].event_id);
        return count > 0;
}
