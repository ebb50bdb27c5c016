#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * The framing of a request's body: a length, or chunks. Pulls one piece after another out of bytes
 * as they arrive and keeps nothing but its place. As strict as the head: chunk lines end in CRLF,
 * sizes are plain hexadecimal, extensions and trailers are read past within bounds.
 */
struct cm_body {
        int state;
        int64_t left;     /* of the body or of the present chunk */
        size_t line_len;  /* of the present chunk or trailer line */
        size_t overhead;  /* bytes of extensions and trailers so far */
        int64_t received; /* payload so far */
};

/* content_length -1 and not chunked: there is no body. */
void cm_body_init(struct cm_body *body, int64_t content_length, bool chunked);
bool cm_body_ended(const struct cm_body *body);

/*
 * Takes from `bytes` up to the end of one piece; what was taken is *used_r. An empty piece means
 * that the bytes are used up, or the body ended. Returns 0 or -CM_E_MALFORMED.
 */
int cm_body_next(struct cm_body *body, struct cm_str bytes, size_t *used_r,
                 struct cm_str *piece_r) CM_MUST_CHECK;
