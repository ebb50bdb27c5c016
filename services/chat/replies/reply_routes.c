#include "reply_routes.h"

#include "base/error.h"
#include "chat_api.h"
#include "conversations/message_store.h"
#include "conversations/reply_place_store.h"
#include "errors.h"
#include "http/event_follow.h"
#include "http/event_stream.h"
#include "reply.h"
#include "reply_stored.h"
#include "revive.h"

/* Following and stopping a reply: while its log is there from the log, afterwards from the page. */

static int serve_stored(struct cm_request *request, const struct cm_uuid *conversation_id,
                        const struct message_document *message)
{
        struct cm_stream_event events[REPLY_STORED_EVENTS];
        struct cm_event_stream *stream;
        int64_t last_id;
        size_t count;
        int r;

        if (cm_request_last_event_id(request, &last_id))
                return 0;
        if (message->state == REPLY_STATE_STREAMING)
                return -CM_E_UNAVAILABLE; /* who makes it cannot be asked at the moment */
        count = reply_stored_events(cm_request_arena(request), conversation_id, message, last_id,
                                    events);
        r = cm_event_stream_open(request, &stream);
        if (r)
                return r < 0 ? r : 0;
        for (size_t i = 0; i < count && r == 0; i++)
                r = cm_event_stream_send(stream, &events[i]);
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

int reply_follow_begun(struct cm_request *request, const struct cm_uuid *conversation_id,
                       int64_t seq, const struct cm_uuid *reply_id)
{
        struct chat *chat = cm_request_service(request);
        int r = cm_event_follow(request, chat->logs, reply_id);

        return r == CM_EVENT_LOG_NONE ? reply_follow_place(request, conversation_id, seq, reply_id)
                                      : r;
}

int reply_follow(struct cm_request *request, const struct reply_follow_params *params)
{
        struct reply_document place;
        int r = reply_place_find_fresh(cm_request_service(request), cm_request_arena(request),
                                       &params->reply_id, &cm_request_claims(request)->sub, &place);

        if (r)
                return r < 0 ? r : cm_reply_not_found(request);
        return reply_follow_place(request, &place.conversation_id, place.seq, &params->reply_id);
}

/* Nobody makes it, or nobody yet: when it is certain that it has not begun it is stored as stopped,
 * and will not be taken up. */
static int stop_unbegun(struct cm_request *request, const struct reply_document *place,
                        const struct cm_uuid *reply_id)
{
        struct chat *chat = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        cm_time now = cm_now(&cm_clock_system);
        struct message_document message;
        bool begun;
        int r = cm_event_log_are_begun(chat->logs, reply_id, 1, &begun);

        if (r || begun) /* who began it has died: whoever reads it next says so */
                return r;
        r = message_store_find(chat, arena, &place->conversation_id, place->seq, &message);
        if (r || !cm_uuid_equal(&message.id, reply_id) || message.state != REPLY_STATE_STREAMING)
                return r < 0 ? r : 0;
        if (revive_is_too_early(message.created_at, now))
                return -CM_E_UNAVAILABLE; /* it may be beginning: ask again */
        message.state = REPLY_STATE_STOPPED;
        message.updated_at = now;
        r = message_store_finish(chat, arena, &place->conversation_id, &place->user_id, &message);
        return r < 0 ? r : 0;
}

int reply_stop(struct cm_request *request, const struct reply_stop_params *params)
{
        struct chat *chat = cm_request_service(request);
        struct reply_document place;
        int r = reply_place_find_fresh(chat, cm_request_arena(request), &params->reply_id,
                                       &cm_request_claims(request)->sub, &place);

        if (r)
                return r < 0 ? r : cm_reply_not_found(request);
        r = cm_event_log_stop(chat->logs, &params->reply_id);
        if (r == CM_EVENT_LOG_NONE)
                r = stop_unbegun(request, &place, &params->reply_id);
        return r < 0 ? r : cm_reply_empty(request, 204);
}
