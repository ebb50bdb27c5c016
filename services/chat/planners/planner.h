#pragma once
#include "analysis/language.h"
#include "base/time.h"
#include "base/zone.h"
#include "schemas.h"
#include "tools/tools.h"

/*
 * The planner: what decides what is said and done about a message. Two implementations: rules
 * (embedded) and openai (any server that speaks chat completions). The service owns the reply: it
 * asks for steps one by one, stores what was said and done before it asks for the next, and runs
 * the tools itself, each call once.
 *
 *     r = planner->start(planner, input, arena, &run);
 *     while ((r = planner->next(run, &step)) == 0 && step.kind != PLANNER_FINISH)
 *             if (step.kind == PLANNER_SAY)   store and send step.text
 *             if (step.kind == PLANNER_CALL)  run step.calls; planner->answer(run, results)
 *     planner->end(&run);
 *
 * Taking up again, after the process died: start anew with the rounds of calls that have results in
 * input.rounds. Their calls are not asked for again. Text is not kept by planners: `rules` says the
 * whole reply again from its first byte, byte for byte the same for the same input, and the service
 * leaves out what was sent; `openai` cannot, so a reply of which text was sent already ends as
 * interrupted instead of being taken up.
 */
struct planner;
struct planner_run;

/* One round: calls that were made together and what came of them. */
struct planner_round {
        const struct chat_tool_call *calls;
        const struct chat_tool_result *results;
        size_t count;
};

/* A message of the conversation before this one, oldest first. */
struct planner_message {
        bool is_from_person;
        struct cm_str text; /* as it was written, likewise */
        const struct planner_round *rounds;
        size_t round_count;
        const struct cm_uuid *sources; /* memories that the reply rested on */
        size_t source_count;
};

/* What is known of the person. A part that is silent is not known, which is not the same as empty.
 */
struct planner_context {
        cm_time now;
        const struct cm_zone *zone;
        struct cm_str zone_name;
        bool is_health_silent, is_memory_silent, are_reminders_silent, are_wishes_silent;
        const struct week_summary *week;       /* NULL: nothing recorded, or silent */
        const struct memory_notes *memories;   /* recalled for this message; NULL as above */
        const struct reminder_list *reminders; /* NULL as above */
        const struct user_health_data *health; /* height, allergies, …; NULL as above */
        const struct user_context *wishes;     /* how the person wants to be talked to, and goals;
                                                  NULL: never said, or silent */
};

struct planner_input {
        const struct chat_text
                *message; /* as it was written: what leaves the house is hidden by `openai`, with
                             one pseudonym a value over all that goes along */
        enum chat_language reply; /* EN or HE */
        struct planner_context context;
        const struct planner_message *recent;
        size_t recent_count;
        const struct planner_round *rounds; /* done before, when a reply is taken up again */
        size_t round_count;
};

enum planner_step_kind { PLANNER_SAY, PLANNER_CALL, PLANNER_FINISH };

enum planner_finish {
        PLANNER_DONE,
        PLANNER_CUT,       /* the model's limit of length */
        PLANNER_FILTERED,  /* the provider refused */
        PLANNER_TOOL_LIMIT /* too many rounds of tools */
};

struct planner_step {
        enum planner_step_kind kind;
        struct cm_str text;                 /* SAY: the next piece, whole characters */
        const struct chat_tool_call *calls; /* CALL: each valid, none twice */
        size_t call_count;
        enum planner_finish finish;               /* FINISH */
        int64_t prompt_tokens, completion_tokens; /* FINISH; 0: not said */
        const struct cm_uuid *sources;            /* FINISH: memories that the reply rests on */
        size_t source_count;
};

/* Whom a plan wants asked before it starts: bits. */
enum planner_sources {
        PLANNER_ASKS_HEALTH = 1,
        PLANNER_ASKS_MEMORY = 2,
        PLANNER_ASKS_REMINDERS = 4,
        PLANNER_ASKS_ALL = 7
};

/* Input, arena and results must outlive the run. */
struct planner_ops {
        const char *name; /* "rules", "openai" */
        /* Nobody is asked for what the answer does not need: that part of the context is silent. */
        unsigned (*sources)(const struct planner *planner, const struct chat_text *message);
        int (*start)(struct planner *planner, const struct planner_input *input,
                     struct cm_arena *arena, struct planner_run **run_r);
        /* May suspend. Negative: machinery failed; what was said so far stands. */
        int (*next)(struct planner_run *run, struct planner_step *step_r);
        /* The results of the last PLANNER_CALL, in the order of its calls. */
        void (*answer)(struct planner_run *run, const struct chat_tool_result *results);
        /* Ends it at any time; a request that is under way upstream is cancelled. */
        void (*end)(struct planner_run **run);
};

struct planner {
        const struct planner_ops *ops;
};
