#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "http/route.h"
#include "sys/loop.h"

/*
 * The HTTP/1.1 server of one worker: its own listening socket (SO_REUSEPORT), its connections, its
 * limits. Each request runs in a fiber of the loop. Everything here is for the loop's own thread.
 */
struct cm_server;

/* 0 anywhere takes the default in brackets. */
struct cm_server_limits {
        size_t head_bytes;  /* of a request's head [16 KiB]; more is 431 */
        size_t headers;     /* [64, at most CM_HEAD_MAX_HEADERS]; more is 431 */
        int64_t body_bytes; /* where the route names no limit of its own [1 MiB]; more is 413 */
        int64_t head_us;    /* from the first byte to the end of the head [10 s]; then 408 */
        int64_t idle_us;    /* between requests [75 s]; then the connection is closed */
        int64_t grace_us;   /* a body or reply may take this [10 s] ... */
        int64_t min_rate;   /* ... and a second for each so many bytes [1 KiB]; then it is cut */
        int64_t request_us; /* deadline of a request's fiber, of each step of a stream [30 s] */
        size_t connections; /* [10000]; those beyond get 503 */
        size_t pending_out; /* bytes of a reply stream that may wait for the client [256 KiB] */
};

/* Streams to clients: event_stream.h, websocket.h. 0 takes the default. */
struct cm_stream_limits {
        int64_t heartbeat_us; /* something is sent at least so often [15 s] */
        int64_t retry_us;     /* after which a client comes back when it was cut off [2 s] */
        size_t pending_out; /* bytes that may wait for the client [64 KiB]; then the sender waits */
        int64_t patience_us;  /* ... so long [10 s]; then the client is cut */
        size_t message_bytes; /* of a client over a WebSocket [64 KiB]; more is closed with 1009 */
        const char *origins;  /* of browsers that may open WebSockets, by comma; NULL: the host's */
};

/*
 * Decides whether a request may go on, before its body is looked at: 0 to go on (it has set the
 * claims, see request_internal.h), a positive value after it has replied, or a negative error. May
 * suspend. Runs for every route.
 */
typedef int cm_guard_fn(struct cm_request *request, const struct cm_route *route, void *arg);

struct cm_server_config {
        struct cm_loop *loop;                  /* with fibers */
        const char *listen;                    /* "host:port", "[::1]:port"; port 0: any */
        const struct cm_routes *const *routes; /* tables that outlive the server */
        size_t routes_count;
        void *service;                /* what cm_request_service() returns */
        const struct cm_clock *clock; /* NULL: the system's */
        cm_guard_fn *guard;           /* NULL: everything is open */
        void *guard_arg;
        const char *trusted_proxies; /* see peer.h */
        struct cm_str cursor_secret; /* signs cursors; the same in all replicas; absent: random */
        struct cm_server_limits limits;
        struct cm_stream_limits streams;
};

/* Binds and listens, but takes no connection yet. -CM_E_CONFIG (routes, addresses) or -CM_E_IO
 * (cannot listen); logged. Looks names up: only before serving. */
int cm_server_new(const struct cm_server_config *config, struct cm_server **server_r) CM_MUST_CHECK;
void cm_server_start(struct cm_server *server);
/* What cm_request_service() returns from now on, when it was not there at cm_server_new() yet. */
void cm_server_set_service(struct cm_server *server, void *service);
/* Takes what the kernel has accepted already, then closes the listening socket. Idle connections
 * are closed, others after their present request, which is told `Connection: close`. */
void cm_server_stop(struct cm_server *server);
/* After cm_server_stop(), in a fiber: waits until no request runs, at the latest until the fiber's
 * deadline. Returns 0 or why the wait ended. Suspends. */
int cm_server_drain(struct cm_server *server) CM_MUST_CHECK;
/* No request may be running. */
void cm_server_free(struct cm_server **server);

int cm_server_port(const struct cm_server *server);           /* where it listens */
size_t cm_server_running(const struct cm_server *server);     /* requests in their handlers */
size_t cm_server_connections(const struct cm_server *server); /* open ones */
