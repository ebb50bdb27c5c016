#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"

/*
 * Time zones: what the clock on the wall says at an instant, and back. A zone is made from the
 * bytes of a TZif file (RFC 8536, version 2 or later: 64-bit transitions and the POSIX rule behind
 * them, so it holds for all years) or from a fixed offset. Immutable, any thread. sys/zones.h finds
 * the files.
 */
struct cm_zone;

/* Fails with -CM_E_MALFORMED only. */
int cm_zone_parse(struct cm_str tzif, struct cm_zone **zone_r) CM_MUST_CHECK;
struct cm_zone *cm_zone_fixed(int32_t offset_s);
void cm_zone_free(struct cm_zone **zone);

/* Seconds that local time is ahead of UTC at that instant. */
int32_t cm_zone_offset(const struct cm_zone *zone, cm_time at);
/* The local calendar day at that instant. */
cm_date cm_zone_date(const struct cm_zone *zone, cm_time at);
/* Local time as microseconds since 1970-01-01T00:00 on the wall. */
cm_time cm_zone_wall(const struct cm_zone *zone, cm_time at);

/* A stretch of time with one offset: [from, until). Neighbours may have the same offset. */
struct cm_zone_stretch {
        cm_time from, until; /* INT64_MIN and INT64_MAX: for ever */
        int32_t offset_s;
};
/* The stretch that holds `at`. No allocation; a binary search in the file's transitions. */
void cm_zone_stretch_at(const struct cm_zone *zone, cm_time at, struct cm_zone_stretch *stretch_r);

/* The first change of the offset after `after`; false when there is none any more. */
bool cm_zone_next_change(const struct cm_zone *zone, cm_time after, cm_time *at_r);

/*
 * The instants at which the wall shows `wall`, earliest first: usually one; two when the clock was
 * set back over it; none when it was set forward over it (then *gap_r, may be NULL, is the instant
 * of the jump). Returns how many.
 */
int cm_zone_instants(const struct cm_zone *zone, cm_time wall, cm_time instants_r[2],
                     cm_time *gap_r);

/* The first instant of a local day. A day that the zone skipped is empty: it starts where the next
 * does. */
cm_time cm_zone_day_start(const struct cm_zone *zone, cm_date date);
