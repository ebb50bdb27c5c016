#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/event_log_internal.h"
#include "codec/schema.h"
#include "errors.h"
#include "schemas.h"
#include "sys/log.h"

/*
 * The log in memory. It stays until the producer has closed it, all of it is in Redis, and no
 * follower of this worker reads it any more. tests/models/reply_stream.pml is a model of it all.
 */
#define FIRST_ENTRIES 32
#define TICK_US       (100 * CM_MILLISECOND)

int64_t log_entry_id(const struct cm_event_log *log, size_t index)
{
        if (log->broken && index + 1 == log->count)
                return CM_STREAM_INTERRUPTED_ID;
        return (int64_t)index + 1;
}

size_t log_visible(const struct cm_event_log *log)
{
        return log->held ? log->count - 1 : log->count;
}

void log_ring(struct cm_event_follower *follower)
{
        if (follower->bell)
                cm_bell_ring(follower->bell, CM_EVENT_LOG_NEWS);
}

void log_tell(struct cm_event_log *log)
{
        CM_LIST_EACH (node, &log->followers)
                log_ring(CM_CONTAINER(node, struct cm_event_follower, link));
}

struct cm_str log_interrupted(struct cm_arena *arena)
{
        const struct stream_error error = {
                .code = CM_STR(CM_CODE_INTERRUPTED),
                .title = cm_str_from(cm_error_code_find(CM_CODE_INTERRUPTED)->title),
        };
        struct cm_buf json = { 0 };
        struct cm_str text;

        cm_schema_encode(&stream_error_schema, &error, &json);
        text = cm_arena_str(arena, cm_buf_str(&json));
        cm_buf_deinit(&json);
        return text;
}

static void add_entry(struct cm_event_log *log, const char *type, struct cm_str data)
{
        if (log->count == log->cap) {
                log->cap = log->cap ? log->cap * 2 : FIRST_ENTRIES;
                log->entries = cm_realloc(log->entries, log->cap * sizeof(*log->entries));
        }
        log->entries[log->count++] = (struct log_entry){ type, data };
        log->bytes += data.len;
        log->ended = cm_stream_event_is_last(cm_str_from(type));
}

/* ---- the end of logs */

static void log_free(struct cm_event_log *log)
{
        CM_ASSERT(cm_list_is_empty(&log->followers) && !log->copying);
        if (cm_map_get(log->logs->by_id, cm_str_from(log->id_text)) == log)
                (void)cm_map_remove(log->logs->by_id, cm_str_from(log->id_text));
        cm_list_remove(&log->link);
        cm_arena_deinit(&log->arena);
        cm_free(log->entries);
        cm_free(log);
}

void log_settle(struct cm_event_log *log)
{
        struct cm_event_logs *logs = log->logs;
        bool whole = log->copied == log->count || log->lost;

        if (log->closed && whole && !log->copying && cm_list_is_empty(&log->followers))
                log_free(log);
        if (!logs->copying)
                cm_cond_broadcast(&logs->quiet);
}

static void call_on_stop(struct cm_event_log *log)
{
        void (*fn)(void *arg) = log->on_stop;

        log->on_stop = NULL;
        if (fn)
                fn(log->on_stop_arg);
}

void log_stop(struct cm_event_log *log)
{
        log->stopped = true;
        call_on_stop(log);
}

void log_lose(struct cm_event_log *log)
{
        if (log->lost)
                return;
        cm_log(CM_LOG_WARN,
               log->taken ? "another makes this event log" : "another has ended this event log",
               CM_F_TEXT("log", log->id_text));
        log->lost = true;
        if (log->held)
                log->count--; /* nobody has seen it */
        if (log->held || !log->ended) {
                add_entry(log, "error", log_interrupted(&log->arena));
                log->broken = true;
        }
        log->held = false;
        log_tell(log);
        call_on_stop(log);
}

/* ---- the producer */

