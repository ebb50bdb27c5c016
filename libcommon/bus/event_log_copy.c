#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "bus/event_log_internal.h"
#include "keys.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The copy in Redis, behind the log in memory. One fiber of a log at a time, with all that has come
 * since; so under load the pieces grow by themselves.
 *
 * A piece says behind which entry it belongs. When the copy ends elsewhere (an answer was lost, or
 * Redis has lost its tail) it is not taken, and the answer says where the copy ends, so that the
 * next piece begins there. The copy therefore never has a gap and nothing stands there twice.
 *
 * The lease is decided in the same script. Who has taken over leaves his own name as the holder and
 * an entry whose id is behind all that the producer could still write: either alone keeps it out.
 */
#define MAX_PIECE       256
#define MAX_PIECE_BYTES (256 << 10)
#define RETRY_US        (200 * CM_MILLISECOND)
#define STEP_US         (2 * CM_SECOND)
#define HEAD_ARGS       6
#define TAKEN           (-2)

static struct cm_metric interrupted =
        CM_COUNTER("salus_event_log_interrupted_total", "Replies whose producer died, ended here");
static struct cm_metric copies_failed = CM_COUNTER("salus_event_log_copy_failures_total",
                                                   "Pieces of replies that Redis did not take");

/* KEYS: log, lease, stop. ARGV: holder, lease ms, last entry expected, life ms when this is the end
 * or 0, hint, number of channels, channels, then type and data of each entry. Answers {-1, 0}:
 * another has ended the log; {-2, 0}: another makes it; else {where the log ends now, whether a
 * stop was asked}. */
static struct cm_redis_script append_script = {
        .name = "event-log-append",
        .text = "local holder = redis.call('GET', KEYS[2])\n"
                "if holder and holder ~= ARGV[1] then "
                "return {holder == '-' and -1 or -2, 0} end\n"
                "local last = 0\n"
                "local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]\n"
                "if newest then\n"
                "  last = tonumber(string.match(newest[1], '^%d+'))\n"
                "  if not holder then\n"
                "    local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]\n"
                "    if first[2][6] ~= ARGV[1] then return {-2, 0} end\n"
                "  end\n"
                "end\n"
                "local at = 7 + tonumber(ARGV[6])\n"
                "local ends = tonumber(ARGV[4]) > 0\n"
                "local right = last == tonumber(ARGV[3])\n"
                "while right and ARGV[at] do\n"
                "  last = last + 1\n"
                "  redis.call('XADD', KEYS[1], last .. '-0', 't', ARGV[at], 'd', ARGV[at + 1], "
                "'by', ARGV[1])\n"
                "  at = at + 2\n"
                "end\n"
                "local life = ARGV[2]\n"
                "if ends and right then\n"
                "  life = ARGV[4]\n"
                "  redis.call('PEXPIRE', KEYS[1], life)\n"
                "elseif not newest and last > 0 then\n"
                "  redis.call('PEXPIRE', KEYS[1], 86400000)\n"
                "end\n"
                "redis.call('SET', KEYS[2], ARGV[1], 'PX', life)\n"
                "for i = 7, 6 + tonumber(ARGV[6]) do redis.call('PUBLISH', ARGV[i], ARGV[5]) end\n"
                "return {last, redis.call('EXISTS', KEYS[3])}\n",
};

/* KEYS: log, lease. ARGV: id of the end, type, data, life ms. */
static struct cm_redis_script take_over_script = {
        .name = "event-log-take-over",
        .text = "local alive = redis.call('EXISTS', KEYS[2]) == 1\n"
                "local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]\n"
                "if not newest then return alive and 0 or -1 end\n"
                "local kind = newest[2][2]\n"
                "if kind == 'done' or kind == 'error' then return 2 end\n"
                "if alive then return 0 end\n"
                "redis.call('XADD', KEYS[1], ARGV[1], 't', ARGV[2], 'd', ARGV[3], 'by', '-')\n"
                "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
                "redis.call('SET', KEYS[2], '-', 'PX', ARGV[4])\n"
                "return 1\n",
};

/* KEYS: log, lease. ARGV: holder, lease ms, type, data. 1: the log is the holder's, with its first
 * entry. 0: somebody has begun it. */
static struct cm_redis_script claim_script = {
        .name = "event-log-claim",
        .text = "if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 0 end\n"
                "redis.call('XADD', KEYS[1], '1-0', 't', ARGV[3], 'd', ARGV[4], 'by', ARGV[1])\n"
                "redis.call('PEXPIRE', KEYS[1], 86400000)\n"
                "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])\n"
                "return 1\n",
};

