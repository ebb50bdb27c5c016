#pragma once
#include <netinet/in.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "http/body.h"
#include "http/cursor.h"
#include "http/head.h"
#include "http/peer.h"
#include "http/request.h"
#include "http/router.h"
#include "http/server.h"
#include "http/target.h"
#include "http/trace.h"
#include "sys/bell.h"
#include "sys/fiber.h"
#include "sys/metrics.h"

/*
 * What the files of the server share. Three objects: the server (one a worker), a connection (one a
 * socket; small, because ten thousand of them may be idle) and a request (pooled with its arena and
 * buffers; a connection has one from the first byte of a head until its reply is written).
 */
#define CM_SMALL_INPUT 4096  /* first buffer of a connection's input */
#define CM_LARGE_INPUT 65536 /* when a head or a stream needs more */

/* Blocks of one size, kept for reuse. */
struct cm_blocks {
        size_t size;
        size_t count;
        char *items[64];
};

struct cm_server {
        struct cm_server_config config;
        struct cm_loop *loop;
        int fd;
        struct cm_watch *listener;
        struct cm_timer *sweeper;
        int64_t sweep_us;
        struct cm_router *router;
        struct cm_peer_rule *peers;
        struct cm_trace_source trace;
        struct cm_cursor_key cursor_key;
        struct cm_map *attempts; /* idempotency keys being worked on, for idempotency.c */

        struct cm_list connections;
        size_t connection_count;
        size_t running;
        bool stopping;
        struct cm_cond quiet; /* running became 0 */

        struct cm_list spare_requests;
        size_t spare_request_count;
        struct cm_blocks small, large;
        struct cm_buf spare_outs[64];
        size_t spare_out_count;

        int64_t date_second; /* of date_line */
        char date_line[48];
        size_t date_line_len;
};

enum cm_phase {
        CM_PHASE_IDLE,   /* between requests */
        CM_PHASE_HEAD,   /* a head has begun */
        CM_PHASE_BODY,   /* the body of a route that is not streamed */
        CM_PHASE_RUN,    /* the request's fiber */
        CM_PHASE_LINGER, /* replied; throws away what still comes, so that the reply is not lost */
};

/* What may ring a connection's bell. */
enum {
        CM_RING_NEWS = 1,  /* the producer has something; see CM_STREAM_NEWS in event_stream.h */
        CM_RING_INPUT = 2, /* the client sent something */
        CM_RING_ROOM = 4,  /* `wants_room` is satisfied */
        CM_RING_GONE = 8,  /* the client sends no more, or the socket is dead */
        CM_RING_DRAIN = 16 /* the server stops */
};

/* data[start..end) was read and not used yet. While a request runs, what lies before `base` is its
 * head (and body), which it has views of. */
struct cm_input {
        char *data;
        size_t cap;
        size_t start;
        size_t end;
        size_t base;
};

struct cm_connection {
        struct cm_list link;
        struct cm_server *server;
        struct cm_watch *watch;
        struct cm_request *request;
        struct cm_wait *reader; /* the fiber waits for input */
        struct cm_wait *writer; /* the fiber waits for output to drain */
        struct cm_bell *bell;   /* of a stream that attends to all of it: event_stream.c */
        size_t wants_room;      /* rings when no more than so many bytes wait; 0: does not */
        struct cm_input input;
        struct cm_buf out;
        size_t out_sent;
        size_t scanned; /* of the head, for cm_head_find_end() */
        enum cm_phase phase;
        int fd;
        bool eof;         /* the client sends no more */
        bool broken;      /* the socket is of no use any more */
        bool refused;     /* beyond the limit: each request gets 503 */
        bool close_after; /* when the output is written */
        bool linger;      /* ... because input is unread */
        bool advancing;
        bool scheduled;
        int64_t since_us;    /* start of the present phase or wait for input */
        int64_t waited_us;   /* for the present body, in earlier waits */
        int64_t blocked_us;  /* since when output is blocked; 0: it is not */
        int64_t progress_us; /* when anything was written since then */
        int64_t drained;     /* bytes written since then */
        struct in6_addr peer;
};

enum cm_reply_state { CM_REPLY_NONE, CM_REPLY_DONE, CM_REPLY_STREAM, CM_REPLY_ENDED };

