#include "rules_planner.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "rules_internal.h"

/*
 * The course of a reply: recognise, call (once, or twice when one must look first), compose, say it
 * in pieces. What is recognised stands in data/intents.tsv; what is said, in replies_*.c.
 */
#define PIECE 32 /* bytes of a piece of text at least, to the next blank */

static const struct {
        const char *name;
        enum intent intent;
} intents[] = {
        { "hello", INTENT_HELLO },
        { "thanks", INTENT_THANKS },
        { "help", INTENT_HELP },
        { "week", INTENT_WEEK },
        { "day", INTENT_DAY },
        { "goals", INTENT_GOALS },
        { "recall", INTENT_RECALL },
        { "remember", INTENT_REMEMBER },
        { "forget_that", INTENT_FORGET_THAT },
        { "forget", INTENT_FORGET },
        { "remind", INTENT_REMIND },
        { "list_reminders", INTENT_LIST_REMINDERS },
        { "cancel_reminder", INTENT_CANCEL_REMINDER },
        { "move", INTENT_MOVE },
        { "take_back", INTENT_TAKE_BACK },
        { "mood", INTENT_FACTS },
        { "sleep", INTENT_FACTS },
        { "symptom", INTENT_FACTS },
        { "dose", INTENT_FACTS },
};

static enum intent intent_of(struct cm_str name)
{
        for (size_t i = 0; i < CM_COUNT(intents); i++)
                if (cm_str_equal(name, cm_str_from(intents[i].name)))
                        return intents[i].intent;
        return INTENT_NONE;
}

/* The first phrase of the table that matches, of commands and questions. */
static enum intent recognise(const struct rules *rules, const struct chat_text *message,
                             struct phrase_match *match_r)
{
        struct phrase_match match = { 0 };
        enum intent found = INTENT_NONE;
        size_t place = 0, best = SIZE_MAX;

        while (phrases_next(rules->intents, message, &place, &match)) {
                enum intent intent = intent_of(match.columns[0]);

                if (intent == INTENT_FACTS || match.phrase >= best)
                        continue;
                best = match.phrase;
                *match_r = match;
                found = intent;
        }
        return found;
}

/* Facts are answered with the week's, and a dose may be that of a reminder. */
static unsigned sources(const struct planner *planner, const struct chat_text *message)
{
        struct phrase_match match = { 0 };

        switch (recognise(CM_CONTAINER(planner, struct rules, planner), message, &match)) {
        case INTENT_NONE:
                return PLANNER_ASKS_HEALTH | PLANNER_ASKS_REMINDERS;
        case INTENT_RECALL:
                return PLANNER_ASKS_MEMORY;
        default:
                return 0;
        }
}

/* "remember to take my meds at 8" asks for a reminder. */
static void correct_remember(struct planner_run *run)
{
        const struct chat_word *word = &run->input->message->words[run->match.captures[1].first];

        if (run->intent == INTENT_REMEMBER && cm_str_equal(word->text, CM_STR("to")))
                run->intent = INTENT_REMIND;
}

void rules_add_call(struct planner_run *run, enum chat_tool_id tool, const void *arguments)
{
        struct chat_tool_call call = chat_tool_call_make(run->arena, tool, arguments);

        CM_ASSERT(run->call_count < RULES_CALLS);
        call.id = cm_arena_printf(run->arena, "call_%d_%d", (int)run->round + 1,
                                  (int)run->call_count + 1);
        run->calls[run->call_count++] = call;
}

static int start(struct planner *planner, const struct planner_input *input, struct cm_arena *arena,
                 struct planner_run **run_r)
{
        struct planner_run *run = CM_ARENA_NEW(arena, struct planner_run);

        run->rules = CM_CONTAINER(planner, struct rules, planner);
        run->input = input;
        run->arena = arena;
        run->replies = input->reply == CHAT_LANGUAGE_HE ? &replies_he : &replies_en;
        run->intent = recognise(run->rules, input->message, &run->match);
        correct_remember(run);
        if (run->intent == INTENT_NONE && !rules_find_facts(run))
                run->intent = INTENT_NONE;
        rules_prepare(run);
        *run_r = run;
        return 0;
}

static void answer(struct planner_run *run, const struct chat_tool_result *results)
{
        CM_ASSERT(run->call_count > 0 && run->round < RULES_ROUNDS);
        memcpy(run->results[run->round], results, run->call_count * sizeof(*results));
        run->asked[run->round] = run->call_count;
        run->call_count = 0;
        run->round++;
        if (run->round == 1)
                rules_prepare_again(run);
}

/* The next piece: some words, whole characters. */
static struct cm_str next_piece(struct planner_run *run)
{
        struct cm_str all = cm_buf_str(&run->reply);
        size_t end = run->said + PIECE;
        struct cm_str piece;

        while (end < all.len && all.data[end - 1] != ' ' && all.data[end - 1] != '\n')
                end++;
        end = end < all.len ? end : all.len;
        piece = (struct cm_str){ all.data + run->said, end - run->said };
        run->said = end;
        return cm_arena_str(run->arena, piece);
}

static int next(struct planner_run *run, struct planner_step *step)
{
        *step = (struct planner_step){ .kind = PLANNER_FINISH };
        while (run->call_count) {
                /* Done before this process took the reply up. */
                if (run->round < run->input->round_count &&
                    run->input->rounds[run->round].count == run->call_count) {
                        answer(run, run->input->rounds[run->round].results);
                        continue;
                }
                step->kind = PLANNER_CALL;
                step->calls = run->calls;
                step->call_count = run->call_count;
                return 0;
        }
        if (!run->is_composed) {
                rules_compose(run);
                run->is_composed = true;
        }
        if (run->said < run->reply.len) {
                step->kind = PLANNER_SAY;
                step->text = next_piece(run);
                return 0;
        }
        step->finish = PLANNER_DONE;
        step->sources = run->sources;
        step->source_count = run->source_count;
        return 0;
}

static void end(struct planner_run **run)
{
        if (*run)
                cm_buf_deinit(&(*run)->reply);
        *run = NULL;
}

static const struct planner_ops rules_ops = {
        .name = "rules",
        .sources = sources,
        .start = start,
        .next = next,
        .answer = answer,
        .end = end,
};

static const char *unknown_intent(struct cm_str table)
{
        struct cm_str line, name;

        while (cm_str_split(&table, '\n', &line))
                if (line.len && line.data[0] != '#' && line.data[0] != '@' &&
                    cm_str_split(&line, '\t', &name) && intent_of(name) == INTENT_NONE)
                        return "a line has an intent that is not known";
        return NULL;
}

struct planner *rules_planner_new(const struct rules_tables *tables, const char **error_r)
{
        struct rules *rules = CM_NEW(struct rules);
        struct planner *planner = &rules->planner;

        planner->ops = &rules_ops;
        *error_r = unknown_intent(tables->intents);
        rules->intents = *error_r ? NULL : phrases_new(tables->intents, error_r);
        rules->exercises = rules->intents ? exercise_lexicon_new(tables->exercises, error_r) : NULL;
        if (!rules->exercises)
                rules_planner_free(&planner);
        return planner;
}

void rules_planner_free(struct planner **planner)
{
        struct rules *rules = *planner ? CM_CONTAINER(*planner, struct rules, planner) : NULL;

        if (!rules)
                return;
        phrases_free(&rules->intents);
        exercise_lexicon_free(&rules->exercises);
        cm_free(rules);
        *planner = NULL;
}
