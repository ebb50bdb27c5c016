#pragma once
#include "chat.h"

/* The messages of a conversation before `seq`, as a planner sees them: input->recent. Suspends. */
int recent_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                int64_t seq, struct planner_input *input) CM_MUST_CHECK;
