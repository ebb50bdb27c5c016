#include "bus/consumer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/consumer_internal.h"
#include "keys.h"
#include "sys/log.h"

/*
 * Two fibers. One works: it takes over what others left, looks for gaps, reads the next batch and
 * works on it to its end before it reads again, so that nothing waits in a buffer with its lease
 * running. The other keeps what is being worked on alive.
 *
 * Any refusal of Redis while reading means that the group may be gone (NOGROUP, UNBLOCKED, a new
 * empty server): it is made again at the committed position, after a pause, so that a group that
 * cannot be made costs some commands a second and no more.
 */

#define BATCH          128
#define MAX_DATA       (1 << 20)
#define LEASE_US       (5 * CM_SECOND)
#define MAX_ATTEMPTS   5
#define KEEP_US        (30 * CM_DAY)
#define PAUSE_US       (250 * CM_MILLISECOND)
#define BLOCK_US       (500 * CM_MILLISECOND)
#define LOOK_US        CM_SECOND
#define SUSPICIOUS_US  (250 * CM_MILLISECOND)
#define PRUNE_US       CM_MINUTE
#define CLAIMS_A_ROUND 64
#define ARENA_BLOCK    65536

void consumer_limit(int64_t duration_us)
{
        cm_fiber_set_deadline(duration_us == CM_NEVER ? CM_NEVER : cm_monotonic_us() + duration_us);
}

struct consumer_stream *consumer_stream_find(struct cm_consumer *consumer, struct cm_str name)
{
        for (size_t i = 0; i < consumer->stream_count; i++)
                if (cm_str_equal(consumer->streams[i].name, name))
                        return &consumer->streams[i];
        return NULL;
}

static int pause_a_little(struct cm_consumer *consumer)
{
        consumer_limit(CM_NEVER);
        cm_progress_idle(consumer->config.progress);
        return consumer->is_stopping ? -CM_E_CANCELLED : cm_fiber_sleep(PAUSE_US);
}

/* ---- working */

/* Works on entries until they are done with, however long the database is away. */
int consumer_work_out(struct cm_consumer *consumer, struct consumer_entry *entries, size_t count)
{
        int r;

        consumer->work = entries;
        consumer->work_count = count;
        while ((r = consumer_work(consumer, entries, count)) < 0) {
                cm_log(CM_LOG_WARN, "batch not done: tried again",
                       CM_F_INT("events", (int64_t)count), CM_F_ERROR(r));
                if (r == -CM_E_CANCELLED || pause_a_little(consumer))
                        break;
        }
        consumer->work_count = 0;
        return r;
}

/* ---- claiming */

static int claim_from(struct cm_consumer *consumer, struct cm_str key)
{
        for (int i = 0; i < CLAIMS_A_ROUND && !consumer->is_stopping; i++) {
                struct consumer_entry entry;
                size_t count;
                int r;

                consumer_limit(consumer->config.lease_us);
                r = consumer_group_claim(consumer, key, &entry, &count);
                if (r || !count)
                        return r;
                consumer->next_claim_us = 0; /* there may be more */
                r = consumer_work_out(consumer, &entry, 1);
                cm_arena_reset(&consumer->arena);
                if (r)
                        return r;
        }
        return 0;
}

static int claim(struct cm_consumer *consumer)
{
        int64_t interval = consumer->config.lease_us / 4;
        int r = 0;

        if (cm_monotonic_us() < consumer->next_claim_us)
                return 0;
        consumer->next_claim_us = cm_monotonic_us() + (interval < BLOCK_US ? interval : BLOCK_US);
        for (size_t i = 0; r == 0 && i < consumer->stream_count; i++)
                r = claim_from(consumer, consumer->streams[i].key);
        return r ? r : claim_from(consumer, consumer->redelivery);
}

/* ---- looking after the streams */

