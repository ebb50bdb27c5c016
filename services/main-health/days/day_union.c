#include "day_rules.h"

#include <stdlib.h>
#include <string.h>

/*
 * Interval union. Phone and watch count the same steps, and a sum over both doubles the day; a
 * fixed choice of one loses what only the other saw. So each moment counts once, and the source
 * that saw most of the day is believed first.
 */
struct source {
        struct cm_str name;
        double total;
};

struct span {
        cm_time from, to;
};

static int compare_text(struct cm_str a, struct cm_str b)
{
        int r = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

        return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int by_source_and_time(const void *left, const void *right)
{
        const struct day_stretch *a = left, *b = right;
        int r = compare_text(a->source, b->source);

        return r ? r : (a->from > b->from) - (a->from < b->from);
}

static int by_time(const void *left, const void *right)
{
        const struct day_stretch *a = left, *b = right;

        return (a->from > b->from) - (a->from < b->from);
}

/* Largest total first; by name when equal, so that the answer does not depend on arrival. */
static int by_rank(const void *left, const void *right)
{
        const struct source *a = left, *b = right;

        if (a->total != b->total)
                return a->total < b->total ? 1 : -1;
        return compare_text(a->name, b->name);
}

static size_t find_sources(const struct day_stretch *stretches, size_t count,
                           struct source *sources)
{
        size_t found = 0;

        for (size_t i = 0; i < count; i++) {
                if (i == 0 || !cm_str_equal(stretches[i].source, stretches[i - 1].source))
                        sources[found++] = (struct source){ .name = stretches[i].source };
                sources[found - 1].total += stretches[i].amount;
        }
        qsort(sources, found, sizeof(*sources), by_rank);
        return found;
}

static int64_t overlap(const struct day_stretch *stretch, const struct span *covered, size_t count)
{
        int64_t sum = 0;

        for (size_t i = 0; i < count && covered[i].from < stretch->to; i++) {
                cm_time from = covered[i].from > stretch->from ? covered[i].from : stretch->from;
                cm_time to = covered[i].to < stretch->to ? covered[i].to : stretch->to;

                if (to > from)
                        sum += to - from;
        }
        return sum;
}

static int span_by_time(const void *left, const void *right)
{
        const struct span *a = left, *b = right;

        return (a->from > b->from) - (a->from < b->from);
}

/* Sorts and joins spans that touch. Returns how many are left. */
static size_t join_spans(struct span *spans, size_t count)
{
        size_t kept = 0;

        qsort(spans, count, sizeof(*spans), span_by_time);
        for (size_t i = 0; i < count; i++) {
                if (kept > 0 && spans[i].from <= spans[kept - 1].to) {
                        if (spans[i].to > spans[kept - 1].to)
                                spans[kept - 1].to = spans[i].to;
                } else {
                        spans[kept++] = spans[i];
                }
        }
        return kept;
}

static double share(const struct day_stretch *stretch, const struct span *covered, size_t count)
{
        int64_t length = stretch->to - stretch->from;

        if (length <= 0)
                return stretch->amount;
        return stretch->amount * (double)(length - overlap(stretch, covered, count)) /
               (double)length;
}

double day_union_sum(struct day_stretch *stretches, size_t count, struct cm_arena *arena)
{
        struct source *sources = cm_arena_array(arena, count + 1, sizeof(*sources));
        struct span *covered = cm_arena_array(arena, count + 1, sizeof(*covered));
        size_t source_count, covered_count = 0;
        double sum = 0;

        qsort(stretches, count, sizeof(*stretches), by_source_and_time);
        source_count = find_sources(stretches, count, sources);
        for (size_t s = 0; s < source_count; s++) {
                size_t before = covered_count;

                for (size_t i = 0; i < count; i++) {
                        if (!cm_str_equal(stretches[i].source, sources[s].name))
                                continue;
                        sum += share(&stretches[i], covered, before);
                        if (stretches[i].to > stretches[i].from)
                                covered[covered_count++] =
                                        (struct span){ stretches[i].from, stretches[i].to };
                }
                covered_count = join_spans(covered, covered_count);
        }
        return sum;
}

int64_t day_covered_us(struct day_stretch *stretches, size_t count)
{
        cm_time end = INT64_MIN;
        int64_t sum = 0;

        qsort(stretches, count, sizeof(*stretches), by_time);
        for (size_t i = 0; i < count; i++) {
                cm_time from = stretches[i].from > end ? stretches[i].from : end;

                if (stretches[i].to <= from)
                        continue;
                sum += stretches[i].to - from;
                end = stretches[i].to;
        }
        return sum;
}
