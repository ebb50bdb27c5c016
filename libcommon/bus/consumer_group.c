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

/*
 * Copies entries with their history and acknowledges them, each once however often it is asked, and
 * never without the copy: a full server refuses XADD, but not XACK. The stream may belong to
 * another service and is no key of the script: the right to acknowledge is all it needs.
 */
static struct cm_redis_script bury_script = {
        .name = "bus-dead-letters",
        .text = "local told, i, group = {}, 2, ARGV[1]\n"
                "while i <= #ARGV do\n"
                "  local stream, id, last = ARGV[i], ARGV[i + 1], i + 2 + tonumber(ARGV[i + 2])\n"
                "  local held = #redis.call('XPENDING', stream, group, id, id, 1)\n"
                "  if held > 0 then\n"
                "    redis.call('XADD', KEYS[1], '*', unpack(ARGV, i + 3, last))\n"
                "    redis.call('XACK', stream, group, id)\n"
                "  end\n"
                "  if stream == KEYS[2] then redis.call('XDEL', stream, id) end\n"
                "  told[#told + 1] = held\n"
                "  i = last + 1\n"
                "end\n"
                "return told\n",
};

/* What goes in one call: the server does nothing else meanwhile. */
#define BURIED_AT_ONCE 32
#define BURIED_BYTES   (1 << 20)
#define BURIED_TEXTS   2000 /* of one entry: Lua's stack has an end, and an event has a dozen */
#define HISTORY_TEXTS  20

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

                r = consumer->config.inbox->open(consumer, stream->name);
                if (r == 0)
                        r = consumer->config.inbox->advance(consumer, stream->name,
                                                            &consumer->arena, &position, &beyond,
                                                            &count);
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

struct funeral {
        struct cm_str *args;
        size_t count;
        size_t bytes;
        const struct consumer_entry *entries[BURIED_AT_ONCE];
        size_t entry_count;
};

static void add_text(struct funeral *funeral, struct cm_str text)
{
        funeral->args[funeral->count++] = text.data ? text : CM_STR("");
        funeral->bytes += text.len;
}

static void add_history(struct cm_consumer *consumer, struct funeral *funeral,
                        const struct consumer_entry *entry)
{
        struct cm_arena *arena = &consumer->arena;
        char died_at[CM_TIME_TEXT_SIZE];
        const struct cm_str history[] = {
                CM_STR("dead_reason"),
                cm_str_from(entry->reason),
                CM_STR("dead_detail"),
                entry->detail,
                CM_STR("dead_attempts"),
                cm_arena_printf(arena, "%d", entry->attempt),
                CM_STR("dead_stream"),
                entry->key,
                CM_STR("dead_id"),
                entry->id,
                CM_STR("dead_at"),
                cm_arena_str(arena, cm_str_from(cm_time_format(cm_now(&cm_clock_system), died_at))),
                CM_STR("dead_traceparent"),
                entry->event.traceparent,
                CM_STR("salus_stream"),
                entry->stream ? entry->stream->name : CM_STR_NONE,
        };

        for (size_t i = 0; i < CM_COUNT(history); i++)
                add_text(funeral, history[i]);
}

static size_t body_of(const struct consumer_entry *entry)
{
        return entry->fields->count < BURIED_TEXTS ? entry->fields->count : BURIED_TEXTS;
}

static void add_letter(struct cm_consumer *consumer, struct funeral *funeral,
                       const struct consumer_entry *entry)
{
        size_t body = body_of(entry), count_at, first;

        add_text(funeral, entry->key);
        add_text(funeral, entry->id);
        count_at = funeral->count++;
        first = funeral->count;
        add_history(consumer, funeral, entry);
        for (size_t i = 0; i + 1 < body; i += 2) {
                if (cm_str_equal(entry->fields->items[i].text, CM_STR("salus_stream")))
                        continue;
                add_text(funeral, entry->fields->items[i].text);
                add_text(funeral, entry->fields->items[i + 1].text);
        }
        funeral->args[count_at] = cm_arena_printf(&consumer->arena, "%zu", funeral->count - first);
        funeral->entries[funeral->entry_count++] = entry;
}

static void hold(struct cm_consumer *consumer, struct funeral *funeral)
{
        const struct cm_str keys[] = { consumer->dead, consumer->redelivery };
        struct cm_redis_reply reply;

        if (!funeral->entry_count)
                return;
        if (cm_redis_script(consumer->config.redis, &consumer->arena, &bury_script, keys, 2,
                            funeral->args, funeral->count, &reply) ||
            reply.count != funeral->entry_count) {
                cm_log(CM_LOG_ERROR, "dead letters not kept: they will come again",
                       CM_F_INT("letters", (int64_t)funeral->entry_count),
                       CM_F_STR("first", funeral->entries[0]->id));
                return;
        }
        for (size_t i = 0; i < reply.count; i++)
                if (reply.items[i].integer > 0)
                        count_dead(consumer, funeral->entries[i]);
}

static void begin_funeral(struct cm_consumer *consumer, struct funeral *funeral)
{
        funeral->count = funeral->bytes = funeral->entry_count = 0;
        add_text(funeral, consumer->group);
}

/* Moves the dead of these entries to the dead letters, some at a time. */
static void bury(struct cm_consumer *consumer, const struct consumer_entry *entries, size_t count)
{
        struct funeral funeral;
        size_t texts = 0;

        for (size_t i = 0; i < count; i++)
                if (entries[i].fate == ENTRY_DEAD)
                        texts += HISTORY_TEXTS + body_of(&entries[i]);
        if (!texts)
                return;
        funeral.args = cm_arena_array(&consumer->arena, texts + 1, sizeof(*funeral.args));
        begin_funeral(consumer, &funeral);
        for (size_t i = 0; i < count; i++) {
                if (entries[i].fate != ENTRY_DEAD)
                        continue;
                add_letter(consumer, &funeral, &entries[i]);
                if (funeral.entry_count < BURIED_AT_ONCE && funeral.bytes < BURIED_BYTES)
                        continue;
                hold(consumer, &funeral);
                begin_funeral(consumer, &funeral);
        }
        hold(consumer, &funeral);
}

void consumer_group_finish(struct cm_consumer *consumer, struct consumer_entry *entries,
                           size_t count)
{
        consumer_limit(consumer->config.lease_us);
        acknowledge(consumer, entries, count);
        bury(consumer, entries, count);
}

/* ---- leases */

static size_t list_ids(const struct consumer_entry *entries, size_t count, struct cm_str key,
                       struct cm_str *ids)
{
        size_t found = 0;

        for (size_t i = 0; i < count; i++)
                if (entries[i].fate != ENTRY_LATER && cm_str_equal(entries[i].key, key))
                        ids[found++] = entries[i].id;
        return found;
}

static void keep_alive(struct cm_consumer *consumer, struct cm_arena *arena, struct cm_str key)
{
        const struct consumer_held *held = &consumer->held;
        struct cm_str *args =
                cm_arena_array(arena, consumer->work_count + held->count + 6, sizeof(*args));
        struct cm_redis_reply reply;
        size_t used = 0, head;

        args[used++] = CM_STR("XCLAIM");
        args[used++] = key;
        args[used++] = consumer->group;
        args[used++] = consumer->name;
        args[used++] = CM_STR("0");
        head = used;
        used += list_ids(consumer->work, consumer->work_count, key, args + used);
        if (consumer->work != held->entries || !consumer->work_count)
                used += list_ids(held->entries, held->count, key, args + used);
        if (used == head)
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
