#include "http/websocket.h"

#include <string.h>
#include <wslay/wslay.h>

#include "base/assert.h"
#include "base/error.h"
#include "errors.h"
#include "http/websocket_internal.h"
#include "schemas.h"
#include "sys/log.h"

/*
 * One fiber attends to a socket: it reads what the client sent, sends what the logs have, and waits
 * for either. wslay speaks the protocol, over the connection's own buffers. It never holds anything
 * back: what it writes is in the connection's output when flush() returns.
 *
 * Nothing is read or sent while too much waits for the client; one that stays so is cut. Nor is a
 * message taken while the one before is being worked on: a client that sends too fast waits, and
 * does not keep its own streams from being sent.
 */
#define QUIET_BEATS 3 /* without a sign of life: the client is gone */

enum closing { OPEN, CLOSE_QUEUED, CLOSED };

struct cm_websocket {
        struct cm_request *request;
        const struct cm_websocket_config *config;
        wslay_event_context_ptr wslay;
        struct cm_bell bell;
        struct cm_event_follower *followers[CM_WEBSOCKET_STREAMS];
        size_t follower_count;
        enum closing closing;
        bool may_have_news;
        bool took_message; /* in this turn: streams and time come before the next */
        struct cm_buf frame;
        int64_t heard_us; /* from the client */
        int64_t beat_us;  /* when a ping is due */
        int64_t expires_us;
        int64_t blocked_us; /* since when too much waits for the client; 0: it does not */
};

static struct cm_metric sockets = CM_GAUGE("salus_http_websockets", "Open WebSockets");
static struct cm_metric messages =
        CM_COUNTER("salus_http_websocket_messages_total", "Messages of clients over WebSockets");

static const struct cm_stream_limits *limits_of(const struct cm_websocket *socket)
{
        return &socket->request->server->config.streams;
}

struct cm_request *cm_websocket_request(struct cm_websocket *socket)
{
        return socket->request;
}

static bool is_blocked(const struct cm_websocket *socket)
{
        return cm_output_pending(socket->request->connection) > limits_of(socket)->pending_out;
}

static bool is_gone(const struct cm_websocket *socket)
{
        return socket->request->connection->broken || socket->request->connection->eof;
}

/* ---- sending */

static void flush(struct cm_websocket *socket)
{
        if (wslay_event_want_write(socket->wslay) && wslay_event_send(socket->wslay) != 0)
                cm_connection_abort(socket->request->connection);
        if (!wslay_event_get_write_enabled(socket->wslay))
                socket->closing = CLOSED;
        cm_connection_schedule(socket->request->connection);
}

static void send_frame(struct cm_websocket *socket, const struct stream_frame *frame)
{
        struct wslay_event_msg message = { .opcode = WSLAY_TEXT_FRAME };

        if (socket->closing != OPEN)
                return;
        cm_buf_reset(&socket->frame);
        cm_schema_encode(&stream_frame_schema, frame, &socket->frame);
        message.msg = (const uint8_t *)socket->frame.data;
        message.msg_length = socket->frame.len;
        if (wslay_event_queue_msg(socket->wslay, &message) != 0)
                cm_connection_abort(socket->request->connection);
        flush(socket);
}

static void send_event(struct cm_websocket *socket, const struct cm_uuid *stream,
                       const struct cm_stream_event *event)
{
        struct stream_frame frame = { .event = event->type, .data = event->data };

        if (stream) {
                frame.stream = *stream;
                frame.has_stream = CM_PRESENT;
        }
        if (event->id) {
                frame.id = event->id;
                frame.has_id = CM_PRESENT;
        }
        send_frame(socket, &frame);
}

void cm_websocket_send(struct cm_websocket *socket, const struct cm_uuid *stream,
                       const struct cm_stream_event *event)
{
        send_event(socket, stream, event);
}

void cm_websocket_close(struct cm_websocket *socket, int code)
{
        if (socket->closing != OPEN)
                return;
        if (wslay_event_queue_close(socket->wslay, (uint16_t)code, NULL, 0) != 0)
                cm_connection_abort(socket->request->connection);
        socket->closing = CLOSE_QUEUED;
        flush(socket);
}

/* A fault that wslay has answered with a close without a code, or did not see. */
static void close_instead(struct cm_websocket *socket, int code)
{
        const char frame[] = { (char)(0x80 | WSLAY_CONNECTION_CLOSE), 2, (char)(code >> 8),
                               (char)code };

        if (socket->closing == CLOSED)
                return;
        cm_connection_send(socket->request->connection, (struct cm_str){ frame, sizeof(frame) });
        socket->closing = CLOSED;
}

