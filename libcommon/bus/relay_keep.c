#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/relay_internal.h"
#include "sys/log.h"

/*
 * What the relay does from time to time: look whether the stream is still there, see how far each
 * group is, answer those that miss something, trim, and keep the groups' positions in the database
 * for the day on which Redis has lost them.
 *
 * Lag is counted from our own numbers, head minus acknowledged; Redis' own `lag` is null or wrong
 * after a trim or a deletion.
 */

#define SAVE_INTERVAL_US  (2 * CM_SECOND)
#define PRUNE_INTERVAL_US CM_MINUTE
#define UNREAD_LENGTH     10000 /* positions kept while no group is known */
#define CONSUMER_LIFE_MS  "3600000"
#define LAG_METRIC        "salus_bus_lag_messages"

static struct cm_metric lag =
        CM_GAUGE(LAG_METRIC, "Events of a stream that a group has not acknowledged");
static struct cm_metric oldest =
        CM_GAUGE("salus_bus_oldest_unacked_seconds",
                 "Age of the oldest event that a group has not acknowledged");
static struct cm_metric silent =
        CM_GAUGE("salus_bus_silent_groups", "Groups that have not read for a day");

/* ---- groups */

static struct cm_metric *labeled(struct cm_relay *relay, struct cm_str group,
                                 const struct cm_metric *base)
{
        struct cm_str labels = cm_arena_printf(&relay->arena, "stream=\"%s\",group=\"%.*s\"",
                                               relay->config.service, CM_STR_ARG(group));

        return cm_metric_labeled(base, labels.data);
}

struct relay_group *relay_group_get(struct cm_relay *relay, struct cm_str name)
{
        struct relay_group *group;

        CM_LIST_EACH (node, &relay->groups) {
                group = CM_CONTAINER(node, struct relay_group, node);
                if (cm_str_equal(cm_str_from(group->name), name))
                        return group;
        }
        group = CM_NEW(struct relay_group);
        group->name = cm_alloc(name.len + 1);
        memcpy(group->name, name.data, name.len);
        group->acked_saved = -1;
        group->lag = labeled(relay, name, &lag);
        group->oldest = labeled(relay, name, &oldest);
        cm_list_append(&relay->groups, &group->node);
        return group;
}

void relay_groups_free(struct cm_relay *relay)
{
        struct cm_list *node;

        while ((node = cm_list_pop(&relay->groups))) {
                struct relay_group *group = CM_CONTAINER(node, struct relay_group, node);

                cm_free(group->name);
                cm_free(group);
        }
}

static const struct cm_redis_reply *field(const struct cm_redis_reply *map, struct cm_str name)
{
        static const struct cm_redis_reply none;

        for (size_t i = 0; i + 1 < map->count; i += 2)
                if (cm_str_equal(map->items[i].text, name))
                        return &map->items[i + 1];
        return &none;
}

static int64_t position_of(struct cm_str id)
{
        struct cm_str position;
        int64_t value;

        return cm_str_split(&id, '-', &position) && cm_str_to_int(position, &value) ? value : 0;
}

/* Acknowledged is what lies before the first entry that is pending, or, with none, all that was
 * delivered. */
static int64_t acked(const struct cm_redis_reply *info, const struct cm_redis_reply *pending)
{
        if (pending->count >= 2 && pending->items[0].integer > 0)
                return position_of(pending->items[1].text) - 1;
        return position_of(field(info, CM_STR("last-delivered-id"))->text);
}

/* Removes consumers of processes that are long gone, and only those with nothing pending. */
static struct cm_redis_script sweep_script = {
        .name = "bus-sweep-consumers",
        .text = "local idle\n"
                "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
                "  local m = {}\n"
                "  for i = 1, #c, 2 do m[c[i]] = c[i + 1] end\n"
                "  if not idle or m.idle < idle then idle = m.idle end\n"
                "  if m.pending == 0 and m.idle > tonumber(ARGV[2]) then\n"
                "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], m.name)\n"
                "  end\n"
                "end\n"
                "return idle or -1\n",
};

static int64_t age_of(const struct cm_redis_reply *entries)
{
        const struct cm_redis_reply *fields;
        cm_time time;

        if (entries->count != 1 || entries->items[0].count != 2)
                return 0;
        fields = &entries->items[0].items[1];
        if (!cm_time_parse(field(fields, CM_STR("ce_time"))->text, &time, NULL))
                return 0;
        time = cm_now(&cm_clock_system) - time;
        return time > 0 ? time / CM_SECOND : 0;
}