static int look_for_gaps(struct cm_consumer *consumer)
{
        for (size_t i = 0; i < consumer->stream_count; i++) {
                struct consumer_stream *stream = &consumer->streams[i];
                int r;

                if (cm_monotonic_us() < stream->next_look_us ||
                    !(stream->has_moved || stream->is_suspicious))
                        continue;
                consumer_limit(consumer->config.lease_us);
                r = consumer_gap_look(consumer, stream);
                stream->next_look_us =
                        cm_monotonic_us() + (stream->is_suspicious ? SUSPICIOUS_US : LOOK_US);
                if (r)
                        return r;
        }
        return 0;
}

static int prune(struct cm_consumer *consumer)
{
        if (cm_monotonic_us() < consumer->next_prune_us)
                return 0;
        consumer->next_prune_us = cm_monotonic_us() + PRUNE_US;
        consumer_limit(consumer->config.lease_us);
        return consumer->config.inbox->prune(consumer);
}

/* ---- reading */

/* Of the streams with a delay or of the others; block_us 0: without waiting. */
static int ask_for_entries(struct cm_consumer *consumer, bool are_delayed, int64_t block_us,
                           struct cm_redis_reply *reply_r)
{
        struct cm_arena *arena = consumer->reading;
        struct cm_str args[9 + 2 * (CONSUMER_MAX_STREAMS + 1)] = {
                CM_STR("XREADGROUP"), CM_STR("GROUP"),
                consumer->group,      consumer->name,
                CM_STR("COUNT"),      cm_arena_printf(arena, "%zu", consumer->config.batch),
        };
        size_t count = 6, keys = 0;
        int r;

        if (block_us) {
                args[count++] = CM_STR("BLOCK");
                args[count++] = cm_arena_printf(arena, "%" PRId64, block_us / 1000 + 1);
        }
        args[count++] = CM_STR("STREAMS");
        for (size_t i = 0; i < consumer->stream_count; i++)
                if ((consumer->streams[i].delay_us > 0) == are_delayed)
                        args[count + keys++] = consumer->streams[i].key;
        if (!are_delayed)
                args[count + keys++] = consumer->redelivery;
        count += keys;
        for (size_t i = 0; i < keys; i++)
                args[count++] = CM_STR(">");
        consumer_limit(block_us + consumer->config.lease_us);
        cm_progress_step(consumer->config.progress);
        r = cm_redis_command(consumer->reader, arena, args, count, reply_r);
        if (r == CM_REDIS_REFUSED)
                cm_log(CM_LOG_WARN, "group not readable", CM_F_STR("reply", reply_r->text));
        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

/* A position that does not follow on the one before may be with another replica, or lost. */
static void watch_order(struct consumer_entry *entry)
{
        struct consumer_stream *stream = entry->stream;

        if (!stream || !cm_str_equal(entry->key, stream->key))
                return;
        if (entry->first_position != stream->seen + 1)
                stream->is_suspicious = true;
        stream->seen = entry->first_position;
}

static size_t list_entries(struct cm_consumer *consumer, const struct cm_redis_reply *reply,
                           struct consumer_entry **entries_r)
{
        size_t count = 0;

        for (size_t i = 0; i < reply->count; i++)
                count += reply->items[i].count == 2 ? reply->items[i].items[1].count : 0;
        *entries_r = cm_arena_array(consumer->reading, count, sizeof(**entries_r));
        count = 0;
        for (size_t i = 0; i < reply->count; i++) {
                const struct cm_redis_reply *stream = &reply->items[i];

                for (size_t j = 0; stream->count == 2 && j < stream->items[1].count; j++) {
                        if (stream->items[1].items[j].count != 2)
                                continue;
                        consumer_entry_read(consumer, stream->items[0].text,
                                            &stream->items[1].items[j], 1, &(*entries_r)[count]);
                        watch_order(&(*entries_r)[count++]);
                }
        }
        return count;
}

int consumer_read(struct cm_consumer *consumer, bool are_delayed, int64_t block_us,
                  struct consumer_entry **entries_r, size_t *count_r)
{
        struct cm_redis_reply reply = { 0 };
        int r = ask_for_entries(consumer, are_delayed, block_us, &reply);

