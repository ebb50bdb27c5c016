#include "rules_internal.h"

/* What is said, all calls being answered. Nothing is claimed that no result says. */

static const struct chat_tool_result *result_of(const struct planner_run *run)
{
        return run->round ? &run->results[run->round - 1][0] : NULL;
}

static bool is_done(const struct chat_tool_result *result)
{
        return result && result->status == CHAT_RESULT_DONE;
}

static void compose_facts(struct planner_run *run)
{
        struct fact stored[REPLY_FACTS];
        size_t count = 0, failed = 0;
        const struct planner_context *context = &run->input->context;

        for (size_t i = 0; i < run->fact_count; i++) {
                size_t call = run->fact_calls[i];

                if (is_done(&run->results[0][call]))
                        stored[count++] = run->facts[i];
                else
                        failed++;
                if (run->facts[i].kind == FACT_DOSE && run->text.data && count &&
                    is_done(&run->results[0][call + 1]))
                        run->has_target = true;
        }
        if (count)
                run->replies->facts(&run->reply, stored, count, context);
        if (run->has_target)
                run->replies->reminder_confirmed(&run->reply, run->text);
        if (failed && count)
                cm_buf_add_char(&run->reply, ' ');
        if (failed)
                run->replies->failed(&run->reply, REPLY_NOT_SAVED);
}

static void compose_take_back(struct planner_run *run)
{
        size_t calls = 0, done = 0;

        for (; calls < RULES_CALLS && run->round && run->asked[0] > calls; calls++)
                done += is_done(&run->results[0][calls]);
        if (!calls)
                run->replies->ask_record(&run->reply);
        if (done)
                run->replies->taken_back(&run->reply, done, run->has_target);
        if (done && done < calls)
                cm_buf_add_char(&run->reply, ' ');
        if (done < calls)
                run->replies->failed(&run->reply, REPLY_NOT_SAVED);
}

static void compose_recall(struct planner_run *run)
{
        const struct chat_tool_result *result = result_of(run);
        const struct memory_notes *notes;
        struct cm_uuid *sources;

        if (!is_done(result)) {
                run->replies->failed(&run->reply, REPLY_NOT_READ);
                return;
        }
        notes = result->decoded;
        if (!notes->items.count) {
                run->replies->nothing_recalled(&run->reply);
                return;
        }
        sources = cm_arena_array(run->arena, notes->items.count, sizeof(*sources));
        for (size_t i = 0; i < notes->items.count; i++)
                sources[i] = notes->items.items[i].memory_id;
        run->sources = sources;
        run->source_count = notes->items.count;
        run->replies->recalled(&run->reply, notes, run->input->context.zone);
}

static void compose_forget(struct planner_run *run)
{
        const struct chat_tool_result *result = result_of(run);
        const struct forget_result *forgotten;
        const struct memory_notes *notes;

        if (run->has_target) {
                if (!is_done(result)) {
                        run->replies->failed(&run->reply, REPLY_NOT_FORGOTTEN);
                        return;
                }
                forgotten = result->decoded;
                run->replies->forgotten(&run->reply, forgotten->forgotten);
                return;
        }
        if (run->intent == INTENT_FORGET_THAT || !result) {
                run->replies->ask_forget(&run->reply, NULL);
                return;
        }
        if (!is_done(result)) {
                run->replies->failed(&run->reply, REPLY_NOT_READ);
                return;
        }
        notes = result->decoded;
        if (notes->items.count)
                run->replies->ask_forget(&run->reply, notes);
        else
                run->replies->nothing_recalled(&run->reply);
}

static void compose_remember(struct planner_run *run)
{
        const struct chat_tool_result *result = result_of(run);
        const struct memory_note *note;

        if (!result) {
                run->replies->not_understood(&run->reply);
                return;
        }
        if (!is_done(result)) {
                run->replies->failed(&run->reply, REPLY_NOT_SAVED);
                return;
        }
        note = result->decoded;
        run->replies->remembered(&run->reply, note->text);
}

static void compose_remind(struct planner_run *run)
{
        const struct chat_tool_result *result = result_of(run);

        if (is_done(result))
                run->replies->reminder_set(&run->reply, result->decoded, &run->input->context);
        else if (result)
                run->replies->failed(&run->reply, REPLY_NOT_SAVED);
        else if (run->text.len)
                run->replies->ask_reminder_time(&run->reply, run->text);
        else
                run->replies->ask_reminder_text(&run->reply);
}

static void compose_reminders(struct planner_run *run)
{
        const struct chat_tool_result *result = result_of(run);
        const struct reminder *reminder;

        if (!is_done(result)) {
                run->replies->failed(&run->reply,
                                     run->has_target ? REPLY_NOT_SAVED : REPLY_NOT_READ);
        } else if (run->intent == INTENT_LIST_REMINDERS) {
                run->replies->reminders(&run->reply, result->decoded, &run->input->context);
        } else if (run->has_target) {
                reminder = result->decoded;
                run->replies->reminder_cancelled(&run->reply, reminder->text);
        } else {
                run->replies->ask_cancel(&run->reply, result->decoded, &run->input->context);
        }
}

static void compose_summary(struct planner_run *run)
{
        const struct chat_tool_result *result = result_of(run);

        if (is_done(result))
                run->replies->summary(&run->reply, result->decoded, run->intent == INTENT_DAY,
                                      run->ago);
        else
                run->replies->failed(&run->reply, REPLY_NOT_READ);
}

static void compose_goals(struct planner_run *run)
{
        const struct planner_context *context = &run->input->context;

        if (context->are_wishes_silent)
                run->replies->failed(&run->reply, REPLY_NOT_READ);
        else
                run->replies->goals(&run->reply,
                                    context->wishes ? &context->wishes->preferences : NULL);
}

void rules_compose(struct planner_run *run)
{
        switch (run->intent) {
        case INTENT_HELLO:
                run->replies->hello(&run->reply);
                break;
        case INTENT_THANKS:
                run->replies->thanks(&run->reply);
                break;
        case INTENT_HELP:
                run->replies->help(&run->reply);
                break;
        case INTENT_WEEK:
        case INTENT_DAY:
                compose_summary(run);
                break;
        case INTENT_GOALS:
                compose_goals(run);
                break;
        case INTENT_RECALL:
                compose_recall(run);
                break;
        case INTENT_REMEMBER:
                compose_remember(run);
                break;
        case INTENT_FORGET_THAT:
        case INTENT_FORGET:
                compose_forget(run);
                break;
        case INTENT_REMIND:
                compose_remind(run);
                break;
        case INTENT_LIST_REMINDERS:
        case INTENT_CANCEL_REMINDER:
                compose_reminders(run);
                break;
        case INTENT_TAKE_BACK:
                compose_take_back(run);
                break;
        case INTENT_MOVE: /* nothing to move */
                run->replies->ask_record(&run->reply);
                break;
        case INTENT_FACTS:
                compose_facts(run);
                break;
        case INTENT_ASK_EXERCISE:
                run->replies->ask_exercise(&run->reply, &run->facts[0].exercise);
                break;
        case INTENT_NONE:
        default:
                run->replies->not_understood(&run->reply);
        }
}
