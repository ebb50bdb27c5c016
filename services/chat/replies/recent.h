#pragma once
#include "chat.h"
#include "conversations/message_store.h"

/*
 * The messages of a conversation before `seq`, as a planner sees them: input->recent. What
 * `pages` does not have is read, too. Views of it. Suspends.
 */
int recent_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                int64_t seq, const struct message_pages *pages,
                struct planner_input *input) CM_MUST_CHECK;
