#pragma once
#include "phrases/exercise_parse.h"
#include "phrases/phrase.h"
#include "replies/replies.h"
#include "rules_planner.h"

/* What rules_planner.c (the course of a reply), rules_facts.c, rules_correct.c and rules_commands.c
 * share. */
enum intent {
        INTENT_NONE,
        INTENT_HELLO,
        INTENT_THANKS,
        INTENT_HELP,
        INTENT_WEEK,
        INTENT_DAY,
        INTENT_GOALS,
        INTENT_RECALL,
        INTENT_REMEMBER,
        INTENT_FORGET_THAT,
        INTENT_FORGET,
        INTENT_REMIND,
        INTENT_LIST_REMINDERS,
        INTENT_CANCEL_REMINDER,
        INTENT_MOVE,
        INTENT_TAKE_BACK,
        INTENT_FACTS,
        INTENT_ASK_EXERCISE
};

#define RULES_CALLS  12
#define RULES_ROUNDS 2

struct rules {
        struct planner planner; /* first */
        struct phrases *intents;
        struct exercise_lexicon *exercises;
};

struct planner_run {
        const struct rules *rules;
        const struct planner_input *input;
        struct cm_arena *arena;
        const struct replies *replies;

        enum intent intent;
        struct phrase_match match;
        struct fact facts[REPLY_FACTS];
        size_t fact_count;
        size_t fact_calls[REPLY_FACTS]; /* number of the fact's call */
        struct cm_str text;             /* to remember, to be reminded of */
        bool has_target;                /* one reminder or memory that is meant */
        int ago;

        struct chat_tool_call calls[RULES_CALLS]; /* of the present round */
        size_t call_count;
        struct chat_tool_result results[RULES_ROUNDS][RULES_CALLS];
        size_t asked[RULES_ROUNDS]; /* how many calls each had */
        size_t round;               /* rounds that were answered */

        bool is_composed;
        struct cm_buf reply;
        size_t said;
        const struct cm_uuid *sources;
        size_t source_count;
};

void rules_add_call(struct planner_run *run, enum chat_tool_id tool, const void *arguments);
/* What the message says happened: fills facts and calls. False when it says nothing of that. */
bool rules_find_facts(struct planner_run *run);
/* An exercise as it was logged; false when it is not known any more. */
bool rules_exercise_of(const struct planner_run *run, const struct log_exercise_arguments *logged,
                       struct exercise_entry *entry_r);
/* "no, 2 mg": corrects the dose that was recorded last. False when it is not that. */
bool rules_correct_dose(struct planner_run *run);
/* The one fact that was found corrects the one before it, when it says that it does. */
void rules_correct_same(struct planner_run *run);
/* "that was yesterday": all that the last reply recorded. */
void rules_move(struct planner_run *run);
/* "delete that". False when the last reply recorded nothing. has_target: it answered a reminder,
 * too, which stays. */
bool rules_take_back(struct planner_run *run);
/* Calls of a command or question, first round; and of the second one after the first was answered.
 */
void rules_prepare(struct planner_run *run);
void rules_prepare_again(struct planner_run *run);
/* Writes the reply, all calls being answered. */
void rules_compose(struct planner_run *run);
