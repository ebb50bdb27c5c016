#pragma once
#include "bus/consumer.h"
#include "chat.h"

/*
 * Replies that never began: the message was stored and said to be taken, and then the process died,
 * or had no room. Whoever comes across one takes it up: the consumer of message.created, whose
 * event was stored with the message, and who asks for the reply (settle.c). A reply that has begun
 * is never made again; when its process dies it ends as interrupted.
 */

/* So long who took a message has time to begin its reply. */
#define REVIVE_GRACE_US CM_SECOND

/* It was said so long ago that its reply may still begin; SALUS_REVIVE_WITHIN. */
bool revive_is_in_time(const struct chat *chat, cm_time said_at, cm_time now);
/* Its process may just be about to begin it. */
bool revive_is_too_early(cm_time said_at, cm_time now);
/*
 * Takes up the reply at a place, unless it has begun, has ended, or its conversation is gone. 0
 * whoever makes it; -CM_E_OVERLOAD when there is no room for it here. Suspends.
 */
int revive(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
           const struct cm_uuid *user_id, int64_t seq) CM_MUST_CHECK;

/* The handlers of chat's own message.created, REVIVE_GRACE_US after it: a fact is a struct
 * message_created. */
int chat_on_message(struct cm_delivery *delivery, const void *fact);
int chat_on_messages(struct cm_delivery *deliveries, const void *const *facts, size_t count);