static struct cm_event_log *log_new(struct cm_event_logs *logs, const struct cm_uuid *id)
{
        struct cm_event_log *log = CM_NEW(struct cm_event_log);

        cm_uuid_format(id, log->id_text);
        log->logs = logs;
        log->id = *id;
        (void)snprintf(log->holder, sizeof(log->holder), "%s:%" PRIu64, logs->instance,
                       ++logs->opened);
        cm_arena_init(&log->arena, 1024);
        cm_list_init(&log->followers);
        cm_list_append(&logs->logs, &log->link);
        return log;
}

static bool is_here(const struct cm_event_logs *logs, const struct cm_uuid *id)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_map_get(logs->by_id, cm_str_from(cm_uuid_format(id, text))) != NULL;
}

int cm_event_log_open(struct cm_event_logs *logs, const struct cm_uuid *id,
                      struct cm_event_log **log_r)
{
        *log_r = NULL;
        if (is_here(logs, id))
                return -CM_E_OVERLOAD;
        *log_r = log_new(logs, id);
        (void)cm_map_put(logs->by_id, cm_str_from((*log_r)->id_text), *log_r);
        log_copy_soon(*log_r); /* the lease, and so that others find it */
        return 0;
}

static void add_value(struct cm_event_log *log, const struct cm_event_type *type, const void *value)
{
        struct cm_buf json = { 0 };

        cm_schema_encode(type->schema, value, &json);
        add_entry(log, type->name, cm_arena_str(&log->arena, cm_buf_str(&json)));
        cm_buf_deinit(&json);
}

/* Nobody here finds the log before it is claimed, and the timer leaves it alone. */
int cm_event_log_claim(struct cm_event_logs *logs, const struct cm_uuid *id,
                       const struct cm_event_type *type, const void *value,
                       struct cm_event_log **log_r)
{
        struct cm_event_log *log;
        struct cm_arena arena;
        int r;

        *log_r = NULL;
        if (is_here(logs, id))
                return CM_EVENT_LOG_BEGUN;
        log = log_new(logs, id);
        cm_list_remove(&log->link);
        add_value(log, type, value);
        cm_arena_init(&arena, 1024);
        r = log_claim(log, &arena);
        cm_arena_deinit(&arena);
        if (r) {
                log_free(log);
                return r;
        }
        cm_list_append(&logs->logs, &log->link);
        (void)cm_map_put(logs->by_id, cm_str_from(log->id_text), log);
        *log_r = log;
        return 0;
}

int cm_event_log_append(struct cm_event_log *log, const struct cm_event_type *type,
                        const void *value)
{
        const struct cm_event_logs_config *config = &log->logs->config;

        if (log->lost)
                return CM_EVENT_LOG_LOST;
        CM_ASSERT(!log->ended && !log->closed);
        if (log->stopped && !type->is_last)
                return CM_EVENT_LOG_STOPPED;
        if (!type->is_last && (log->count >= config->max_events || log->bytes >= config->max_bytes))
                return -CM_E_TOO_LARGE;
        add_value(log, type, value);
        /* Others may have ended this log, or this process may die before the copy has its end. All
         * clients must see the same end, so it waits for Redis. While that is away nobody else can.
         */
        log->held = type->is_last && cm_redis_is_ready(config->redis);
        log_tell(log);
        log_copy_soon(log);
        return 0;
}

void cm_event_log_on_stop(struct cm_event_log *log, void (*fn)(void *arg), void *arg)
{
        log->on_stop = fn;
        log->on_stop_arg = arg;
        if (log->stopped || log->lost)
                call_on_stop(log);
}

bool cm_event_log_is_stopped(const struct cm_event_log *log)
{
        return log->stopped;
}

bool cm_event_log_is_taken(const struct cm_event_log *log)
{
        return log->taken;
}

