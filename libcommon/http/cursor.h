#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "http/request.h"

/*
 * Cursors of lists: opaque text that names a place in one list of one person, signed (keyed
 * BLAKE2b), so that a client can neither make one up nor take it to another list. Not secret: do
 * not put into a cursor what the person may not see.
 */
struct cm_cursor_key {
        uint8_t bytes[32];
};

/* From a secret of any length; absent: a random key, good for this process. */
void cm_cursor_key_init(struct cm_cursor_key *key, struct cm_str secret);

/* `binding` is what the cursor belongs to: operation, user, filters. */
struct cm_str cm_cursor_seal(const struct cm_cursor_key *key, struct cm_str binding,
                             struct cm_str place, struct cm_arena *arena);
/* Absent when the text is not a cursor of this binding. */
struct cm_str cm_cursor_open(const struct cm_cursor_key *key, struct cm_str binding,
                             struct cm_str text, struct cm_arena *arena);

/* The same for handlers: bound to the operation, who asks and `filters` (any bytes that describe
 * them, in a fixed order). `place` is what the handler needs to go on, at most 512 bytes. */
struct cm_str cm_request_cursor_seal(struct cm_request *request, struct cm_str filters,
                                     struct cm_str place);
/* 0, or a positive value after it has replied 400 with the pointer /query/cursor. */
int cm_request_cursor_open(struct cm_request *request, struct cm_str filters, struct cm_str text,
                           struct cm_str *place_r) CM_MUST_CHECK;
