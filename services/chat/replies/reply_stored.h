#pragma once
#include "chat.h"
#include "codec/stream_event.h"
#include "schemas.h"

#define REPLY_STORED_EVENTS 2

/*
 * What a stream says of a reply whose log is gone, behind an id: the content in one piece, and the
 * end. Who has seen a part of it gets the end alone, which names the message. How many.
 */
size_t reply_stored_events(struct cm_arena *arena, const struct cm_uuid *conversation_id,
                           const struct message_document *message, int64_t last_id,
                           struct cm_stream_event events[REPLY_STORED_EVENTS]);
