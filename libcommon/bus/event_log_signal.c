#include <string.h>

#include "base/error.h"
#include "bus/event_log_internal.h"
#include "keys.h"

/*
 * Signals between the workers of a service: `stop` and `watch` go to all of them, news of a log to
 * those only that watch it. All are hints. A lost `watch` is said again after a while, lost news
 * are found by looking, a lost `stop` stands in Redis and is found with the next renewal of the
 * lease.
 */
#define WATCH_LIFE_US (3 * WATCH_US)
#define CONNECT_US    (5 * CM_SECOND)
#define BACKOFF_US    CM_SECOND

/* KEYS: lease, stop. ARGV: life ms, channel, message. */
static struct cm_redis_script stop_script = {
        .name = "event-log-stop",
        .text = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
                "redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])\n"
                "redis.call('PUBLISH', ARGV[2], ARGV[3])\n"
                "return 1\n",
};

/* ---- hearing */

static void remember_watcher(struct cm_event_log *log, struct cm_str instance)
{
        int64_t now_us = cm_monotonic_us();
        struct log_watcher *found = NULL;

        if (!instance.len || instance.len >= INSTANCE_SIZE)
                return;
        for (size_t i = 0; i < log->watcher_count; i++) {
                struct log_watcher *it = &log->watchers[i];

                if (cm_str_equal(cm_str_from(it->instance), instance)) {
                        it->until_us = now_us + WATCH_LIFE_US;
                        return;
                }
                if (it->until_us <= now_us)
                        found = it;
        }
        if (!found && log->watcher_count < MAX_WATCHERS)
                found = &log->watchers[log->watcher_count++];
        if (!found)
                return; /* it finds news by looking */
        memcpy(found->instance, instance.data, instance.len);
        found->instance[instance.len] = '\0';
        found->until_us = now_us + WATCH_LIFE_US;
        log_copy_soon(log); /* tells it what came meanwhile */
}

static void on_request(void *arg, struct cm_str channel CM_UNUSED, struct cm_str message)
{
        struct cm_event_logs *logs = arg;
        struct cm_str verb, id;
        struct cm_event_log *log;

        if (!message.data || !cm_str_split(&message, ' ', &verb) ||
            !cm_str_split(&message, ' ', &id))
                return;
        log = cm_map_get(logs->by_id, id);
        if (!log)
                return;
        if (cm_str_equal(verb, CM_STR("stop")) && !log->stopped)
                log_stop(log);
        else if (cm_str_equal(verb, CM_STR("watch")) && message.data)
                remember_watcher(log, message);
}

/* An absent message: some may have been missed. */
static void on_news(void *arg, struct cm_str channel CM_UNUSED, struct cm_str message)
{
        struct cm_event_logs *logs = arg;

        CM_LIST_EACH (node, &logs->remote) {
                struct cm_event_follower *it = CM_CONTAINER(node, struct cm_event_follower, link);

                if (message.data && !cm_str_equal(cm_str_from(it->id_text), message))
                        continue;
                it->hinted = true;
                log_ring(it);
        }
}

int log_signals_start(struct cm_event_logs *logs)
{
        const struct cm_redis_config config = { .url = logs->config.redis_url,
                                                .connect_timeout_us = CONNECT_US,
                                                .backoff_max_us = BACKOFF_US,
                                                .max_waiting = 16 };
        const struct cm_str service = cm_str_from(logs->config.service);
        struct cm_arena arena;
        int r = cm_redis_new(logs->loop, &config, &logs->signals);

        if (r < 0)
                return r;
        cm_arena_init(&arena, 256);
        r = cm_redis_subscribe(logs->signals, key_signal_event_logs(&arena, service), on_request,
                               logs);
        if (r == 0)
                r = cm_redis_subscribe(
                        logs->signals,
                        key_signal_event_log_news(&arena, service, cm_str_from(logs->instance)),
                        on_news, logs);
        cm_arena_deinit(&arena);
        return r;
}

/* ---- saying */

void log_watch(struct cm_event_follower *follower, struct cm_arena *arena)
{
        struct cm_event_logs *logs = follower->logs;
        struct cm_redis_reply reply;

        follower->watched_us = cm_monotonic_us();
        (void)!cm_redis_call(
                logs->config.redis, arena, &reply, CM_STR("PUBLISH"),
                key_signal_event_logs(arena, cm_str_from(logs->config.service)),
                cm_arena_printf(arena, "watch %s %s", follower->id_text, logs->instance),
                CM_STR_NONE);
}

int cm_event_log_stop(struct cm_event_logs *logs, const struct cm_uuid *id)
{
        const struct cm_str service = cm_str_from(logs->config.service);
        char id_text[CM_UUID_TEXT_SIZE];
        struct cm_event_log *log =
                cm_map_get(logs->by_id, cm_str_from(cm_uuid_format(id, id_text)));
        struct cm_redis_reply reply;
        struct cm_str keys[2], args[3];
        struct cm_arena arena;
        int r;

        if (log) {
                if (!log->stopped)
                        log_stop(log);
                return 0;
        }
        cm_arena_init(&arena, 512);
        keys[0] = key_event_log_lease(&arena, service, id);
        keys[1] = key_event_log_stop(&arena, service, id);
        args[0] =
                cm_arena_printf(&arena, "%lld", (long long)(logs->config.life_us / CM_MILLISECOND));
        args[1] = key_signal_event_logs(&arena, service);
        args[2] = cm_arena_printf(&arena, "stop %s", id_text);
        r = cm_redis_script(logs->config.redis, &arena, &stop_script, keys, 2, args, 3, &reply);
        if (r == CM_REDIS_REFUSED)
                r = -CM_E_UNAVAILABLE;
        else if (r == 0 && reply.kind != CM_REDIS_INTEGER)
                r = -CM_E_PROTOCOL;
        else if (r == 0 && reply.integer == 0)
                r = CM_EVENT_LOG_NONE;
        cm_arena_deinit(&arena);
        return r;
}
