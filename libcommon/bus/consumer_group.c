#include <inttypes.h>

#include "base/error.h"
#include "bus/consumer_internal.h"
#include "keys.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* The group in Redis: making it, acknowledging, dead letters, keeping work alive, taking work over.
 */

static struct cm_metric dead_letters =
        CM_COUNTER("salus_bus_dead_letters_total", "Entries given up");

/* Copies the entry with its history and acknowledges it, once however often it is asked. The stream
 * belongs to another service and is no key of the script: the right to acknowledge is all it needs.
 */
static struct cm_redis_script bury_script = {
        .name = "bus-dead-letter",
        .text = "if redis.call('XACK', ARGV[1], ARGV[2], ARGV[3]) == 0 then return 0 end\n"
                "redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4))\n"
                "return 1\n",
};

/* ---- making */

static int create(struct cm_consumer *consumer, struct cm_str key, int64_t position)
{
        struct cm_redis_reply reply;
        int r = cm_redis_call(consumer->config.redis, &consumer->arena, &reply, CM_STR("XGROUP"),
                              CM_STR("CREATE"), key, consumer->group,
                              cm_arena_printf(&consumer->arena, "%" PRId64 "-0", position),
                              CM_STR("MKSTREAM"), CM_STR_NONE);

        if (r == CM_REDIS_REFUSED && cm_str_starts(reply.text, CM_STR("BUSYGROUP")))
                return 0;
        if (r == CM_REDIS_REFUSED) {
                cm_log(CM_LOG_ERROR, "consumer group refused", CM_F_STR("stream", key),
                       CM_F_STR("reply", reply.text));
                return -CM_E_UNAVAILABLE;
        }
        if (r == 0)
                cm_log(CM_LOG_INFO, "consumer group made", CM_F_STR("stream", key),
                       CM_F_INT("position", position));
        return r;
}

