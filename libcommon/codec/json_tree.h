#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * A JSON document (RFC 8259) as a tree, for the decoder of schemas; other code decodes by a schema.
 * Members and items keep their order. Texts without escapes are views into the document, so the
 * tree lives as long as both the document and the arena.
 */
#define CM_JSON_MAX_DEPTH 32

enum cm_json_type {
        CM_JSON_NULL,
        CM_JSON_BOOL,
        CM_JSON_INTEGER,
        CM_JSON_REAL,
        CM_JSON_TEXT,
        CM_JSON_ARRAY,
        CM_JSON_OBJECT
};

struct cm_json_node {
        struct cm_json_node *next; /* in the same array or object */
        struct cm_str name;        /* of a member */
        enum cm_json_type type;
        union {
                bool boolean;
                int64_t integer;
                double real;
                struct cm_str text;
                struct {
                        struct cm_json_node *first;
                        size_t count;
                };
        };
};

struct cm_json_error {
        int line, column;
        const char *what; /* for people; static text */
};

/*
 * Strict: well-formed UTF-8, no NUL and no lone surrogate in a text, no member twice in an object,
 * integers within 64 bits, finite numbers, at most CM_JSON_MAX_DEPTH levels. Returns NULL when
 * `text` is not such a document.
 */
struct cm_json_node *cm_json_parse(struct cm_str text, struct cm_arena *arena,
                                   struct cm_json_error *error_r) CM_MUST_CHECK;