/* What a client sent does not fit its schema. */
static void send_faults(struct cm_websocket *socket, int outcome, const struct cm_faults *faults)
{
        const char *code = outcome == CM_DECODE_NOT_JSON ? CM_CODE_BAD_REQUEST : CM_CODE_INVALID;
        const struct cm_error_code *known = cm_error_code_find(code);
        struct problem_fault items[CM_COUNT(faults->items)];
        struct problem problem = { .type = CM_STR("about:blank"),
                                   .title = cm_str_from(known->title),
                                   .status = known->status,
                                   .code = cm_str_from(code),
                                   .errors = { items, faults->count },
                                   .has_errors = CM_PRESENT };
        struct cm_buf json = { 0 };

        for (size_t i = 0; i < faults->count; i++)
                items[i] =
                        (struct problem_fault){ faults->items[i].pointer, faults->items[i].detail };
        cm_schema_encode(&problem_schema, &problem, &json);
        cm_websocket_send(socket, NULL,
                          &(struct cm_stream_event){ 0, CM_STR("invalid"), cm_buf_str(&json) });
        cm_buf_deinit(&json);
}

static void close_if_failed(struct cm_websocket *socket, int r)
{
        if (r >= 0)
                return;
        cm_log(CM_LOG_WARN, "what a WebSocket asked for failed", CM_F_ERROR(r));
        cm_websocket_close(socket, CM_WEBSOCKET_INTERNAL);
}

/* ---- receiving */

static void take_message(struct cm_websocket *socket, struct cm_str text)
{
        const struct cm_schema *schema = socket->request->match.endpoint->route->messages;
        struct cm_faults faults = { 0 };
        struct cm_arena arena;
        void *message;
        int r;

        cm_counter_add(&messages, 1);
        socket->took_message = true;
        if (!schema || !socket->config->message) {
                cm_websocket_close(socket, CM_WEBSOCKET_UNSUPPORTED);
                return;
        }
        cm_arena_init(&arena, 1024);
        message = cm_arena_alloc(&arena, schema->size);
        r = cm_schema_decode(schema, text, &arena, message, &faults);
        cm_request_renew_deadline(socket->request);
        if (r > 0)
                send_faults(socket, r, &faults);
        else if (r == 0)
                r = socket->config->message(socket, message, socket->config->arg);
        close_if_failed(socket, r);
        cm_arena_deinit(&arena);
}

/* wslay has queued the answer, but looks at the reason only as far as it came in one piece. */
static void take_close(struct cm_websocket *socket, struct cm_str payload)
{
        const struct cm_str reason = { payload.data + 2, payload.len - 2 };

        socket->closing = CLOSE_QUEUED;
        if (payload.len > 2 && !cm_utf8_is_valid(reason))
                close_instead(socket, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA);
}

static void on_message(wslay_event_context_ptr wslay CM_UNUSED,
                       const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
        struct cm_websocket *socket = user;

        if (socket->closing != OPEN)
                return;
        if (arg->opcode == WSLAY_TEXT_FRAME)
                take_message(socket, (struct cm_str){ (const char *)arg->msg, arg->msg_length });
        else if (arg->opcode == WSLAY_BINARY_FRAME)
                cm_websocket_close(socket, CM_WEBSOCKET_UNSUPPORTED);
        else if (arg->opcode == WSLAY_CONNECTION_CLOSE)
                take_close(socket, (struct cm_str){ (const char *)arg->msg, arg->msg_length });
        else
                flush(socket); /* the pong goes before the answer to a close right behind */
}

/* wslay asks for input: what the connection has read. Nothing is given while too much waits to be
 * sent, nor after the end. */
static ssize_t on_receive(wslay_event_context_ptr wslay, uint8_t *out, size_t len,
                          int flags CM_UNUSED, void *user)
{
        struct cm_websocket *socket = user;
        struct cm_input *input = &socket->request->connection->input;
        size_t n = input->end - input->start;

        if (!n || is_blocked(socket) || socket->closing != OPEN || socket->took_message) {
                wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
                return -1;
        }
        if (n > len)
                n = len;
        memcpy(out, input->data + input->start, n);
        input->start += n;
        if (input->start == input->end)
                input->start = input->end = input->base;
        return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr wslay CM_UNUSED, const uint8_t *data, size_t len,
                       int flags CM_UNUSED, void *user)
{
        struct cm_websocket *socket = user;

        cm_connection_send(socket->request->connection, (struct cm_str){ (const char *)data, len });
        return (ssize_t)len;
}

