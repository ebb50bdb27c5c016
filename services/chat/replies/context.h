#pragma once
#include "chat.h"

#define CONTEXT_RECALLED 5 /* memories at most */

/* What a reply knows of the person. */
struct reply_context {
        struct planner_context planner;
        cm_date today;
        char language[36]; /* the account's; "" when not known */
        char time_zone[65];
        struct planner *plans; /* the reply, of context_gather(): the model, unless the flag
                                  chat.model is off for the person */
};

/*
 * Asks whom the plan needs of main-health, memory and scheduler at a time, and the store how the
 * person wants to be talked to, for at most SALUS_CONTEXT_TIMEOUT. Who does not answer is silent,
 * which is no failure. 0, or -CM_E_CANCELLED. Suspends.
 */
int context_gather(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *user_id,
                   const struct chat_text *message, cm_time now,
                   struct reply_context *context_r) CM_MUST_CHECK;
/* The person alone, without asking anybody else. Suspends. */
void context_person(struct chat *chat, const struct cm_uuid *user_id, cm_time now,
                    struct reply_context *context_r);
/* What memories are recalled for: a model is told those only that may leave the house. */
int32_t context_purpose(const struct chat *chat, const struct planner *planner);