static int look_at_group(struct cm_relay *relay, const struct cm_redis_reply *info)
{
        struct cm_arena *arena = &relay->arena;
        struct cm_str name = field(info, CM_STR("name"))->text, from;
        struct relay_group *group = relay_group_get(relay, name);
        struct cm_redis_reply pending, idle, entries;
        int r = cm_redis_call(relay->config.redis, arena, &pending, CM_STR("XPENDING"),
                              relay->stream, name, CM_STR_NONE);

        if (r == 0)
                r = cm_redis_script(relay->config.redis, arena, &sweep_script, &relay->stream, 1,
                                    (struct cm_str[]){ name, CM_STR(CONSUMER_LIFE_MS) }, 2, &idle);
        if (r)
                return r < 0 ? r : 0; /* the group is gone already */
        group->acked = acked(info, &pending);
        if (idle.integer >= 0)
                group->seen_us = cm_monotonic_us() - idle.integer * CM_MILLISECOND;
        else if (!group->seen_us)
                group->seen_us = cm_monotonic_us();
        from = cm_arena_printf(arena, "%" PRId64 "-0", group->acked + 1);
        r = cm_redis_call(relay->config.redis, arena, &entries, CM_STR("XRANGE"), relay->stream,
                          from, CM_STR("+"), CM_STR("COUNT"), CM_STR("1"), CM_STR_NONE);
        if (r == 0)
                cm_gauge_set(group->oldest, age_of(&entries));
        return r < 0 ? r : 0;
}

/* ---- trimming */

static bool is_silent(const struct cm_relay *relay, const struct relay_group *group)
{
        return cm_monotonic_us() - group->seen_us > relay->config.silent_us;
}

static int trim(struct cm_relay *relay)
{
        int64_t slowest = relay->cursor.position, minid, count_silent = 0;
        bool is_read = false;
        struct cm_redis_reply reply;
        int r;

        CM_LIST_EACH (node, &relay->groups) {
                const struct relay_group *group = CM_CONTAINER(node, struct relay_group, node);

                cm_gauge_set(group->lag, relay->cursor.position - group->acked);
                count_silent += is_silent(relay, group);
                if (is_silent(relay, group))
                        continue;
                is_read = true;
                if (group->acked < slowest)
                        slowest = group->acked;
        }
        cm_gauge_set(&silent, count_silent);
        minid = slowest + 1 - (is_read ? relay->config.window : UNREAD_LENGTH);
        if (minid <= relay->trimmed + relay->config.window / 4)
                return 0;
        r = cm_redis_call(relay->config.redis, &relay->arena, &reply, CM_STR("XTRIM"),
                          relay->stream, CM_STR("MINID"), CM_STR("~"),
                          cm_arena_printf(&relay->arena, "%" PRId64 "-0", minid), CM_STR_NONE);
        if (r == 0)
                relay->trimmed = minid;
        return r < 0 ? r : 0;
}

static int save_groups(struct cm_relay *relay)
{
        if (cm_monotonic_us() < relay->next_save_us)
                return 0;
        relay->next_save_us = cm_monotonic_us() + SAVE_INTERVAL_US;
        CM_LIST_EACH (node, &relay->groups) {
                struct relay_group *group = CM_CONTAINER(node, struct relay_group, node);
                int r;

                if (group->acked == group->acked_saved)
                        continue;
                r = relay->store->save_group(relay, group);
                if (r)
                        return r;
                group->acked_saved = group->acked;
        }
        return relay->store->measure(relay);
}

static int prune(struct cm_relay *relay)
{
        if (cm_monotonic_us() < relay->next_prune_us)
                return 0;
        relay->next_prune_us = cm_monotonic_us() + PRUNE_INTERVAL_US;
        return relay->store->prune(relay);
}

int relay_keep(struct cm_relay *relay)
{
        struct cm_redis_reply *replies = cm_arena_array(&relay->arena, 3, sizeof(*replies));
        const struct cm_redis_command_line commands[] = {
                { (struct cm_str[]){ CM_STR("XINFO"), CM_STR("STREAM"), relay->stream }, 3 },
                { (struct cm_str[]){ CM_STR("XINFO"), CM_STR("GROUPS"), relay->stream }, 3 },
                { (struct cm_str[]){ CM_STR("HGETALL"), relay->missing }, 2 },
        };
        int r = cm_redis_flight(relay->config.redis, &relay->arena, commands, CM_COUNT(commands),
                                replies);

        if (r < 0)
                return r;
        r = relay_refill(relay, &replies[2]);
        for (size_t i = 0; r == 0 && i < replies[1].count; i++)
                r = look_at_group(relay, &replies[1].items[i]);
        if (r == 0)
                r = trim(relay);
        if (r == 0)
                r = save_groups(relay);
        if (r == 0)
                r = prune(relay);
        /* Last, because it empties the arena. */
        if (r == 0 && relay_head(&replies[0]) != relay->cursor.position)
                r = relay_compare(relay);
        return r;
}