static void receive_frames(struct cm_websocket *socket)
{
        if (wslay_event_recv(socket->wslay) != 0) {
                close_instead(socket, WSLAY_CODE_PROTOCOL_ERROR);
                return;
        }
        if (!wslay_event_get_read_enabled(socket->wslay))
                socket->closing = socket->closing == CLOSED ? CLOSED : CLOSE_QUEUED;
        if (socket->closing != CLOSED)
                flush(socket);
}

/* wslay takes a close of one byte for one without a code. */
static void on_frame(wslay_event_context_ptr wslay CM_UNUSED,
                     const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
        if (arg->opcode == WSLAY_CONNECTION_CLOSE && arg->payload_length == 1)
                close_instead(user, WSLAY_CODE_PROTOCOL_ERROR);
}

static void receive(struct cm_websocket *socket)
{
        struct cm_connection *connection = socket->request->connection;

        socket->took_message = false;
        while (!connection->broken && socket->closing == OPEN && !is_blocked(socket) &&
               !socket->took_message) {
                if (connection->input.start == connection->input.end &&
                    (connection->eof || !cm_connection_fill(connection) || connection->eof))
                        break;
                if (connection->broken)
                        break;
                socket->heard_us = cm_monotonic_us();
                receive_frames(socket);
        }
        if (socket->closing == CLOSE_QUEUED)
                flush(socket);
}

/* ---- streams */

static void drop_follower(struct cm_websocket *socket, size_t index)
{
        cm_event_follower_free(&socket->followers[index]);
        socket->followers[index] = socket->followers[--socket->follower_count];
        socket->followers[socket->follower_count] = NULL;
}

bool cm_websocket_unfollow(struct cm_websocket *socket, const struct cm_uuid *stream)
{
        for (size_t i = 0; i < socket->follower_count; i++)
                if (cm_uuid_equal(cm_event_follower_id(socket->followers[i]), stream)) {
                        drop_follower(socket, i);
                        return true;
                }
        return false;
}

int cm_websocket_follow(struct cm_websocket *socket, struct cm_event_follower *follower)
{
        (void)cm_websocket_unfollow(socket, cm_event_follower_id(follower));
        if (socket->follower_count == CM_WEBSOCKET_STREAMS)
                return -CM_E_OVERLOAD;
        socket->followers[socket->follower_count++] = follower;
        socket->may_have_news = true;
        cm_event_follower_listen(follower, &socket->bell);
        return 0;
}

/* The log has no end that could be sent any more: the client has to fetch what was stored. */
static void send_gone(struct cm_websocket *socket, const struct cm_uuid *id)
{
        const struct stream_error error = {
                .code = CM_STR(CM_CODE_GONE),
                .title = cm_str_from(cm_error_code_find(CM_CODE_GONE)->title),
        };
        struct cm_buf json = { 0 };

        cm_schema_encode(&stream_error_schema, &error, &json);
        send_event(socket, id, &(struct cm_stream_event){ 0, CM_STR("error"), cm_buf_str(&json) });
        cm_buf_deinit(&json);
}

/* All that one log has. False when it has ended. */
static bool pass_on(struct cm_websocket *socket, struct cm_event_follower *follower)
{
        struct cm_stream_event event;
        int r = 0;

        while (!is_blocked(socket) && !is_gone(socket) && socket->closing == OPEN) {
                cm_request_renew_deadline(socket->request);
                r = cm_event_follower_next(follower, &event);
                if (r == CM_EVENT_LOG_NONE)
                        send_gone(socket, cm_event_follower_id(follower));
                if (r)
                        return r == CM_EVENT_LOG_NOT_YET;
                send_event(socket, cm_event_follower_id(follower), &event);
                if (cm_stream_event_is_last(event.type))
                        return false;
        }
        socket->may_have_news = true;
        return true;
}

static void pass_on_all(struct cm_websocket *socket)
{
        socket->may_have_news = false;
        for (size_t i = 0; i < socket->follower_count;) {
                struct cm_uuid id = *cm_event_follower_id(socket->followers[i]);

                if (pass_on(socket, socket->followers[i])) {
                        i++;
                        continue;
                }
                drop_follower(socket, i);
                cm_request_renew_deadline(socket->request);
                if (socket->config->ended && !is_gone(socket))
                        close_if_failed(socket,
                                        socket->config->ended(socket, &id, socket->config->arg));
        }
}

/* ---- time */

