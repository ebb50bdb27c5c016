#include "base/zone.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/zone_rule.h"

/*
 * TZif: a header, a block with 32-bit times that we skip, a second header, the same data with
 * 64-bit times, and a footer with the POSIX rule that holds after the last transition. Only the
 * offset of each local time type matters to us: names and the daylight flag are left where they
 * are.
 *
 * All arithmetic is in seconds; callers' microseconds are rounded down.
 */
enum { HEADER_SIZE = 44, MAX_TRANSITIONS = 10000, MAX_OFFSET_S = 26 * 3600 };

struct cm_zone {
        size_t count;    /* of transitions */
        int64_t *at;     /* ascending, seconds */
        int32_t *offset; /* that holds from at[i] */
        int32_t first;   /* before at[0] */
        bool has_rule;
        struct cm_zone_rule rule; /* after at[count - 1] */
};

struct block {
        uint32_t isut, isstd, leap, time, type, chars;
};

static uint32_t read_u32(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read_i64(const uint8_t *p)
{
        return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

static bool read_header(const uint8_t *p, size_t left, struct block *block_r)
{
        if (left < HEADER_SIZE || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
                return false;
        *block_r = (struct block){
                .isut = read_u32(p + 20),
                .isstd = read_u32(p + 24),
                .leap = read_u32(p + 28),
                .time = read_u32(p + 32),
                .type = read_u32(p + 36),
                .chars = read_u32(p + 40),
        };
        return block_r->time <= MAX_TRANSITIONS && block_r->type > 0 && block_r->type <= 256 &&
               block_r->leap <= MAX_TRANSITIONS && block_r->chars <= MAX_TRANSITIONS &&
               block_r->isut <= 256 && block_r->isstd <= 256;
}

static size_t block_size(const struct block *b, size_t time_size)
{
        return b->time * (time_size + 1) + b->type * 6 + b->chars + b->leap * (time_size + 4) +
               b->isstd + b->isut;
}

/* The data of the 64-bit block at `p`, whose size was checked. */
static bool read_block(struct cm_zone *zone, const uint8_t *p, const struct block *b)
{
        const uint8_t *index = p + (size_t)b->time * 8;
        const uint8_t *types = index + b->time;

        zone->count = b->time;
        zone->at = cm_alloc_array(b->time + 1, sizeof(*zone->at));
        zone->offset = cm_alloc_array(b->time + 1, sizeof(*zone->offset));
        zone->first = (int32_t)read_u32(types);
        for (size_t i = 0; i < b->time; i++) {
                zone->at[i] = read_i64(p + i * 8);
                if (index[i] >= b->type || (i > 0 && zone->at[i] <= zone->at[i - 1]))
                        return false;
                zone->offset[i] = (int32_t)read_u32(types + (size_t)index[i] * 6);
                if (zone->offset[i] > MAX_OFFSET_S || zone->offset[i] < -MAX_OFFSET_S)
                        return false;
        }
        return zone->first <= MAX_OFFSET_S && zone->first >= -MAX_OFFSET_S;
}

static bool read_footer(struct cm_zone *zone, struct cm_str rest)
{
        struct cm_str rule;

        if (rest.len < 2 || rest.data[0] != '\n')
                return false;
        rest.data++;
        rest.len--;
        if (!memchr(rest.data, '\n', rest.len) || !cm_str_split(&rest, '\n', &rule))
                return false;
        if (rule.len == 0)
                return true;
        zone->has_rule = true;
        return cm_zone_rule_parse(rule, &zone->rule);
}

static bool parse(struct cm_zone *zone, struct cm_str tzif)
{
        const uint8_t *p = (const uint8_t *)tzif.data;
        size_t left = tzif.len;
        struct block block;
        size_t skip;

        if (!read_header(p, left, &block))
                return false;
        skip = HEADER_SIZE + block_size(&block, 4);
        if (left < skip || !read_header(p + skip, left - skip, &block))
                return false;
        p += skip + HEADER_SIZE;
        left -= skip + HEADER_SIZE;
        if (left < block_size(&block, 8) || !read_block(zone, p, &block))
                return false;
        p += block_size(&block, 8);
        left -= block_size(&block, 8);
        return read_footer(zone, (struct cm_str){ (const char *)p, left });
}

int cm_zone_parse(struct cm_str tzif, struct cm_zone **zone_r)
{
        struct cm_zone *zone = CM_NEW(struct cm_zone);

        if (!parse(zone, tzif)) {
                cm_zone_free(&zone);
                return -CM_E_MALFORMED;
        }
        *zone_r = zone;
        return 0;
}

struct cm_zone *cm_zone_fixed(int32_t offset_s)
{
        struct cm_zone *zone = CM_NEW(struct cm_zone);

        zone->first = offset_s;
        return zone;
}

void cm_zone_free(struct cm_zone **zone)
{
        if (!*zone)
                return;
        cm_free((*zone)->at);
        cm_free((*zone)->offset);
        cm_free(*zone);
        *zone = NULL;
}

static int64_t floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b < 0);
}

/* How many transitions are at or before `s`. */
static size_t passed(const struct cm_zone *zone, int64_t s)
{
        size_t low = 0, high = zone->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (zone->at[middle] <= s)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int32_t offset_at(const struct cm_zone *zone, int64_t s)
{
        size_t n = passed(zone, s);

        if (n == zone->count && zone->has_rule)
                return cm_zone_rule_offset(&zone->rule, s);
        return n == 0 ? zone->first : zone->offset[n - 1];
}

int32_t cm_zone_offset(const struct cm_zone *zone, cm_time at)
{
        return offset_at(zone, floor_div(at, CM_SECOND));
}

cm_time cm_zone_wall(const struct cm_zone *zone, cm_time at)
{
        return at + cm_zone_offset(zone, at) * CM_SECOND;
}

cm_date cm_zone_date(const struct cm_zone *zone, cm_time at)
{
        return (cm_date)floor_div(cm_zone_wall(zone, at), CM_DAY);
}

/* The next transition after `s`, whether or not it changes the offset. */
static bool next_transition(const struct cm_zone *zone, int64_t s, int64_t *at_r)
{
        size_t n = passed(zone, s);

        if (n < zone->count) {
                *at_r = zone->at[n];
                return true;
        }
        return zone->has_rule && cm_zone_rule_next(&zone->rule, s, at_r);
}

void cm_zone_stretch_at(const struct cm_zone *zone, cm_time at, struct cm_zone_stretch *stretch_r)
{
        int64_t s = floor_div(at, CM_SECOND);
        size_t n = passed(zone, s);
        int64_t start = 0, end = 0;

        *stretch_r = (struct cm_zone_stretch){ INT64_MIN, INT64_MAX,
                                               n == 0 ? zone->first : zone->offset[n - 1] };
        if (n > 0)
                stretch_r->from = zone->at[n - 1] * CM_SECOND;
        if (n < zone->count) {
                stretch_r->until = zone->at[n] * CM_SECOND;
                return;
        }
        if (!zone->has_rule)
                return;
        stretch_r->offset_s = cm_zone_rule_offset(&zone->rule, s);
        if (!cm_zone_rule_around(&zone->rule, s, &start, &end))
                return;
        if (n == 0 || start > zone->at[n - 1])
                stretch_r->from = start * CM_SECOND;
        stretch_r->until = end * CM_SECOND;
}

bool cm_zone_next_change(const struct cm_zone *zone, cm_time after, cm_time *at_r)
{
        int64_t s = floor_div(after, CM_SECOND);

        while (next_transition(zone, s, &s)) {
                if (offset_at(zone, s) == offset_at(zone, s - 1))
                        continue;
                *at_r = s * CM_SECOND;
                return true;
        }
        return false;
}

/*
 * Goes through the stretches of constant offset around `wall` and asks of each whether it shows it.
 * A jump from below `wall` to above it is the gap.
 */
int cm_zone_instants(const struct cm_zone *zone, cm_time wall, cm_time instants_r[2],
                     cm_time *gap_r)
{
        cm_time from = wall - MAX_OFFSET_S * CM_SECOND;
        cm_time last = wall + MAX_OFFSET_S * CM_SECOND;
        int found = 0;

        while (from <= last && found < 2) {
                cm_time shift = cm_zone_offset(zone, from) * CM_SECOND;
                cm_time end;
                bool ends = cm_zone_next_change(zone, from, &end);

                if (wall - shift >= from && (!ends || wall - shift < end))
                        instants_r[found++] = wall - shift;
                if (!ends)
                        break;
                if (gap_r && end + shift <= wall && cm_zone_wall(zone, end) > wall)
                        *gap_r = end;
                from = end;
        }
        return found;
}

cm_time cm_zone_day_start(const struct cm_zone *zone, cm_date date)
{
        cm_time wall = date * CM_DAY;
        cm_time instants[2];
        cm_time gap = wall;

        return cm_zone_instants(zone, wall, instants, &gap) ? instants[0] : gap;
}
