#pragma once
#include "chat.h"

/* A handler's whole answer: the reply at a place of a conversation as a stream; who asks has the
 * right to see it. Suspends. */
int reply_follow_place(struct cm_request *request, const struct cm_uuid *conversation_id,
                       int64_t seq, const struct cm_uuid *reply_id);
/* The same for one that has just begun in this worker: nothing has to be looked up. */
int reply_follow_begun(struct cm_request *request, const struct cm_uuid *conversation_id,
                       int64_t seq, const struct cm_uuid *reply_id);