static int64_t next_due_us(const struct cm_websocket *socket)
{
        int64_t due_us = socket->beat_us;

        if (socket->expires_us < due_us)
                due_us = socket->expires_us;
        if (socket->blocked_us && socket->blocked_us + limits_of(socket)->patience_us < due_us)
                due_us = socket->blocked_us + limits_of(socket)->patience_us;
        return due_us;
}

static void beat(struct cm_websocket *socket, int64_t now_us)
{
        const struct wslay_event_msg ping = { .opcode = WSLAY_PING };

        socket->beat_us = now_us + limits_of(socket)->heartbeat_us;
        if (is_blocked(socket) || socket->closing != OPEN)
                return;
        (void)wslay_event_queue_msg(socket->wslay, &ping);
        flush(socket);
}

static void check_time(struct cm_websocket *socket)
{
        const struct cm_stream_limits *limits = limits_of(socket);
        int64_t now_us = cm_monotonic_us();

        if (!is_blocked(socket))
                socket->blocked_us = 0;
        else if (!socket->blocked_us)
                socket->blocked_us = now_us;
        if (socket->blocked_us && now_us - socket->blocked_us >= limits->patience_us) {
                cm_counter_add(&cm_http_stream_cuts, 1);
                cm_connection_abort(socket->request->connection);
        } else if (now_us - socket->heard_us > QUIET_BEATS * limits->heartbeat_us) {
                cm_connection_abort(socket->request->connection);
        } else if (now_us >= socket->expires_us) {
                cm_websocket_close(socket, CM_WEBSOCKET_EXPIRED);
        } else if (now_us >= socket->beat_us) {
                beat(socket, now_us);
        }
}

/* ---- life */

static int attend(struct cm_websocket *socket)
{
        struct cm_connection *connection = socket->request->connection;
        unsigned reasons;
        int r = 0;

        while (r == 0 && !is_gone(socket) && socket->closing != CLOSED) {
                receive(socket);
                if (socket->may_have_news)
                        pass_on_all(socket);
                if (socket->request->server->stopping)
                        cm_websocket_close(socket, CM_WEBSOCKET_AWAY);
                check_time(socket);
                if (is_gone(socket) || socket->closing == CLOSED)
                        break;
                if (socket->took_message)
                        continue; /* there may be more to read */
                if (is_blocked(socket))
                        connection->wants_room = limits_of(socket)->pending_out / 2;
                cm_connection_schedule(connection);
                (void)cm_fiber_set_deadline(CM_NEVER);
                r = cm_bell_wait(&socket->bell, next_due_us(socket), &reasons);
                if (reasons & CM_RING_NEWS)
                        socket->may_have_news = true;
        }
        return r;
}

static bool init(struct cm_websocket *socket)
{
        static const struct wslay_event_callbacks callbacks = { .recv_callback = on_receive,
                                                                .send_callback = on_send,
                                                                .on_msg_recv_callback = on_message,
                                                                .on_frame_recv_start_callback =
                                                                        on_frame };
        struct cm_request *request = socket->request;
        int64_t now_us = cm_monotonic_us();

        if (wslay_event_context_server_init(&socket->wslay, &callbacks, socket) != 0)
                return false;
        wslay_event_config_set_max_recv_msg_length(socket->wslay, limits_of(socket)->message_bytes);
        socket->heard_us = now_us;
        socket->beat_us = now_us + limits_of(socket)->heartbeat_us;
        socket->expires_us = CM_NEVER;
        if (request->has_claims)
                socket->expires_us = now_us + (request->claims.expires_at - request->now);
        request->connection->bell = &socket->bell;
        cm_gauge_add(&sockets, 1);
        return true;
}

static void deinit(struct cm_websocket *socket)
{
        while (socket->follower_count)
                drop_follower(socket, 0);
        wslay_event_context_free(socket->wslay);
        socket->request->connection->bell = NULL;
        socket->request->connection->wants_room = 0;
        cm_buf_deinit(&socket->frame);
        cm_gauge_add(&sockets, -1);
}

int cm_websocket_serve(struct cm_request *request, const struct cm_websocket_config *config)
{
        struct cm_websocket socket = { .request = request, .config = config };
        int r;

        if (cm_websocket_upgrade(request))
                return 0;
        if (!init(&socket))
                return -CM_E_OVERLOAD;
        r = attend(&socket);
        deinit(&socket);
        if (is_gone(&socket))
                return 0;
        if (r < 0)
                return r;
        /* The rest of what the client sends is thrown away until it has seen our close. */
        cm_body_init(&request->framing, 1, false);
        return cm_reply_stream_end(request);
}