/* A group that is new, or that Redis has lost, begins at what the service has committed. */
int consumer_group_open(struct cm_consumer *consumer)
{
        int r = create(consumer, consumer->redelivery, 0);

        for (size_t i = 0; r == 0 && i < consumer->stream_count; i++) {
                struct consumer_stream *stream = &consumer->streams[i];
                struct consumer_range *beyond;
                int64_t position = 0;
                size_t count;

                r = consumer_store_open(consumer, stream->name);
                if (r == 0)
                        r = consumer_store_advance(consumer, stream->name, &consumer->arena,
                                                   &position, &beyond, &count);
                if (r == 0)
                        r = create(consumer, stream->key, position);
                stream->seen = position;
                stream->is_suspicious = true;
        }
        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

/* ---- done with */

static bool is_acked(const struct consumer_entry *entry)
{
        return entry->fate != ENTRY_LATER && entry->fate != ENTRY_DEAD;
}

static void add_command(struct cm_consumer *consumer, struct cm_redis_command_line *command,
                        struct cm_str name, struct cm_str key, const struct consumer_entry *entries,
                        size_t count)
{
        struct cm_str *args = cm_arena_array(&consumer->arena, count + 3, sizeof(*args));
        bool is_ack = cm_str_equal(name, CM_STR("XACK"));
        size_t used = 0;

        args[used++] = name;
        args[used++] = key;
        if (is_ack)
                args[used++] = consumer->group;
        command->args = args;
        for (size_t i = 0; i < count; i++)
                if (is_acked(&entries[i]) && cm_str_equal(entries[i].key, key))
                        args[used++] = entries[i].id;
        /* Nothing to acknowledge by this key: no command. */
        command->count = used > (is_ack ? 3u : 2u) ? used : 0;
}

/* An acknowledgement that is lost costs a delivery that the inbox knows. */
static void acknowledge(struct cm_consumer *consumer, const struct consumer_entry *entries,
                        size_t count)
{
        struct cm_redis_command_line commands[CONSUMER_MAX_STREAMS + 2] = { 0 };
        struct cm_redis_reply replies[CONSUMER_MAX_STREAMS + 2];
        size_t used = 0;

        for (size_t i = 0; i < consumer->stream_count; i++) {
                add_command(consumer, &commands[used], CM_STR("XACK"), consumer->streams[i].key,
                            entries, count);
                used += commands[used].count > 0;
        }
        add_command(consumer, &commands[used], CM_STR("XACK"), consumer->redelivery, entries,
                    count);
        used += commands[used].count > 0;
        add_command(consumer, &commands[used], CM_STR("XDEL"), consumer->redelivery, entries,
                    count);
        used += commands[used].count > 0;
        (void)!cm_redis_flight(consumer->config.redis, &consumer->arena, commands, used, replies);
}

static void count_dead(struct cm_consumer *consumer, const struct consumer_entry *entry)
{
        struct cm_str labels = cm_arena_printf(&consumer->arena, "reason=\"%s\"", entry->reason);

        cm_counter_add(cm_metric_labeled(&dead_letters, labels.data), 1);
        cm_log(CM_LOG_ERROR, "dead letter", CM_F_TEXT("reason", entry->reason),
               CM_F_STR("detail", entry->detail), CM_F_STR("stream", entry->key),
               CM_F_STR("entry", entry->id), CM_F_STR("type", entry->event.type));
}

static void bury(struct cm_consumer *consumer, const struct consumer_entry *entry)
{
        struct cm_arena *arena = &consumer->arena;
        struct cm_str trace = entry->event.traceparent, detail = entry->detail;
        char died_at[CM_TIME_TEXT_SIZE];
        const struct cm_str history[] = {
                entry->key,
                consumer->group,
                entry->id,
                CM_STR("dead_reason"),
                cm_str_from(entry->reason),
                CM_STR("dead_detail"),
                detail.data ? detail : CM_STR(""),
                CM_STR("dead_attempts"),
                cm_arena_printf(arena, "%d", entry->attempt),
                CM_STR("dead_stream"),
                entry->key,
                CM_STR("dead_id"),
                entry->id,
                CM_STR("dead_at"),
                cm_str_from(cm_time_format(cm_now(&cm_clock_system), died_at)),
                CM_STR("dead_traceparent"),
                trace.data ? trace : CM_STR(""),
                CM_STR("salus_stream"),
                entry->stream ? entry->stream->name : CM_STR(""),
        };
        size_t count = CM_COUNT(history), body = entry->fields->count;
        struct cm_str *args = cm_arena_array(arena, count + body, sizeof(*args));
        struct cm_redis_reply reply, removed;

        for (size_t i = 0; i < count; i++)
                args[i] = history[i];
        for (size_t i = 0; i + 1 < body; i += 2) {
                if (cm_str_equal(entry->fields->items[i].text, CM_STR("salus_stream")))
                        continue;
                args[count++] = entry->fields->items[i].text;
                args[count++] = entry->fields->items[i + 1].text;
        }
        if (cm_redis_script(consumer->config.redis, arena, &bury_script, &consumer->dead, 1, args,
                            count, &reply)) {
                cm_log(CM_LOG_ERROR, "dead letter not kept: it will come again",
                       CM_F_STR("entry", entry->id));
                return;
        }
        if (reply.integer == 1)
                count_dead(consumer, entry);
        if (cm_str_equal(entry->key, consumer->redelivery))
                (void)!cm_redis_call(consumer->config.redis, arena, &removed, CM_STR("XDEL"),
                                     entry->key, entry->id, CM_STR_NONE);
}

void consumer_group_finish(struct cm_consumer *consumer, struct consumer_entry *entries,
                           size_t count)
{
        consumer_limit(consumer->config.lease_us);
        acknowledge(consumer, entries, count);
        for (size_t i = 0; i < count; i++)
                if (entries[i].fate == ENTRY_DEAD)
                        bury(consumer, &entries[i]);
}

/* ---- leases */

static void keep_alive(struct cm_consumer *consumer, struct cm_arena *arena, struct cm_str key)
{
        struct cm_str *args = cm_arena_array(arena, consumer->work_count + 6, sizeof(*args));
        struct cm_redis_reply reply;
        size_t used = 0;

        args[used++] = CM_STR("XCLAIM");
        args[used++] = key;
        args[used++] = consumer->group;
        args[used++] = consumer->name;
        args[used++] = CM_STR("0");
        for (size_t i = 0; i < consumer->work_count; i++)
                if (consumer->work[i].fate != ENTRY_LATER &&
                    cm_str_equal(consumer->work[i].key, key))
                        args[used++] = consumer->work[i].id;
        if (used == 5)
                return;
        args[used++] = CM_STR("JUSTID");
        (void)!cm_redis_command(consumer->config.redis, arena, args, used, &reply);
}

void consumer_group_keep_alive(struct cm_consumer *consumer)
{
        struct cm_arena arena;

        cm_arena_init(&arena, 8192);
        for (size_t i = 0; i < consumer->stream_count; i++)
                keep_alive(consumer, &arena, consumer->streams[i].key);
        keep_alive(consumer, &arena, consumer->redelivery);
        cm_arena_deinit(&arena);
}

/* How often it was delivered, from XPENDING's one row. */
static int deliveries(struct cm_consumer *consumer, struct cm_str key, struct cm_str id)
{
        struct cm_redis_reply reply;
        int r = cm_redis_call(consumer->config.redis, &consumer->arena, &reply, CM_STR("XPENDING"),
                              key, consumer->group, id, id, CM_STR("1"), CM_STR_NONE);

        if (r || reply.count != 1 || reply.items[0].count != 4)
                return 2;
        return (int)reply.items[0].items[3].integer;
}

static void suspect(struct cm_consumer *consumer, struct cm_str key)
{
        for (size_t i = 0; i < consumer->stream_count; i++)
                if (cm_str_equal(consumer->streams[i].key, key))
                        consumer->streams[i].is_suspicious = true;
}

/*
 * One at a time: claiming counts as a delivery, and the neighbours of an entry that kills its
 * process must not be counted with it.
 */
int consumer_group_claim(struct cm_consumer *consumer, struct cm_str key,
                         struct consumer_entry *entry_r, size_t *count_r)
{
        struct cm_redis_reply reply;
        int r = cm_redis_call(
                consumer->config.redis, &consumer->arena, &reply, CM_STR("XAUTOCLAIM"), key,
                consumer->group, consumer->name,
                cm_arena_printf(&consumer->arena, "%" PRId64, consumer->config.lease_us / 1000),
                CM_STR("0-0"), CM_STR("COUNT"), CM_STR("1"), CM_STR_NONE);

        *count_r = 0;
        if (r)
                return r < 0 ? r : -CM_E_UNAVAILABLE;
        if (reply.count < 3)
                return -CM_E_PROTOCOL;
        if (reply.items[2].count)
                suspect(consumer, key); /* pending entries whose bodies are gone */
        if (!reply.items[1].count || reply.items[1].items[0].count != 2)
                return 0;
        *count_r = 1;
        consumer_entry_read(consumer, key, &reply.items[1].items[0],
                            deliveries(consumer, key, reply.items[1].items[0].items[0].text),
                            entry_r);
        return 0;
}