static struct cm_str number(struct cm_arena *arena, int64_t value)
{
        return cm_arena_printf(arena, "%" PRId64, value);
}

/* ---- one piece */

/* How many entries the next piece has. */
static size_t piece_of(const struct cm_event_log *log)
{
        size_t bytes = 0, n = 0;

        while (log->copied + n < log->count && n < MAX_PIECE && bytes < MAX_PIECE_BYTES)
                bytes += log->entries[log->copied + n++].data.len;
        return n;
}

static size_t add_channels(struct cm_event_log *log, struct cm_arena *arena, struct cm_str *args)
{
        const char *service = log->logs->config.service;
        int64_t now_us = cm_monotonic_us();
        size_t n = 0;

        for (size_t i = 0; i < log->watcher_count; i++)
                if (log->watchers[i].until_us > now_us)
                        args[n++] =
                                key_signal_event_log_news(arena, cm_str_from(service),
                                                          cm_str_from(log->watchers[i].instance));
        return n;
}

static int send_piece(struct cm_event_log *log, struct cm_arena *arena, size_t n,
                      struct cm_redis_reply *reply_r)
{
        const struct cm_event_logs_config *config = &log->logs->config;
        const struct cm_str service = cm_str_from(config->service);
        const struct cm_str keys[] = { key_event_log(arena, service, &log->id),
                                       key_event_log_lease(arena, service, &log->id),
                                       key_event_log_stop(arena, service, &log->id) };
        struct cm_str *args =
                cm_arena_array(arena, HEAD_ARGS + MAX_WATCHERS + 2 * n, sizeof(*args));
        bool ends = log->ended && log->copied + n == log->count;
        size_t count = HEAD_ARGS;

        args[0] = cm_str_from(log->holder);
        args[1] = number(arena, config->lease_us / CM_MILLISECOND);
        args[2] = number(arena, (int64_t)log->copied);
        args[3] = number(arena, ends ? config->life_us / CM_MILLISECOND : 0);
        args[4] = cm_str_from(log->id_text);
        count += add_channels(log, arena, args + count);
        args[5] = number(arena, (int64_t)count - HEAD_ARGS);
        for (size_t i = log->copied; i < log->copied + n; i++) {
                args[count++] = cm_str_from(log->entries[i].type);
                args[count++] = log->entries[i].data;
        }
        return cm_redis_script(config->redis, arena, &append_script, keys, 3, args, count, reply_r);
}

static int take_answer(struct cm_event_log *log, const struct cm_redis_reply *reply)
{
        int64_t last;

        if (reply->kind != CM_REDIS_ARRAY || reply->count != 2 ||
            reply->items[0].kind != CM_REDIS_INTEGER || reply->items[1].kind != CM_REDIS_INTEGER)
                return -CM_E_PROTOCOL;
        last = reply->items[0].integer;
        if (last < 0 || last > (int64_t)log->count) {
                log->taken = last == TAKEN;
                log_lose(log);
                return 0;
        }
        log->copied = (size_t)last;
        if (log->held && log->copied == log->count) {
                log->held = false;
                log_tell(log);
        }
        if (reply->items[1].integer && !log->stopped)
                log_stop(log);
        return 0;
}

static int copy_piece(struct cm_event_log *log)
{
        int64_t asked_us = cm_monotonic_us();
        struct cm_redis_reply reply;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        (void)cm_fiber_set_deadline(asked_us + STEP_US);
        log->ask_again = false;
        r = send_piece(log, &arena, piece_of(log), &reply);
        if (r == CM_REDIS_REFUSED) {
                cm_log(CM_LOG_WARN, "Redis did not take a reply", CM_F_TEXT("log", log->id_text),
                       CM_F_STR("reason", reply.text));
                r = -CM_E_UNAVAILABLE;
        }
        if (r == 0)
                r = take_answer(log, &reply);
        if (r == 0)
                log->lease_us = asked_us;
        cm_arena_deinit(&arena);
        return r;
}

/* ---- the fiber */

static void copy(void *arg)
{
        struct cm_event_log *log = arg;
        int r = 0;

        while (r == 0 && !log->lost && !log->logs->ending &&
               (log->copied < log->count || log->ask_again))
                r = copy_piece(log);
        if (r < 0) {
                cm_counter_add(&copies_failed, 1);
                log->retry_us = cm_monotonic_us() + RETRY_US;
                if (log->held) { /* without Redis nobody else can have ended it */
                        log->held = false;
                        log_tell(log);
                }
        }
        log->copying = false;
        log->logs->copying--;
        log_settle(log);
}

