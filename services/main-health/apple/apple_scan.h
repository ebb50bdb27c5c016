#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * A tolerant push scanner for the XML of an Apple Health export: bytes go in in pieces of any size,
 * elements with their attributes come out. It reads what phones really write, not XML: the document
 * type is skipped whatever it contains, entities are never defined or expanded (the five predefined
 * ones and character references are), control characters and bytes that are no UTF-8 do not stop
 * it, text, comments, CDATA and processing instructions are skipped, namespaces are cut off. A tag
 * that cannot be read is one APPLE_DAMAGED token, and scanning goes on behind it. Memory is flat:
 * at most a few times `max_token`. Never suspends; no I/O.
 */
struct apple_scan;

struct apple_scan_config {
        size_t max_token;   /* bytes of one tag; longer ones are damaged. 0: 64 KiB */
        size_t max_doctype; /* bytes of the document type. 0: 1 MiB */
};

enum apple_token_kind {
        APPLE_START = 1,
        APPLE_END,
        APPLE_DAMAGED, /* only offset and line mean something */
};

#define APPLE_MAX_ATTRIBUTES 48 /* further ones of a tag are left out */

struct apple_attribute {
        struct cm_str name;
        struct cm_str value; /* well-formed UTF-8 without control characters */
};

struct apple_token {
        enum apple_token_kind kind;
        bool empty; /* <Record …/>: no APPLE_END follows */
        struct cm_str name;
        size_t count;
        struct apple_attribute attributes[APPLE_MAX_ATTRIBUTES];
        int64_t offset; /* of its "<" from the start of the document */
};

struct apple_scan *apple_scan_new(const struct apple_scan_config *config);
void apple_scan_free(struct apple_scan **scan);

/* Goes on in the middle of a document, between two elements: the next byte has this offset and
 * line. */
void apple_scan_resume(struct apple_scan *scan, int64_t offset, int64_t line);

/* The next piece; it is not copied and must stay until apple_scan_next() asks for more. Only then
 * may the next piece be given. */
void apple_scan_feed(struct apple_scan *scan, const char *data, size_t len);

enum apple_scan_outcome {
        APPLE_SCAN_MORE = 1, /* the piece is used up */
        APPLE_SCAN_TOO_LARGE /* the document type is larger than max_doctype: no export */
};

/* Returns 0 with a token, whose texts are valid until the next call, or an outcome. */
int apple_scan_next(struct apple_scan *scan, struct apple_token *token_r) CM_MUST_CHECK;

/* Line (from 1) where the last token starts. */
int64_t apple_scan_line(struct apple_scan *scan);
/* Where the next token will be looked for: what apple_scan_resume() takes. */
void apple_scan_position(struct apple_scan *scan, int64_t *offset_r, int64_t *line_r);
/* True when the bytes so far end inside a tag, comment or document type. */
bool apple_scan_is_inside(const struct apple_scan *scan);

/* The value of an attribute; absent when the token has none of that name. */
struct cm_str apple_token_get(const struct apple_token *token, const char *name);
