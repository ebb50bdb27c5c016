#include "reply_stored.h"

#include "chat_api.h"
#include "errors.h"

static struct cm_stream_event event_of(struct cm_arena *arena, int64_t id,
                                       const struct cm_event_type *type, const void *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };

        cm_schema_encode(type->schema, value, &json);
        return (struct cm_stream_event){ id, cm_str_from(type->name),
                                         cm_arena_str(arena, cm_buf_str(&json)) };
}

static struct cm_stream_event last_event(struct cm_arena *arena, int64_t id,
                                         const struct cm_uuid *conversation_id,
                                         const struct message_document *message)
{
        const struct reply_done done = {
                .message_id = message->id,
                .conversation_id = *conversation_id,
                .seq = message->seq,
                .state = message->state,
                .has_sources = message->has_sources,
                .sources = { message->sources.items, message->sources.count },
        };
        struct stream_error error = { .code = CM_STR(CM_CODE_INTERRUPTED) };

        if (message->state == REPLY_STATE_COMPLETE || message->state == REPLY_STATE_STOPPED)
                return event_of(arena, id, &reply_event_done, &done);
        if (message->state == REPLY_STATE_FAILED)
                error.code = CM_STR(CM_CODE_INTERNAL);
        error.title = cm_str_from(cm_error_code_find(error.code.data)->title);
        return event_of(arena, id, &reply_event_error, &error);
}

size_t reply_stored_events(struct cm_arena *arena, const struct cm_uuid *conversation_id,
                           const struct message_document *message, int64_t last_id,
                           struct cm_stream_event events[REPLY_STORED_EVENTS])
{
        const struct reply_delta delta = { .text = message->content };
        size_t count = 0;

        if (last_id == 0 && message->content.len)
                events[count++] = event_of(arena, ++last_id, &reply_event_delta, &delta);
        events[count++] = last_event(arena, last_id + 1, conversation_id, message);
        return count;
}