void log_copy_soon(struct cm_event_log *log)
{
        log->ask_again = true;
        if (log->copying || log->lost || log->logs->ending || cm_monotonic_us() < log->retry_us)
                return;
        log->copying = true;
        log->logs->copying++;
        if (cm_fiber_start("event log", copy, log, CM_NEVER) == 0)
                return;
        log->copying = false;
        log->logs->copying--;
        log->retry_us = cm_monotonic_us() + RETRY_US;
}

/* ---- claiming */

int log_claim(struct cm_event_log *log, struct cm_arena *arena)
{
        const struct cm_event_logs_config *config = &log->logs->config;
        const struct cm_str service = cm_str_from(config->service);
        const struct cm_str keys[] = { key_event_log(arena, service, &log->id),
                                       key_event_log_lease(arena, service, &log->id) };
        const struct cm_str args[] = { cm_str_from(log->holder),
                                       number(arena, config->lease_us / CM_MILLISECOND),
                                       cm_str_from(log->entries[0].type), log->entries[0].data };
        int64_t asked_us = cm_monotonic_us();
        struct cm_redis_reply reply;
        int r = cm_redis_script(config->redis, arena, &claim_script, keys, 2, args, 4, &reply);

        if (r == CM_REDIS_REFUSED)
                return -CM_E_UNAVAILABLE;
        if (r < 0)
                return r;
        if (reply.kind != CM_REDIS_INTEGER)
                return -CM_E_PROTOCOL;
        if (!reply.integer)
                return CM_EVENT_LOG_BEGUN;
        log->copied = 1;
        log->lease_us = asked_us;
        return 0;
}

/* The logs that are not here are asked for in one flight. */
static int ask_redis(struct cm_event_logs *logs, struct cm_arena *arena, const struct cm_uuid *ids,
                     size_t count, bool *begun)
{
        const struct cm_str service = cm_str_from(logs->config.service);
        struct cm_redis_command_line *lines = cm_arena_array(arena, count, sizeof(*lines));
        struct cm_redis_reply *replies = cm_arena_array(arena, count, sizeof(*replies));
        size_t asked = 0, next = 0;
        int r;

        for (size_t i = 0; i < count; i++) {
                struct cm_str *args = cm_arena_array(arena, 3, sizeof(*args));

                if (begun[i])
                        continue;
                args[0] = CM_STR("EXISTS");
                args[1] = key_event_log(arena, service, &ids[i]);
                args[2] = key_event_log_lease(arena, service, &ids[i]);
                lines[asked++] = (struct cm_redis_command_line){ args, 3 };
        }
        r = asked ? cm_redis_flight(logs->config.redis, arena, lines, asked, replies) : 0;
        for (size_t i = 0; i < count && r == 0; i++) {
                if (begun[i])
                        continue;
                if (replies[next].kind != CM_REDIS_INTEGER)
                        return -CM_E_UNAVAILABLE;
                begun[i] = replies[next++].integer > 0;
        }
        return r;
}

int cm_event_log_are_begun(struct cm_event_logs *logs, const struct cm_uuid *ids, size_t count,
                           bool *begun_r)
{
        char id_text[CM_UUID_TEXT_SIZE];
        struct cm_arena arena;
        int r;

        for (size_t i = 0; i < count; i++)
                begun_r[i] = cm_map_get(logs->by_id,
                                        cm_str_from(cm_uuid_format(&ids[i], id_text))) != NULL;
        cm_arena_init(&arena, 4096);
        r = ask_redis(logs, &arena, ids, count, begun_r);
        cm_arena_deinit(&arena);
        return r;
}

/* ---- taking over */

int log_take_over(struct cm_event_logs *logs, const struct cm_uuid *id, struct cm_arena *arena,
                  bool *ended_r)
{
        const struct cm_str service = cm_str_from(logs->config.service);
        const struct cm_str keys[] = { key_event_log(arena, service, id),
                                       key_event_log_lease(arena, service, id) };
        const struct cm_str args[] = {
                cm_arena_printf(arena, "%" PRId64 "-0", CM_STREAM_INTERRUPTED_ID),
                CM_STR("error"),
                log_interrupted(arena),
                number(arena, logs->config.life_us / CM_MILLISECOND),
        };
        struct cm_redis_reply reply;
        int r = cm_redis_script(logs->config.redis, arena, &take_over_script, keys, 2, args, 4,
                                &reply);

        if (r == CM_REDIS_REFUSED)
                return -CM_E_UNAVAILABLE;
        if (r < 0)
                return r;
        if (reply.kind != CM_REDIS_INTEGER)
                return -CM_E_PROTOCOL;
        if (reply.integer == 1)
                cm_counter_add(&interrupted, 1);
        *ended_r = reply.integer > 0;
        return reply.integer < 0 ? CM_EVENT_LOG_NONE : 0;
}
