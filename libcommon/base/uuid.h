#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/time.h"

/* UUIDs (RFC 9562). Ids that we make are version 7: time-ordered, so they fill an index from its
 * right edge. */
struct cm_uuid {
        uint8_t bytes[16];
};

#define CM_UUID_TEXT_SIZE 37

/* Monotonic within a thread even when called many times in one millisecond. */
struct cm_uuid cm_uuid7(cm_time now);
/* 8-4-4-4-12 hexadecimal digits in either case, nothing else. Any version. */
bool cm_uuid_parse(struct cm_str text, struct cm_uuid *uuid_r);
/* Lower case. Returns `out`. */
const char *cm_uuid_format(const struct cm_uuid *uuid, char out[CM_UUID_TEXT_SIZE]);
struct cm_str cm_uuid_text(struct cm_arena *arena, const struct cm_uuid *uuid);
bool cm_uuid_equal(const struct cm_uuid *a, const struct cm_uuid *b);
bool cm_uuid_is_nil(const struct cm_uuid *uuid);

/* Fills with bytes from the kernel; never fails. */
void cm_random(void *out, size_t len);
