#include "reply_routes.h"

#include "base/error.h"
#include "chat_api.h"
#include "errors.h"
#include "http/event_follow.h"
#include "http/event_stream.h"
#include "message_store.h"
#include "reply.h"

/* Following and stopping a reply: while its log is there from the log, afterwards from the page. */

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

/* The log is gone: the content in one piece. Who has seen a part of it gets the end alone, which
 * names the message. */
static int serve_stored(struct cm_request *request, const struct cm_uuid *conversation_id,
                        const struct message_document *message)
{
        struct cm_arena *arena = cm_request_arena(request);
        const struct reply_delta delta = { .text = message->content };
        struct cm_stream_event event;
        struct cm_event_stream *stream;
        int64_t last_id;
        int r;

        if (cm_request_last_event_id(request, &last_id))
                return 0;
        if (message->state == REPLY_STATE_STREAMING)
                return -CM_E_UNAVAILABLE; /* who makes it cannot be asked at the moment */
        r = cm_event_stream_open(request, &stream);
        if (r)
                return r < 0 ? r : 0;
        if (last_id == 0 && message->content.len) {
                event = event_of(arena, ++last_id, &reply_event_delta, &delta);
                r = cm_event_stream_send(stream, &event);
        }
        if (r == 0) {
                event = last_event(arena, last_id + 1, conversation_id, message);
                r = cm_event_stream_send(stream, &event);
        }
        return cm_event_stream_close(stream, r);
}

int reply_follow_place(struct cm_request *request, const struct cm_uuid *conversation_id,
                       int64_t seq, const struct cm_uuid *reply_id)
{
        struct chat *chat = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        struct message_document message;
        int r = message_store_find(chat, arena, conversation_id, seq, &message);
        int followed;

        if (r < 0)
                return r;
        if (r > 0 || !cm_uuid_equal(&message.id, reply_id))
                return cm_reply_not_found(request);
        followed = cm_event_follow(request, chat->logs, reply_id);
        if (followed < 0)
                return followed;
        /* A reader may just have seen the end of a reply whose process has died. */
        r = reply_settle(chat, arena, conversation_id, user_id, &message);
        if (followed != CM_EVENT_LOG_NONE)
                return 0;
        if (r == 0 && message.state == REPLY_STATE_STREAMING) { /* it may have been taken up */
                followed = cm_event_follow(request, chat->logs, reply_id);
                if (followed != CM_EVENT_LOG_NONE)
                        return followed;
        }
        return r < 0 ? r : serve_stored(request, conversation_id, &message);
}

int reply_follow(struct cm_request *request, const struct reply_follow_params *params)
{
        struct reply_document place;
        int r = reply_place_find(cm_request_service(request), cm_request_arena(request),
                                 &params->reply_id, &cm_request_claims(request)->sub, &place);

        if (r)
                return r < 0 ? r : cm_reply_not_found(request);
        return reply_follow_place(request, &place.conversation_id, place.seq, &params->reply_id);
}

int reply_stop(struct cm_request *request, const struct reply_stop_params *params)
{
        struct chat *chat = cm_request_service(request);
        struct reply_document place;
        int r = reply_place_find(chat, cm_request_arena(request), &params->reply_id,
                                 &cm_request_claims(request)->sub, &place);

        if (r)
                return r < 0 ? r : cm_reply_not_found(request);
        r = cm_event_log_stop(chat->logs, &params->reply_id);
        return r < 0 ? r : cm_reply_empty(request, 204);
}
