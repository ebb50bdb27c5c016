#pragma once
#include "chat.h"

/* A handler's whole answer: the reply at a place of a conversation as a stream; who asks has the
 * right to see it. Suspends. */
int reply_follow_place(struct cm_request *request, const struct cm_uuid *conversation_id,
                       int64_t seq, const struct cm_uuid *reply_id);
