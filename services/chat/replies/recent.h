#pragma once
#include "chat.h"

/*
 * The messages of a conversation before `seq`, as a planner sees them: input->recent. `page` is the
 * one that has `seq`, or has no messages: then that is read, too. Views of it. Suspends.
 */
int recent_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                int64_t seq, const struct message_page_document *page,
                struct planner_input *input) CM_MUST_CHECK;
