#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "codec/schema.h"
#include "codec/token.h"

/*
 * What a handler sees of a request. It runs in a fiber; the guard, the limits and the decoder have
 * run before it. Everything taken from a request lives until the handler returns. A handler returns
 * 0 after it has replied, or a negative error, which becomes the right problem in one place.
 */
struct cm_request;
struct cm_route;

void *cm_request_service(const struct cm_request *request); /* the worker's service object */
struct cm_arena *cm_request_arena(struct cm_request *request);
cm_time cm_request_now(const struct cm_request *request); /* when its head was complete */
/* Who asks. Only on routes with a scope. */
const struct cm_claims *cm_request_claims(const struct cm_request *request);
struct cm_str cm_request_header(const struct cm_request *request,
                                const char *name); /* absent: none */
/* The route that was matched: http/route.h. */
const struct cm_route *cm_request_route(const struct cm_request *request);
struct cm_str cm_request_method(const struct cm_request *request);
struct cm_str cm_request_path(const struct cm_request *request);
struct cm_str cm_request_peer(const struct cm_request *request); /* address, by the proxy rule */
/* The whole body of a route that is not streamed. */
struct cm_str cm_request_body(const struct cm_request *request);
int64_t cm_request_content_length(const struct cm_request *request); /* -1: chunked */

/* Streamed routes (x-stream: true): the next piece of the body, at most as large as the read
 * buffer; valid until the next call. An empty piece is the end. Suspends. -CM_E_IO when the client
 * has gone, -CM_E_DEADLINE when it is too slow, -CM_E_TOO_LARGE, -CM_E_MALFORMED. */
int cm_request_read(struct cm_request *request, struct cm_str *piece_r) CM_MUST_CHECK;

/* Replies: exactly one a request. The body is copied or encoded at once. They return 0, or an error
 * that the handler passes up. Only the stream calls suspend. */
void cm_reply_header(struct cm_request *request, const char *name, struct cm_str value);
int cm_reply_empty(struct cm_request *request, int status);
int cm_reply_json(struct cm_request *request, int status, const struct cm_schema *schema,
                  const void *value);
int cm_reply_body(struct cm_request *request, int status, const char *content_type,
                  struct cm_str body);
/* Sets ETag from `version`, answers 304 to a matching If-None-Match. */
int cm_reply_json_tagged(struct cm_request *request, int status, const struct cm_schema *schema,
                         const void *value, struct cm_str version);
int cm_reply_stream(struct cm_request *request, int status, const char *content_type);
int cm_reply_stream_write(struct cm_request *request,
                          struct cm_str bytes) CM_MUST_CHECK; /* waits for a slow client */
int cm_reply_stream_end(struct cm_request *request);

/* A problem (RFC 9457). `code` is one of the generated codes. */
struct cm_problem {
        int status;
        const char *code;
        const char *title;
        struct cm_str detail;           /* may be absent */
        const struct cm_faults *faults; /* may be NULL */
        int retry_after_s;              /* 0: no header */
};
int cm_reply_problem(struct cm_request *request, const struct cm_problem *problem);
/* One fault of the input: 422, or 400 when it concerns path, query or header. */
int cm_reply_invalid(struct cm_request *request, const char *pointer, const char *detail, ...)
        CM_PRINTF(3, 4);
int cm_reply_not_found(struct cm_request *request);

/* If-Match against the current version: 0, or a positive value after it has replied 412 or 428. */
int cm_request_if_match(struct cm_request *request, struct cm_str version) CM_MUST_CHECK;
