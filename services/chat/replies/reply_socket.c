#include "base/error.h"
#include "chat_api.h"
#include "conversations/message_store.h"
#include "conversations/reply_place_store.h"
#include "errors.h"
#include "http/websocket.h"
#include "reply.h"
#include "reply_stored.h"

/*
 * Replies over a WebSocket: the same logs as over SSE, several at a time. A subscription ends with
 * exactly one last event. What fails for one of them is said as its `error`, so that the others go
 * on.
 */
struct subscription {
        struct cm_websocket *socket;
        struct chat *chat;
        struct cm_arena *arena;
        const struct cm_uuid *user_id, *reply_id;
        int64_t last_id;
        struct cm_uuid conversation_id;
        struct message_document message;
};

static int say_error(struct cm_websocket *socket, const struct cm_uuid *reply_id, const char *code)
{
        const struct stream_error error = { .code = cm_str_from(code),
                                            .title = cm_str_from(cm_error_code_find(code)->title) };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct cm_stream_event event = { 0, cm_str_from(reply_event_error.name), CM_STR_NONE };

        cm_schema_encode(&stream_error_schema, &error, &json);
        event.data = cm_buf_str(&json);
        cm_websocket_send(socket, reply_id, &event);
        return 0;
}

static int say_unsubscribed(struct cm_websocket *socket, const struct cm_uuid *reply_id,
                            const char *reason)
{
        const struct reply_unsubscribed told = { .reason = cm_str_from(reason) };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct cm_stream_event event = { 0, cm_str_from(reply_event_unsubscribed.name),
                                         CM_STR_NONE };

        cm_schema_encode(&reply_unsubscribed_schema, &told, &json);
        event.data = cm_buf_str(&json);
        cm_websocket_send(socket, reply_id, &event);
        return 0;
}

/* ---- subscribing */

/* 0, MESSAGE_NONE or an error. */
static int find(struct subscription *it)
{
        struct reply_document place;
        int r = reply_place_find_fresh(it->chat, it->arena, it->reply_id, it->user_id, &place);

        if (r)
                return r;
        it->conversation_id = place.conversation_id;
        r = message_store_find(it->chat, it->arena, &place.conversation_id, place.seq,
                               &it->message);
        if (r == 0 && !cm_uuid_equal(&it->message.id, it->reply_id))
                return MESSAGE_NONE;
        return r;
}

/* 0, CM_EVENT_LOG_NONE or an error. */
static int follow(struct subscription *it)
{
        struct cm_event_follower *follower;
        int r = cm_event_follower_new(it->chat->logs, it->reply_id, it->last_id, &follower);

        if (r)
                return r;
        if (cm_event_follower_is_behind_end(follower)) {
                cm_event_follower_free(&follower);
                return say_unsubscribed(it->socket, it->reply_id, "seen");
        }
        r = cm_websocket_follow(it->socket, follower);
        if (r)
                cm_event_follower_free(&follower);
        return r;
}

static void say_stored(struct subscription *it)
{
        struct cm_stream_event events[REPLY_STORED_EVENTS];
        size_t count = reply_stored_events(it->arena, &it->conversation_id, &it->message,
                                           it->last_id, events);

        for (size_t i = 0; i < count; i++)
                cm_websocket_send(it->socket, it->reply_id, &events[i]);
}

/* Its log is not there: it never began and may begin now, or it was stored long ago. */
static int follow_stored(struct subscription *it)
{
        int r = reply_settle(it->chat, it->arena, &it->conversation_id, it->user_id, &it->message);

        if (r == 0 && it->message.state == REPLY_STATE_STREAMING) {
                r = follow(it);
                return r == CM_EVENT_LOG_NONE ? -CM_E_UNAVAILABLE : r;
        }
        if (r == 0)
                say_stored(it);
        return r;
}

static int subscribe(struct subscription *it)
{
        int r = find(it);

        if (r == MESSAGE_NONE)
                return say_error(it->socket, it->reply_id, CM_CODE_NOT_FOUND);
        if (r == 0)
                r = follow(it);
        if (r == CM_EVENT_LOG_NONE)
                r = follow_stored(it);
        if (r == -CM_E_OVERLOAD)
                return say_error(it->socket, it->reply_id, CM_CODE_OVERLOADED);
        if (r == -CM_E_UNAVAILABLE || r == -CM_E_DEADLINE)
                return say_error(it->socket, it->reply_id, CM_CODE_UNAVAILABLE);
        return r > 0 ? -CM_E_INTERNAL : r;
}

/* ---- the socket */

static int on_message(struct cm_websocket *socket, const void *message, void *arg)
{
        const struct reply_socket_message *in = message;
        struct cm_request *request = cm_websocket_request(socket);
        struct cm_arena arena;
        struct subscription it = {
                .socket = socket,
                .chat = arg,
                .arena = &arena,
                .user_id = &cm_request_claims(request)->sub,
                .reply_id = &in->reply_id,
                .last_id = in->has_last_event_id == CM_PRESENT ? in->last_event_id : 0,
        };
        int r;

        if (in->action == REPLY_SOCKET_ACTION_UNSUBSCRIBE)
                return cm_websocket_unfollow(socket, &in->reply_id)
                               ? say_unsubscribed(socket, &in->reply_id, "asked")
                               : 0;
        (void)cm_websocket_unfollow(socket, &in->reply_id);
        cm_arena_init(&arena, 4096);
        r = subscribe(&it);
        cm_arena_deinit(&arena);
        return r;
}

/* A reader may just have seen the end of a reply whose process has died. */
static int on_end(struct cm_websocket *socket, const struct cm_uuid *reply_id, void *arg)
{
        struct cm_arena arena;
        struct subscription it = { .chat = arg,
                                   .arena = &arena,
                                   .user_id = &cm_request_claims(cm_websocket_request(socket))->sub,
                                   .reply_id = reply_id };

        cm_arena_init(&arena, 4096);
        if (find(&it) == 0)
                (void)!reply_settle(it.chat, &arena, &it.conversation_id, it.user_id, &it.message);
        cm_arena_deinit(&arena);
        return 0; /* who reads the message next tries again */
}

int reply_socket(struct cm_request *request)
{
        const struct cm_websocket_config config = { .message = on_message,
                                                    .ended = on_end,
                                                    .arg = cm_request_service(request) };

        return cm_websocket_serve(request, &config);
}
