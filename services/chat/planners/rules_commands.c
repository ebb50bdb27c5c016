#include "rules_internal.h"

#include <string.h>

#include "phrases/numbers.h"
#include "phrases/when_parse.h"

/* Commands and questions: what they call, and the second round of those that must look first. */

static const struct chat_text *message(const struct planner_run *run)
{
        return run->input->message;
}

/* From the first captured word to the end of the message, without what ends a sentence. */
static struct cm_str captured(const struct planner_run *run)
{
        const struct chat_text *text = message(run);
        struct cm_str rest = CM_STR_NONE;

        if (run->match.has[1])
                rest = chat_text_span(text, run->match.captures[1].first, text->count - 1);
        return rest;
}

/* ---- memory */

static void prepare_remember(struct planner_run *run)
{
        struct remember_arguments *arguments = CM_ARENA_NEW(run->arena, struct remember_arguments);

        run->text = captured(run);
        /* Hebrew writes "that" as a letter of the first word: "שאני אלרגי". */
        if (cm_str_starts(run->text, CM_STR("שאני ")) || cm_str_starts(run->text, CM_STR("שיש ")) ||
            cm_str_starts(run->text, CM_STR("שה")))
                run->text = (struct cm_str){ run->text.data + 2, run->text.len - 2 };
        if (cm_utf8_length(run->text) > 2000) {
                run->text = CM_STR_NONE;
                return;
        }
        arguments->text = run->text;
        rules_add_call(run, CHAT_TOOL_REMEMBER, arguments);
}

static void recall(struct planner_run *run, struct cm_str query)
{
        struct recall_arguments *arguments = CM_ARENA_NEW(run->arena, struct recall_arguments);

        arguments->query = query;
        arguments->has_limit = CM_PRESENT;
        arguments->limit = 5;
        if (query.len && cm_utf8_length(query) <= 2000)
                rules_add_call(run, CHAT_TOOL_RECALL, arguments);
}

static void forget(struct planner_run *run, const struct cm_uuid *id)
{
        struct forget_arguments *arguments = CM_ARENA_NEW(run->arena, struct forget_arguments);

        arguments->memory_id = *id;
        run->has_target = true;
        rules_add_call(run, CHAT_TOOL_FORGET, arguments);
}

/* The memory that the last reply was about: the one it rested on, or the one it stored. */
static const struct cm_uuid *last_memory(const struct planner_run *run)
{
        const struct planner_input *input = run->input;

        for (size_t i = input->recent_count; i > 0; i--) {
                const struct planner_message *last = &input->recent[i - 1];

                if (last->is_from_person)
                        continue;
                if (last->source_count)
                        return last->source_count == 1 ? last->sources : NULL;
                for (size_t j = 0; j < last->round_count; j++)
                        for (size_t k = 0; k < last->rounds[j].count; k++)
                                if (last->rounds[j].calls[k].tool == CHAT_TOOL_REMEMBER &&
                                    last->rounds[j].results[k].status == CHAT_RESULT_DONE) {
                                        const struct memory_note *note =
                                                last->rounds[j].results[k].decoded;

                                        return &note->memory_id;
                                }
                return NULL;
        }
        return NULL;
}

/* ---- reminders */

static bool is_filler(const struct chat_word *word, bool at_end)
{
        static const char *const front[] = { "to",   "that", "about", "me",     "for", "of",
                                             "a",    "an",   "and",   "please", "i",   "should",
                                             "need", "לי",   "בבקשה", "את",     "ש",   "על",
                                             "כדי",  "צריכ", "צריכה", "at",     "on",  "day",
                                             "ב",    NULL };
        static const char *const back[] = { "please", "to",   "and",    "at",    "on",
                                            "in",     "the",  "thanks", "בבקשה", "ב",
                                            "every",  "תודה", "oclock", NULL };

        return chat_word_in(word, at_end ? back : front) && !word->is_number;
}

/* What is left of the words, in the person's own writing. */
static struct cm_str reminder_text(const struct planner_run *run, const size_t *rest, size_t count)
{
        const struct chat_text *text = message(run);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };
        size_t first = 0;

        while (first < count && is_filler(&text->words[rest[first]], false))
                first++;
        while (count > first && is_filler(&text->words[rest[count - 1]], true))
                count--;
        for (size_t i = first; i < count;) {
                size_t last = i;

                while (last + 1 < count && rest[last + 1] == rest[last] + 1)
                        last++;
                if (out.len)
                        cm_buf_add_char(&out, ' ');
                cm_buf_add_str(&out, chat_text_span(text, rest[i], rest[last]));
                i = last + 1;
        }
        return cm_arena_str(run->arena, cm_buf_str(&out));
}