struct cm_request {
        struct cm_list link;
        struct cm_server *server;
        struct cm_connection *connection;
        struct cm_arena arena;
        struct cm_head head;
        struct cm_target target;
        int target_outcome;
        struct cm_match match;

        struct cm_body framing;
        int64_t max_body;
        struct cm_str body;
        struct cm_buf body_copy; /* when the body is not in one piece of the input */
        bool body_is_copy;
        bool too_large;
        bool owes_continue; /* the client waits for 100 */
        bool slow;          /* reading ended because the client was too slow */

        enum cm_reply_state reply;
        int status;
        bool keep_alive;
        bool chunked_reply;
        bool own_cache_control;
        bool finished;
        unsigned eager_reads;  /* without a wait between them */
        struct cm_buf headers; /* further reply headers, as lines */
        struct cm_buf scratch; /* a body being encoded */

        bool has_claims;
        struct cm_claims claims;
        struct cm_str attempt; /* its entry in the server's attempts */
        char request_id[CM_REQUEST_ID_SIZE];
        char traceparent[CM_TRACEPARENT_SIZE];
        cm_time now;
        int64_t started_us;
        int64_t answered_us; /* when a stream's head was sent; 0: the reply was no stream */
};

/* ---- connection.c */
void cm_connection_new(struct cm_server *server, int fd, const struct sockaddr *peer);
/* Closes and frees it, unless a request runs: then when that has ended. */
void cm_connection_abort(struct cm_connection *connection);
/* Replies 408, or tells the fiber that reads. */
void cm_connection_time_out(struct cm_connection *connection, const char *detail);
/* When the server stops. */
void cm_connection_stop(struct cm_connection *connection);
/* Continues with the connection soon: something was replied, or a request has ended. */
void cm_connection_schedule(struct cm_connection *connection);

/* ---- connection_limits.c */
/* Ends what has lasted too long. */
void cm_connection_check(struct cm_connection *connection, int64_t now_us);

/* ---- connection_io.c */
/* Appends to the output; large pieces are tried on the socket at once. */
void cm_connection_send(struct cm_connection *connection, struct cm_str bytes);
void cm_connection_flush(struct cm_connection *connection);
size_t cm_output_pending(const struct cm_connection *connection);
void cm_output_release(struct cm_connection *connection);
/* Reads what there is into the input. True when there is something new, or the end. */
bool cm_connection_fill(struct cm_connection *connection);
struct cm_str cm_input_unread(const struct cm_input *input);
void cm_input_release(struct cm_connection *connection);
/* Moves what is unread to the front of a large buffer. Views of the old one are void. */
void cm_input_enlarge(struct cm_connection *connection);
/* Reads and throws away. */
void cm_input_discard(struct cm_connection *connection);

/* ---- serve.c: a request in its fiber */
void cm_request_serve(void *request);
/* Replies to a negative error. */
void cm_request_fail(struct cm_request *request, int error);

/* ---- idempotency.c */
/* 0; or positive after the reply 409, when another request of this user and key is at work here. */
int cm_attempt_enter(struct cm_request *request) CM_MUST_CHECK;
void cm_attempt_leave(struct cm_request *request);

/* ---- request.c */
/* A stream's deadline is that of its next step. */
void cm_request_renew_deadline(const struct cm_request *request);

/* ---- reply.c */
/* The head of a reply; length -1: chunked or up to the end of the connection. */
void cm_reply_head(struct cm_request *request, int status, const char *content_type,
                   int64_t length);
bool cm_request_is_head(const struct cm_request *request);

/* ---- params.c */
#define CM_LAST_EVENT_ID_QUERY "last_event_id"
/* Decodes path, query and headers into `params` by the route. False after it has replied 400. */
bool cm_params_decode(struct cm_request *request, void *params);
/* Checks Content-Type against the route's. */
bool cm_media_is_accepted(const char *accepted, struct cm_str content_type);

/* ---- pools (server.c) */
struct cm_request *cm_request_take(struct cm_server *server);
void cm_request_give_back(struct cm_request *request);
char *cm_block_take(struct cm_blocks *blocks);
void cm_block_give_back(struct cm_blocks *blocks, char *block);
/* "Date: …\r\n" of the present second. */
struct cm_str cm_server_date(struct cm_server *server, cm_time now);

extern struct cm_metric cm_http_timeouts, cm_http_bad, cm_http_refused, cm_http_connections,
        cm_http_stream_cuts;
