#pragma once
#include "base/attr.h"
#include "bus/event_log.h"
#include "codec/stream_event.h"
#include "http/request.h"

/*
 * A WebSocket (RFC 6455) for event streams and what clients say beside them, on routes with
 * `x-websocket`. Frames of the server are JSON text, {stream, id, event, data}: the same events as
 * over SSE, of up to CM_WEBSOCKET_STREAMS logs at a time. Frames of the client are JSON text by the
 * route's `x-websocket-messages`; what does not fit is answered with the event `invalid`, whose
 * data is a problem with pointers, and the connection stays. There are no extensions, so no
 * compression.
 *
 * Who asks is known before the upgrade: a token comes in `Authorization`, or, from browsers, which
 * cannot set that, as a second subprotocol, "bearer.<token>", beside "salus.v1" (never in the
 * address, which ends up in logs). Browsers must also come from an allowed origin. When the token
 * expires the socket is closed with CM_WEBSOCKET_EXPIRED; a client comes back with a new one.
 */
struct cm_websocket;

#define CM_WEBSOCKET_STREAMS  16
#define CM_WEBSOCKET_PROTOCOL "salus.v1"
#define CM_WEBSOCKET_BEARER   "bearer."

enum {
        CM_WEBSOCKET_NORMAL = 1000,
        CM_WEBSOCKET_AWAY = 1001, /* the server stops: go on elsewhere */
        CM_WEBSOCKET_UNSUPPORTED = 1003,
        CM_WEBSOCKET_INTERNAL = 1011,
        CM_WEBSOCKET_EXPIRED = 4401
};

struct cm_websocket_config {
        /* Called with each message of the client, decoded; it lives until the call returns. May
         * suspend, send, follow and close. An error closes with CM_WEBSOCKET_INTERNAL. NULL only
         * where the route takes no messages. */
        int (*message)(struct cm_websocket *socket, const void *message, void *arg);
        /* Called when the last event of a followed log was sent, or the log is gone. As above. May
         * be NULL. */
        int (*ended)(struct cm_websocket *socket, const struct cm_uuid *stream, void *arg);
        void *arg;
};

/* A handler's whole answer: the handshake (400, 403 or 426 when it is none), then until either side
 * ends it. Returns what the handler returns. Suspends. */
int cm_websocket_serve(struct cm_request *request,
                       const struct cm_websocket_config *config) CM_MUST_CHECK;

/* ---- in `message` and `ended` */
struct cm_request *cm_websocket_request(struct cm_websocket *socket);
/* Sends what follows in the log; takes the follower. -CM_E_OVERLOAD when there are too many: the
 * caller keeps it. The same log followed anew replaces the old follower. */
int cm_websocket_follow(struct cm_websocket *socket,
                        struct cm_event_follower *follower) CM_MUST_CHECK;
/* Sends no more of a log. False when it was not followed. */
bool cm_websocket_unfollow(struct cm_websocket *socket, const struct cm_uuid *stream);
/* An event of no log, about a stream or (NULL) none. */
void cm_websocket_send(struct cm_websocket *socket, const struct cm_uuid *stream,
                       const struct cm_stream_event *event);
/* Soon: what was sent before goes first. */
void cm_websocket_close(struct cm_websocket *socket, int code);