        *count_r = r ? 0 : list_entries(consumer, &reply, entries_r);
        return r;
}

static int read_and_work(struct cm_consumer *consumer)
{
        int64_t block_us =
                consumer->config.lease_us / 4 < BLOCK_US ? consumer->config.lease_us / 4 : BLOCK_US;
        int64_t held_us = consumer_held_wait_us(consumer);
        struct consumer_entry *entries;
        size_t count;
        int r = consumer_read(consumer, false, held_us < block_us ? held_us : block_us, &entries,
                              &count);

        return r == 0 && count ? consumer_work_out(consumer, entries, count) : r;
}

/* ---- the fibers */

static int round_once(struct cm_consumer *consumer)
{
        int r = 0;

        consumer_limit(consumer->config.lease_us);
        cm_progress_step(consumer->config.progress);
        if (!consumer->has_groups)
                r = consumer_group_open(consumer);
        consumer->has_groups = r == 0;
        if (r == 0)
                r = claim(consumer);
        if (r == 0)
                r = look_for_gaps(consumer);
        cm_arena_reset(&consumer->arena);
        if (r == 0)
                r = read_and_work(consumer);
        if (r == 0)
                r = consumer_held_work(consumer);
        if (r == 0)
                r = prune(consumer);
        cm_arena_reset(&consumer->arena);
        return r;
}

static void work_fiber(void *arg)
{
        struct cm_consumer *consumer = arg;

        consumer->fiber = cm_fiber_self();
        while (!consumer->is_stopping) {
                int r = round_once(consumer);

                if (r == 0)
                        continue;
                consumer->has_groups = false;
                if (r == -CM_E_CANCELLED || pause_a_little(consumer) == -CM_E_CANCELLED)
                        break;
        }
        consumer->is_stopping = true;
        consumer_held_end(consumer);
        cm_progress_idle(consumer->config.progress);
        consumer->fiber = NULL;
        consumer->fibers--;
        cm_cond_broadcast(&consumer->stopped);
}

static void heartbeat_fiber(void *arg)
{
        struct cm_consumer *consumer = arg;

        while (!consumer->is_stopping || consumer->fiber) {
                consumer_limit(consumer->config.lease_us / 3);
                (void)!cm_cond_wait(&consumer->stopped);
                consumer_limit(consumer->config.lease_us);
                if (consumer->work_count || consumer->held.count)
                        consumer_group_keep_alive(consumer);
        }
        consumer->fibers--;
}

/* ---- life */

static void name_things(struct cm_consumer *consumer)
{
        struct cm_uuid random;

        cm_random(&random, sizeof(random));
        consumer->group = cm_str_from(consumer->config.group);
        consumer->name =
                cm_arena_printf(&consumer->names, "%s-%02x%02x%02x%02x%02x%02x",
                                consumer->config.group, random.bytes[0], random.bytes[1],
                                random.bytes[2], random.bytes[3], random.bytes[4], random.bytes[5]);
        consumer->redelivery = key_redelivery(&consumer->names, consumer->group);
        consumer->dead = key_dead(&consumer->names, consumer->group);
        for (const struct cm_subscription *it = consumer->config.subscriptions; it->stream; it++) {
                struct consumer_stream *stream = &consumer->streams[consumer->stream_count];

                if (consumer_stream_find(consumer, cm_str_from(it->stream)))
                        continue;
                CM_ASSERT(consumer->stream_count < CONSUMER_MAX_STREAMS);
                stream->delay_us = it->delay_us;
                stream->name = cm_str_from(it->stream);
                stream->key = key_events(&consumer->names, stream->name);
                consumer->stream_count++;
        }
}

#ifdef CM_FAULTS
static enum cm_consumer_fault asked_fault(void)
{
        static const char *const names[] = {
                [CM_FAULT_DIE_BEFORE_COMMIT] = "die-before-commit",
                [CM_FAULT_DIE_BEFORE_ACK] = "die-before-ack",
                [CM_FAULT_HANG] = "hang-consumer",
                [CM_FAULT_SLOW] = "slow-handler",
                [CM_FAULT_CRASH] = "crash-handler",
        };
        struct cm_str asked = cm_str_from(getenv("TEST_FAULT"));