void cm_event_log_close(struct cm_event_log **log)
{
        struct cm_event_log *it = *log;

        if (!it)
                return;
        *log = NULL;
        it->on_stop = NULL;
        it->closed = true;
        if (!it->ended) {
                add_entry(it, "error", log_interrupted(&it->arena));
                it->held = cm_redis_is_ready(it->logs->config.redis);
                log_tell(it);
                log_copy_soon(it);
        }
        log_settle(it);
}

/* ---- all of a worker */

/* Leases that need renewal, copies that failed, followers that may have missed a hint. */
static void on_tick(void *arg)
{
        struct cm_event_logs *logs = arg;
        int64_t now_us = cm_monotonic_us();

        CM_LIST_EACH_SAFE (node, &logs->logs) {
                struct cm_event_log *log = CM_CONTAINER(node, struct cm_event_log, link);

                if (log->copied < log->count ||
                    (!log->ended && now_us - log->lease_us > logs->config.lease_us / 3))
                        log_copy_soon(log);
        }
        CM_LIST_EACH (node, &logs->remote) {
                struct cm_event_follower *it = CM_CONTAINER(node, struct cm_event_follower, link);

                if (now_us - it->watched_us < POLL_US)
                        continue;
                it->hinted = true;
                log_ring(it);
        }
        cm_timer_start(logs->timer, TICK_US);
}

int cm_event_logs_new(struct cm_loop *loop, const struct cm_event_logs_config *config,
                      struct cm_event_logs **logs_r)
{
        struct cm_event_logs *logs = CM_NEW(struct cm_event_logs);
        struct cm_uuid name = cm_uuid7(cm_now(&cm_clock_system));
        int r;

        logs->config = *config;
#define DEFAULT(member, value) logs->config.member = config->member ? config->member : (value)
        DEFAULT(lease_us, 5 * CM_SECOND);
        DEFAULT(life_us, CM_HOUR);
        DEFAULT(max_events, 100000);
        DEFAULT(max_bytes, 4 << 20);
#undef DEFAULT
        CM_ASSERT((int64_t)logs->config.max_events < CM_STREAM_INTERRUPTED_ID - 1);
        logs->loop = loop;
        cm_hex_encode(&name, sizeof(name), logs->instance);
        logs->by_id = cm_map_new();
        cm_list_init(&logs->logs);
        cm_list_init(&logs->remote);
        cm_cond_init(&logs->quiet);
        logs->timer = cm_timer_new(loop, on_tick, logs);
        cm_timer_start(logs->timer, TICK_US);
        r = log_signals_start(logs);
        if (r < 0)
                cm_event_logs_free(&logs);
        *logs_r = logs;
        return r;
}

static bool all_copied(const struct cm_event_logs *logs)
{
        CM_LIST_EACH (node, &logs->logs) {
                const struct cm_event_log *log = CM_CONTAINER(node, struct cm_event_log, link);

                if (log->copying || (!log->lost && log->copied < log->count))
                        return false;
        }
        return true;
}

int cm_event_logs_flush(struct cm_event_logs *logs)
{
        int r = 0;

        while (r == 0 && !all_copied(logs))
                r = cm_cond_wait(&logs->quiet);
        if (r < 0) { /* what is on its way has a short limit of its own */
                int64_t before = cm_fiber_set_deadline(CM_NEVER);

                logs->ending = true;
                while (logs->copying && cm_cond_wait(&logs->quiet) == 0)
                        ;
                (void)cm_fiber_set_deadline(before);
        }
        return r;
}

void cm_event_logs_free(struct cm_event_logs **logs)
{
        struct cm_event_logs *it = *logs;

        if (!it)
                return;
        *logs = NULL;
        CM_ASSERT(cm_list_is_empty(&it->remote) && !it->copying);
        CM_LIST_EACH_SAFE (node, &it->logs) {
                struct cm_event_log *log = CM_CONTAINER(node, struct cm_event_log, link);

                CM_ASSERT(log->closed);
                log_free(log);
        }
        cm_timer_free(&it->timer);
        cm_redis_free(&it->signals);
        cm_map_free(&it->by_id, NULL);
        cm_free(it);
}