static void prepare_remind(struct planner_run *run)
{
        const struct planner_context *context = &run->input->context;
        const struct when_place place = { context->now, context->zone, context->zone_name };
        struct create_reminder_arguments *arguments =
                CM_ARENA_NEW(run->arena, struct create_reminder_arguments);
        size_t first = run->match.captures[1].first;
        struct when when;
        bool has_when = when_parse(run->arena, message(run), first, &place, &when);

        run->text = reminder_text(run, when.rest, when.rest_count);
        if (!has_when || !when.has_time || !run->text.len || cm_utf8_length(run->text) > 500)
                return;
        arguments->text = run->text;
        arguments->schedule = when.schedule;
        rules_add_call(run, CHAT_TOOL_CREATE_REMINDER, arguments);
}

/* How many words of four letters or more the message and a reminder share. */
static size_t shared_words(const struct planner_run *run, struct cm_str text)
{
        struct chat_text other;
        size_t count = 0;

        if (!chat_text_read(run->arena, text, &other))
                return 0;
        for (size_t i = 0; i < other.count; i++)
                for (size_t j = 0; j < message(run)->count && other.words[i].text.len > 3; j++)
                        count += cm_str_equal(other.words[i].text, message(run)->words[j].text);
        return count;
}

static const struct reminder *meant_reminder(const struct planner_run *run,
                                             const struct reminder_list *list)
{
        const struct reminder *best = NULL;
        size_t most = 0;
        bool is_tie = false;

        if (list->items.count == 1)
                return list->items.items;
        for (size_t i = 0; i < list->items.count; i++) {
                size_t shared = shared_words(run, list->items.items[i].text);

                is_tie = shared == most && most > 0;
                if (shared > most) {
                        most = shared;
                        best = &list->items.items[i];
                }
        }
        return is_tie ? NULL : best;
}

/* ---- rounds */

static void summary(struct planner_run *run)
{
        struct week_summary_arguments *week =
                CM_ARENA_NEW(run->arena, struct week_summary_arguments);
        struct day_summary_arguments *day = CM_ARENA_NEW(run->arena, struct day_summary_arguments);

        run->ago = cm_str_equal(run->match.columns[1], CM_STR("1"));
        if (run->intent == INTENT_WEEK) {
                week->has_weeks_ago = run->ago ? CM_PRESENT : CM_ABSENT;
                week->weeks_ago = run->ago;
                rules_add_call(run, CHAT_TOOL_WEEK_SUMMARY, week);
                return;
        }
        day->has_days_ago = run->ago ? CM_PRESENT : CM_ABSENT;
        day->days_ago = run->ago;
        rules_add_call(run, CHAT_TOOL_DAY_SUMMARY, day);
}

void rules_prepare(struct planner_run *run)
{
        const struct cm_uuid *memory;

        switch (run->intent) {
        case INTENT_WEEK:
        case INTENT_DAY:
                summary(run);
                break;
        case INTENT_REMEMBER:
                prepare_remember(run);
                break;
        case INTENT_RECALL:
                recall(run, message(run)->source);
                break;
        case INTENT_FORGET:
                recall(run, captured(run));
                break;
        case INTENT_FORGET_THAT:
                memory = last_memory(run);
                if (memory)
                        forget(run, memory);
                else if (rules_take_back(run))
                        run->intent = INTENT_TAKE_BACK;
                break;
        case INTENT_TAKE_BACK:
                (void)rules_take_back(run);
                break;
        case INTENT_MOVE:
                rules_move(run);
                break;
        case INTENT_REMIND:
                prepare_remind(run);
                break;
        case INTENT_LIST_REMINDERS:
        case INTENT_CANCEL_REMINDER:
                rules_add_call(run, CHAT_TOOL_LIST_REMINDERS,
                               CM_ARENA_NEW(run->arena, struct list_reminders_arguments));
                break;
        default:
                break;
        }
}

void rules_prepare_again(struct planner_run *run)
{
        const struct chat_tool_result *first = &run->results[0][0];
        struct cancel_reminder_arguments *cancel;
        const struct reminder *reminder;
        const struct memory_notes *notes;

        if (first->status != CHAT_RESULT_DONE)
                return;
        if (run->intent == INTENT_FORGET) {
                notes = first->decoded;
                if (notes->items.count == 1)
                        forget(run, &notes->items.items[0].memory_id);
        } else if (run->intent == INTENT_CANCEL_REMINDER) {
                reminder = meant_reminder(run, first->decoded);
                if (!reminder)
                        return;
                cancel = CM_ARENA_NEW(run->arena, struct cancel_reminder_arguments);
                cancel->reminder_id = reminder->reminder_id;
                run->has_target = true;
                rules_add_call(run, CHAT_TOOL_CANCEL_REMINDER, cancel);
        }
}
