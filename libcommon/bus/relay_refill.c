#include <inttypes.h>

#include "base/error.h"
#include "bus/relay_internal.h"
#include "keys.h"
#include "sys/log.h"

/*
 * A group that misses positions writes `<first>-<last>` under its name into the hash
 * `s1:missing:<service>`. The relay sends these events to the stream of that group alone,
 * `s1:redelivery:<group>`, some at a time, and moves the request on. Positions that have no event
 * (given up, or pruned) are said to be void, so that the group need not ask again.
 */

#define STEP       500
#define MAX_QUEUED 2000

struct refill {
        struct cm_relay *relay;
        struct cm_str group;
        struct cm_str key;
        struct relay_batch batch; /* holds the texts of the commands until they are sent */
        struct cm_redis_command_line commands[STEP + 2];
        size_t count;
};

static struct cm_metric refilled =
        CM_COUNTER("salus_bus_refilled_total", "Events sent to a group that missed them");

static void add(struct refill *refill, const struct cm_str *args, size_t count)
{
        struct cm_str *copy = cm_arena_array(&refill->relay->arena, count, sizeof(*copy));

        for (size_t i = 0; i < count; i++)
                copy[i] = args[i];
        refill->commands[refill->count++] = (struct cm_redis_command_line){ copy, count };
}

static void add_event(struct refill *refill, const struct cm_event *event)
{
        struct cm_str args[5 + 2 * CM_EVENT_ATTRIBUTES] = {
                CM_STR("XADD"), refill->key, CM_STR("*"), CM_STR("salus_stream"),
                cm_str_from(refill->relay->config.service)
        };
        struct cm_str *fields;
        size_t count = cm_event_fields(event, &refill->relay->arena, &fields);

        for (size_t i = 0; i < count; i++)
                args[5 + i] = fields[i];
        add(refill, args, 5 + count);
}

static void add_void(struct refill *refill, int64_t first, int64_t last)
{
        struct cm_relay *relay = refill->relay;

        cm_log(CM_LOG_WARN, "positions that a group misses have no event",
               CM_F_TEXT("stream", relay->config.service), CM_F_STR("group", refill->group),
               CM_F_INT("first", first), CM_F_INT("last", last));
        add(refill,
            (struct cm_str[]){
                    CM_STR("XADD"), refill->key, CM_STR("*"), CM_STR("salus_stream"),
                    cm_str_from(relay->config.service), CM_STR("salus_void"),
                    cm_arena_printf(&relay->arena, "%" PRId64 "-%" PRId64, first, last) },
            7);
}

/* The request, moved on or done with. */
static void add_rest(struct refill *refill, int64_t first, int64_t last)
{
        struct cm_relay *relay = refill->relay;

        if (first > last)
                add(refill, (struct cm_str[]){ CM_STR("HDEL"), relay->missing, refill->group }, 3);
        else
                add(refill,
                    (struct cm_str[]){
                            CM_STR("HSET"), relay->missing, refill->group,
                            cm_arena_printf(&relay->arena, "%" PRId64 "-%" PRId64, first, last) },
                    4);
}

static int send(struct refill *refill)
{
        struct cm_arena *arena = &refill->relay->arena;
        struct cm_redis_reply *replies = cm_arena_array(arena, refill->count, sizeof(*replies));
        int r = cm_redis_flight(refill->relay->config.redis, arena, refill->commands, refill->count,
                                replies);

        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

/* Fills commands with the events from first on, and what is void between them. Returns in *next_r
 * where the next step begins. */
static int collect(struct refill *refill, int64_t first, int64_t last, int64_t *next_r)
{
        struct cm_relay *relay = refill->relay;
        struct relay_batch *batch = &refill->batch;
        int64_t end = first + STEP - 1, next;
        int r = relay->store->next(relay, first, &next);

        if (r)
                return r;
        if (next > first) {
                *next_r = next > last ? last + 1 : next;
                add_void(refill, first, *next_r - 1);
                return 0;
        }
        r = relay->store->read(relay, first, end < last ? end : last, batch);
        if (r)
                return r;
        for (size_t i = 0; i < batch->count && batch->events[i].position == next; i++, next++)
                add_event(refill, &batch->events[i]);
        cm_counter_add(&refilled, (int64_t)(next - first));
        /* A range whose rows are gone all the same: say so rather than stand still. */
        if (next == first)
                add_void(refill, first, first);
        *next_r = next == first ? first + 1 : next;
        return 0;
}

static bool read_range(struct cm_str text, int64_t *first_r, int64_t *last_r)
{
        struct cm_str first;

        return cm_str_split(&text, '-', &first) && cm_str_to_int(first, first_r) &&
               cm_str_to_int(text, last_r) && *first_r > 0 && *first_r <= *last_r;
}

static int refill_group(struct cm_relay *relay, struct cm_str group, struct cm_str range)
{
        struct refill *refill = CM_ARENA_NEW(&relay->arena, struct refill);
        struct cm_redis_reply queued;
        int64_t first, last, next = 0;
        int r;

        refill->relay = relay;
        refill->group = group;
        refill->key = key_redelivery(&relay->arena, group);
        if (!read_range(range, &first, &last) || first > relay->cursor.position) {
                add_rest(refill, 1, 0);
                return send(refill);
        }
        if (last > relay->cursor.position)
                last = relay->cursor.position;
        r = cm_redis_call(relay->config.redis, &relay->arena, &queued, CM_STR("XLEN"), refill->key,
                          CM_STR_NONE);
        if (r || queued.integer > MAX_QUEUED)
                return r > 0 ? -CM_E_UNAVAILABLE : r;
        r = collect(refill, first, last, &next);
        if (r == 0) {
                add_rest(refill, next, last);
                r = send(refill);
        }
        relay_batch_clear(&refill->batch);
        return r;
}

int relay_refill(struct cm_relay *relay, const struct cm_redis_reply *asked)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i + 1 < asked->count; i += 2)
                r = refill_group(relay, asked->items[i].text, asked->items[i + 1].text);
        return r;
}
