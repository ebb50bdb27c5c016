#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/*
 * Text with a length: a view that owns nothing. `data == NULL` means "absent", which is not the
 * same as empty. What comes from an arena or a buffer is also NUL-terminated; a view into the
 * middle of something is not.
 */
struct cm_str {
        const char *data;
        size_t len;
};

#define CM_STR(literal) ((struct cm_str){ "" literal, sizeof(literal) - 1 })
#define CM_STR_NONE     ((struct cm_str){ NULL, 0 })
/* For printf: "%.*s". */
#define CM_STR_ARG(s) (int)(s).len, (s).data ? (s).data : ""

struct cm_str cm_str_from(const char *text); /* NULL gives CM_STR_NONE */
bool cm_str_equal(struct cm_str a, struct cm_str b);
bool cm_str_equal_nocase(struct cm_str a, struct cm_str b); /* ASCII only */
bool cm_str_starts(struct cm_str text, struct cm_str prefix);
/* Cuts off everything up to the first `separator`; false when `*rest` was absent (at the end). */
bool cm_str_split(struct cm_str *rest, char separator, struct cm_str *part_r);
struct cm_str cm_str_trim(struct cm_str text); /* ASCII blanks at both ends */
/* Decimal digits with optional sign, nothing else; false on overflow. */
bool cm_str_to_int(struct cm_str text, int64_t *value_r);

/* True for well-formed UTF-8 (no surrogates, no overlong forms). NUL is well-formed. */
bool cm_utf8_is_valid(struct cm_str text);
/* Number of code points in well-formed UTF-8. */
size_t cm_utf8_length(struct cm_str text);

/* Decimal digits of `value`, NUL-terminated; returns their number. Many times faster than printf.
 */
#define CM_INT_TEXT_SIZE 21
size_t cm_int_format(int64_t value, char out[CM_INT_TEXT_SIZE]);

/* Compares secrets in time that depends on the length only. */
bool cm_equal_secret(const void *a, const void *b, size_t len);

/* A growable byte buffer. data is always NUL-terminated once something was added. */
struct cm_buf {
        char *data;
        size_t len;
        size_t cap;
};

void cm_buf_deinit(struct cm_buf *buf);
void cm_buf_reset(struct cm_buf *buf); /* keeps the memory */
void cm_buf_reserve(struct cm_buf *buf, size_t more);
void cm_buf_add(struct cm_buf *buf, const void *data, size_t len);
void cm_buf_add_str(struct cm_buf *buf, struct cm_str text);
void cm_buf_add_char(struct cm_buf *buf, char c);
void cm_buf_add_int(struct cm_buf *buf, int64_t value); /* decimal */
void cm_buf_printf(struct cm_buf *buf, const char *format, ...) CM_PRINTF(2, 3);
/* Removes `len` bytes from the front. */
void cm_buf_consume(struct cm_buf *buf, size_t len);
struct cm_str cm_buf_str(const struct cm_buf *buf);

/* Base64url without padding (RFC 4648 section 5). Decoding is strict: no padding, no blanks, no
 * non-canonical trailing bits. Returns false on anything else. */
void cm_base64url_encode(const void *data, size_t len, struct cm_buf *out);
bool cm_base64url_decode(struct cm_str text, struct cm_buf *out);
/* Plain base64 with padding (RFC 4648 section 4), as mail has it. */
void cm_base64_encode(const void *data, size_t len, struct cm_buf *out);
void cm_hex_encode(const void *data, size_t len, char *out); /* writes 2 * len chars and a NUL */
