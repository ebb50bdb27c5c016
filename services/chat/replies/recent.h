#pragma once
#include "chat.h"
#include "conversations/message_store.h"

/*
 * The messages of a conversation before `seq`, as a planner sees them: input->recent, views of
 * `known` (of message_store_last()). Reads them, and suspends, when they are not all there.
 */
int recent_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                int64_t seq, const struct cm_items *known,
                struct planner_input *input) CM_MUST_CHECK;
