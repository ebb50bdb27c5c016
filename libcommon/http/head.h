#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * The head of an HTTP/1.x request: request line and header lines. A head is parsed once, when all
 * of it is there, into views of the given bytes. Strict on purpose: whatever two parsers could read
 * differently (bare LF, folded lines, blanks before a colon, two lengths, a length beside chunked)
 * is refused, because a gateway in front of us might read it the other way.
 */
#define CM_HEAD_MAX_HEADERS 100

struct cm_header {
        struct cm_str name;
        struct cm_str value; /* without blanks around it */
};

struct cm_head {
        struct cm_str method;
        struct cm_str target;
        int minor; /* HTTP/1.minor: 0 or 1 */
        struct cm_header headers[CM_HEAD_MAX_HEADERS];
        size_t header_count;
        int64_t content_length; /* -1: none given */
        bool chunked;
        bool keep_alive;
        bool expects_continue;
};

enum cm_head_outcome {
        CM_HEAD_MORE = 1, /* not complete yet */
        CM_HEAD_BAD,      /* 400 */
        CM_HEAD_MANY,     /* too many headers: 431 */
        CM_HEAD_VERSION,  /* 505 */
        CM_HEAD_CODING,   /* a transfer coding other than chunked: 501 */
        CM_HEAD_EXPECT,   /* an expectation other than 100-continue: 417 */
};

/*
 * Looks for the end of the head, the empty line. *scanned is how far earlier calls have come; 0 at
 * first. Returns 0 with the head's length, CM_HEAD_MORE, or CM_HEAD_BAD as soon as a line shows
 * that this will never be a head.
 */
int cm_head_find_end(struct cm_str bytes, size_t *scanned, size_t *len_r) CM_MUST_CHECK;
/* Parses a complete head. Returns 0 or an outcome; *why_r is then a sentence for the client. */
int cm_head_parse(struct cm_str bytes, size_t max_headers, struct cm_head *head_r,
                  const char **why_r) CM_MUST_CHECK;
/* The value of the first header of that name; absent when there is none. */
struct cm_str cm_head_find(const struct cm_head *head, struct cm_str name);

/* The characters of RFC 9110 tokens (methods, header names). */
bool cm_is_token(struct cm_str text);
