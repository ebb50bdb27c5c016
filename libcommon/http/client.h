#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "sys/loop.h"

/*
 * HTTP client of one loop, over libcurl's multi interface. A call suspends the fiber and ends at
 * its deadline. http and https only, certificates are verified, redirects are not followed, proxies
 * of the environment are not used, connections are kept for the next call.
 */
struct cm_client;

struct cm_client_config {
        struct cm_loop *loop;
        size_t max_connections; /* in all; further calls wait. 0: 16 */
        int64_t connect_us;     /* time for name, connection and TLS. 0: 5 s */
        const char *user_agent; /* NULL: "salus" */
};

int cm_client_new(const struct cm_client_config *config, struct cm_client **client_r) CM_MUST_CHECK;
/* No call may be running. */
void cm_client_free(struct cm_client **client);

struct cm_client_header {
        const char *name;
        const char
                *value; /* without control characters: else the call fails with -CM_E_MALFORMED */
};

/* What is asked, and what came back. Zero-initialise; deinit afterwards. */
struct cm_client_call {
        const char *method; /* "GET" */
        const char *url;
        const struct cm_client_header *headers;
        size_t header_count;
        struct cm_str
                body;      /* sent when its data is not NULL; with Content-Type among the headers */
        int64_t max_reply; /* bytes of the reply's body. 0: 1 MiB */
        /* Takes the reply's body in pieces instead of `reply`; in the loop, must not suspend. Not
         * 0: the call ends with -CM_E_CANCELLED. The status is known by then. */
        int (*on_piece)(struct cm_client_call *call, struct cm_str piece);
        void *arg;

        int status;
        struct cm_buf reply;
        char content_type[128]; /* "" when there was none */
        int64_t retry_after_s;  /* 0: not said */
};
void cm_client_call_deinit(struct cm_client_call *call);

/*
 * Any HTTP status is 0. -CM_E_UNAVAILABLE: not connected, nothing was sent; -CM_E_UNCERTAIN: sent,
 * but the answer was lost; -CM_E_DEADLINE: the fiber's deadline passed (what was sent may have had
 * its effect); -CM_E_TOO_LARGE; -CM_E_PROTOCOL: the peer does not speak HTTP, or its certificate is
 * not good; -CM_E_MALFORMED: not a URL of ours. Suspends.
 */
int cm_client_run(struct cm_client *client, struct cm_client_call *call) CM_MUST_CHECK;

/*
 * A reply that is read while it comes. What the reader does not take is held up to CM_STREAM_BUFFER
 * bytes; then the peer has to wait. `call` must stay until the close; its `reply` and `on_piece`
 * are not used. Closing before the end cuts the connection at once: the peer sees it.
 */
#define CM_STREAM_BUFFER 65536
struct cm_client_stream;

/* Suspends until the head of the reply is there: then call->status and call->content_type are
 * known. Errors as above. */
int cm_client_open(struct cm_client *client, struct cm_client_call *call,
                   struct cm_client_stream **stream_r) CM_MUST_CHECK;
/* Appends what has come, suspending until there is something; appends nothing at the end. Errors as
 * above, after everything that came before was read. -CM_E_DEADLINE and -CM_E_CANCELLED leave it
 * open. */
int cm_client_read(struct cm_client_stream *stream, struct cm_buf *out) CM_MUST_CHECK;
/* A header of the reply, "" when it has none. The pointer is good until the close. */
const char *cm_client_stream_header(struct cm_client_stream *stream, const char *name);
void cm_client_close(struct cm_client_stream **stream);