        for (size_t i = 1; i < CM_COUNT(names); i++)
                if (cm_str_equal(asked, cm_str_from(names[i])))
                        return (enum cm_consumer_fault)i;
        return CM_FAULT_NONE;
}
#endif

static void complete(struct cm_consumer_config *config)
{
#ifdef CM_FAULTS
        if (!config->fault)
                config->fault = asked_fault();
#endif
        if (!config->batch)
                config->batch = BATCH;
        if (!config->inbox)
                config->inbox = &consumer_inbox_tables;
        if (!config->max_data)
                config->max_data = MAX_DATA;
        if (!config->lease_us)
                config->lease_us = LEASE_US;
        if (!config->max_attempts)
                config->max_attempts = MAX_ATTEMPTS;
        if (!config->keep_us)
                config->keep_us = KEEP_US;
}

static void consumer_free(struct cm_consumer **consumer)
{
        struct cm_consumer *it = *consumer;

        cm_redis_free(&it->reader);
        cm_arena_deinit(&it->attempt);
        cm_arena_deinit(&it->held.arena);
        cm_arena_deinit(&it->arena);
        cm_arena_deinit(&it->names);
        cm_free(it);
        *consumer = NULL;
}

int cm_consumer_start(struct cm_loop *loop, const struct cm_consumer_config *config,
                      struct cm_consumer **consumer_r)
{
        struct cm_consumer *consumer = CM_NEW(struct cm_consumer);
        int r;

        consumer->loop = loop;
        consumer->config = *config;
        complete(&consumer->config);
        if (!consumer->config.progress)
                consumer->config.progress = &consumer->own_progress;
        cm_cond_init(&consumer->stopped);
        cm_arena_init(&consumer->names, 1024);
        cm_arena_init(&consumer->arena, ARENA_BLOCK);
        cm_arena_init(&consumer->held.arena, ARENA_BLOCK);
        consumer->reading = &consumer->arena;
        cm_arena_init(&consumer->attempt, ARENA_BLOCK);
        name_things(consumer);
        r = cm_redis_new(loop, &(struct cm_redis_config){ .url = config->redis_url },
                         &consumer->reader);
        if (r == 0)
                r = cm_fiber_start("consumer", work_fiber, consumer, CM_NEVER);
        if (r) {
                consumer_free(&consumer);
                return r;
        }
        consumer->fibers++;
        if (cm_fiber_start("consumer-heartbeat", heartbeat_fiber, consumer, CM_NEVER) == 0)
                consumer->fibers++;
        else
                consumer->is_stopping = true;
        *consumer_r = consumer;
        return 0;
}

void cm_consumer_stop(struct cm_consumer **consumer)
{
        struct cm_consumer *it = *consumer;
        int64_t deadline = cm_fiber_deadline_us();

        if (!it)
                return;
        it->is_stopping = true;
        cm_cond_broadcast(&it->stopped);
        cm_fiber_set_deadline(CM_NEVER);
        while (it->fibers) {
                if (cm_monotonic_us() >= deadline && it->fiber)
                        cm_fiber_cancel(it->fiber);
                (void)!cm_fiber_sleep(CM_MILLISECOND);
        }
        cm_fiber_set_deadline(deadline);
        consumer_free(consumer);
}

int cm_bus_check(struct cm_redis *redis)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        r = cm_redis_call(redis, &arena, &reply, CM_STR("INFO"), CM_STR("memory"), CM_STR_NONE);
        if (r == 0 &&
            (!reply.text.data || !strstr(reply.text.data, "maxmemory_policy:noeviction"))) {
                cm_log(CM_LOG_ERROR, "the bus needs a Redis whose maxmemory-policy is noeviction");
                r = -CM_E_CONFIG;
        } else if (r > 0) {
                cm_log(CM_LOG_ERROR, "the bus does not say its maxmemory-policy",
                       CM_F_STR("reply", reply.text));
                r = -CM_E_CONFIG;
        }
        cm_arena_deinit(&arena);
        return r;
}
