#pragma once
#include "chat.h"

/*
 * Tools are run here: each is one call to the service that owns the matter. The key of a call that
 * writes is the reply's id and the call's number, so however often it is sent, it is done once.
 */
struct tool_scene {
        struct chat *chat;
        struct cm_arena *arena;
        struct cm_uuid user_id, reply_id, conversation_id, message_id;
        enum chat_language language;
        const struct planner_context *context;
        struct cm_str asked; /* what context->memories were recalled for */
        int32_t asked_for;   /* and for whom, enum memory_purpose */
        int32_t purpose;     /* for whom memories are recalled now */
        cm_date today;       /* of the person */
        cm_time now;
};

/* Never fails: what could not be done is in the result. `index` counts the calls of the reply, from
 * 0. Suspends, at most SALUS_TOOL_TIMEOUT. */
struct chat_tool_result tool_call_run(const struct tool_scene *scene,
                                      const struct chat_tool_call *call, size_t index);

/* Shapes of other services as those of tools; in the arena. */
struct memory_notes *tool_notes(struct cm_arena *arena, const struct recall_answer *answer);
struct reminder_list *tool_reminders(struct cm_arena *arena, const struct schedule_list_reply *list,
                                     cm_time now);
