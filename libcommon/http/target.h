#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * Request targets, by one rule: a path is '/' and segments between single slashes, of the
 * characters that RFC 3986 allows there. What another server would normalise is refused instead, so
 * that no two of us can disagree which route a target names: dot segments (plain or encoded),
 * encoded slashes, backslashes and control characters are bad; empty segments ("//", a slash at the
 * end) are not found.
 */
#define CM_TARGET_MAX_SEGMENTS 16

struct cm_target {
        struct cm_str path;                             /* raw, without the query */
        struct cm_str query;                            /* raw; absent without '?' */
        struct cm_str segments[CM_TARGET_MAX_SEGMENTS]; /* raw */
        size_t segment_count;                           /* 0: "/" */
        bool is_asterisk;                               /* "*", for OPTIONS */
};

enum cm_target_outcome { CM_TARGET_BAD = 1, CM_TARGET_NOT_FOUND };

/* Origin form, absolute form (its authority is dropped) or "*". Views of `raw`. */
int cm_target_parse(struct cm_str raw, struct cm_target *target_r) CM_MUST_CHECK;

/* Percent-decoding; '+' is a blank when `plus_is_blank` (queries). Absent when an escape is broken
 * or the result is not UTF-8 or holds a NUL. Without escapes this is a view of `raw`. */
struct cm_str cm_percent_decode(struct cm_arena *arena, struct cm_str raw, bool plus_is_blank);

/* Cuts the next name=value off a query; false at the end. Both raw; a missing '=' means an empty
 * value. */
bool cm_query_next(struct cm_str *rest, struct cm_str *name_r, struct cm_str *value_r);
