#include <inttypes.h>

#include "base/error.h"
#include "bus/consumer_internal.h"
#include "keys.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * Positions are contiguous, so each one up to the last that the group was given is either done (in
 * the service's database), pending (in Redis), or lost on the way: trimmed too early, deleted,
 * skipped by a group that was made at a wrong place. What is lost is asked of the owner, who sends
 * it to the stream of this group alone (relay_refill.c).
 *
 * The three are read in this order: what was given, what is pending, what is done. An entry is
 * acknowledged after its commit, so one that has left the pending ones is among the done ones by
 * then. Replicas may look at the same time and both ask; the inbox absorbs what comes twice.
 */

#define MAX_PENDING 10000
#define NEAR        100 /* holes so close to each other are asked for together */

static struct cm_metric gaps =
        CM_COUNTER("salus_bus_gap_total", "Gaps noticed in the positions of a stream");

struct view {
        int64_t given; /* last position that the group was given */
        int64_t *pending;
        size_t pending_count;
        int64_t done; /* all up to here */
        struct consumer_range *beyond;
        size_t beyond_count;
};

static int64_t position_of(struct cm_str id)
{
        struct cm_str position;
        int64_t value;

        return cm_str_split(&id, '-', &position) && cm_str_to_int(position, &value) ? value : 0;
}

static struct cm_str field(const struct cm_redis_reply *map, struct cm_str name)
{
        for (size_t i = 0; i + 1 < map->count; i += 2)
                if (cm_str_equal(map->items[i].text, name))
                        return map->items[i + 1].text;
        return CM_STR_NONE;
}

static int look_at_redis(struct cm_consumer *consumer, const struct consumer_stream *stream,
                         struct view *view)
{
        struct cm_arena *arena = &consumer->arena;
        struct cm_redis_reply *replies = cm_arena_array(arena, 2, sizeof(*replies));
        const struct cm_redis_command_line commands[] = {
                { (struct cm_str[]){ CM_STR("XINFO"), CM_STR("GROUPS"), stream->key }, 3 },
                { (struct cm_str[]){ CM_STR("XPENDING"), stream->key, consumer->group, CM_STR("-"),
                                     CM_STR("+"), CM_STR("10000") },
                  6 },
        };
        int r = cm_redis_flight(consumer->config.redis, arena, commands, CM_COUNT(commands),
                                replies);

        if (r)
                return r < 0 ? r : -CM_E_UNAVAILABLE;
        for (size_t i = 0; i < replies[0].count; i++)
                if (cm_str_equal(field(&replies[0].items[i], CM_STR("name")), consumer->group))
                        view->given = position_of(
                                field(&replies[0].items[i], CM_STR("last-delivered-id")));
        view->pending_count = replies[1].count;
        view->pending = cm_arena_array(arena, view->pending_count, sizeof(*view->pending));
        for (size_t i = 0; i < view->pending_count; i++)
                view->pending[i] = position_of(replies[1].items[i].items[0].text);
        /* More are pending than were listed: nothing is known of what lies behind. */
        if (view->pending_count == MAX_PENDING && view->pending[MAX_PENDING - 1] < view->given)
                view->given = view->pending[MAX_PENDING - 1];
        return 0;
}

/* The first position from `from` on that is neither done nor pending; beyond `given` when none. The
 * indices go forward only. */
static int64_t next_missing(const struct view *view, int64_t from, size_t *range, size_t *pending)
{
        for (bool moved = true; moved;) {
                moved = false;
                while (*range < view->beyond_count && view->beyond[*range].last < from)
                        (*range)++;
                if (*range < view->beyond_count && view->beyond[*range].first <= from) {
                        from = view->beyond[*range].last + 1;
                        moved = true;
                }
                while (*pending < view->pending_count && view->pending[*pending] < from)
                        (*pending)++;
                if (*pending < view->pending_count && view->pending[*pending] == from) {
                        from++;
                        moved = true;
                }
        }
        return from;
}

/* The end of the hole that begins at `first`. */
static int64_t hole_end(const struct view *view, int64_t first, size_t range, size_t pending)
{
        int64_t last = view->given;

        if (range < view->beyond_count && view->beyond[range].first <= last)
                last = view->beyond[range].first - 1;
        if (pending < view->pending_count && view->pending[pending] <= last)
                last = view->pending[pending] - 1;
        return last > first ? last : first;
}

/* The first hole and those near behind it. False: there is none. */
static bool find_hole(const struct view *view, struct consumer_range *hole_r)
{
        size_t range = 0, pending = 0;
        int64_t at = next_missing(view, view->done + 1, &range, &pending);

        if (at > view->given)
                return false;
        hole_r->first = at;
        while (at <= view->given && (at == hole_r->first || at - hole_r->last <= NEAR)) {
                hole_r->last = hole_end(view, at, range, pending);
                at = next_missing(view, hole_r->last + 1, &range, &pending);
        }
        return true;
}

/* Asks, unless what was asked before is still on its way. */
static int ask(struct cm_consumer *consumer, struct consumer_stream *stream,
               const struct consumer_range *hole)
{
        struct cm_arena *arena = &consumer->arena;
        struct cm_str missing = key_missing(arena, stream->name);
        struct cm_redis_reply *replies = cm_arena_array(arena, 2, sizeof(*replies)), asked;
        const struct cm_redis_command_line commands[] = {
                { (struct cm_str[]){ CM_STR("HGET"), missing, consumer->group }, 3 },
                { (struct cm_str[]){ CM_STR("XLEN"), consumer->redelivery }, 2 },
        };
        int r = cm_redis_flight(consumer->config.redis, arena, commands, CM_COUNT(commands),
                                replies);

        if (r)
                return r < 0 ? r : -CM_E_UNAVAILABLE;
        if (replies[0].kind == CM_REDIS_TEXT || replies[1].integer > 0)
                return 0;
        if (hole->first < stream->asked_first || hole->last > stream->asked_last) {
                cm_counter_add(&gaps, 1);
                cm_log(CM_LOG_ERROR, "gap in a stream: asking its owner",
                       CM_F_STR("stream", stream->name), CM_F_INT("first", hole->first),
                       CM_F_INT("last", hole->last));
        }
        stream->asked_first = hole->first;
        stream->asked_last = hole->last;
        r = cm_redis_call(consumer->config.redis, arena, &asked, CM_STR("HSET"), missing,
                          consumer->group,
                          cm_arena_printf(arena, "%" PRId64 "-%" PRId64, hole->first, hole->last),
                          CM_STR_NONE);
        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

int consumer_gap_look(struct cm_consumer *consumer, struct consumer_stream *stream)
{
        struct view view = { 0 };
        struct consumer_range hole;
        int r = look_at_redis(consumer, stream, &view);

        if (r == 0)
                r = consumer->config.inbox->advance(consumer, stream->name, &consumer->arena,
                                                    &view.done, &view.beyond, &view.beyond_count);
        if (r)
                return r > 0 ? -CM_E_UNAVAILABLE : r;
        stream->has_moved = false;
        stream->is_suspicious = find_hole(&view, &hole);
        return stream->is_suspicious ? ask(consumer, stream, &hole) : 0;
}
