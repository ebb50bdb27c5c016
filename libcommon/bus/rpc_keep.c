#include <inttypes.h>

#include "base/error.h"
#include "bus/rpc_server_internal.h"
#include "sys/log.h"

/*
 * Keeping house for the callee's end: the group and this process' place in it, the offset of Redis'
 * clock, and what replicas owe each other. A request that runs longer than a part of the lease
 * shows life (XCLAIM to itself, without counting as a delivery); what shows none for a whole lease
 * was a dead process', and is taken over, once: a request that kills whoever runs it kills two, not
 * all.
 */
#define ROUNDS_A_LEASE  4
#define TAKE_OVER_COUNT "100"
#define TIDY_US         CM_MINUTE
#define CLOCK_US        (5 * CM_SECOND)
#define CONSUMER_GONE_S 3600
#define STEP_US         (2 * CM_SECOND)

/* ---- the group and the clock */

static int look_at_clock(struct cm_rpc_server *server, struct cm_arena *arena)
{
        int64_t before = cm_monotonic_us(), seconds, micros;
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(server->config.redis, arena, &reply, CM_STR("TIME"), CM_STR_NONE);

        if (r)
                return r < 0 ? r : -CM_E_UNAVAILABLE;
        if (reply.count != 2 || !cm_str_to_int(reply.items[0].text, &seconds) ||
            !cm_str_to_int(reply.items[1].text, &micros))
                return -CM_E_PROTOCOL;
        server->clock_us = seconds * CM_SECOND + micros - (before + cm_monotonic_us()) / 2;
        return 0;
}

/* A new group begins with what is there: whoever still waits is served, the rest is dropped. */
static int make_group(struct cm_rpc_server *server)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(server->config.redis, &server->arena, &reply, CM_STR("XGROUP"),
                              CM_STR("CREATE"), server->stream, CM_STR("rpc"), CM_STR("0"),
                              CM_STR("MKSTREAM"), CM_STR_NONE);

        if (r != CM_REDIS_REFUSED || cm_str_starts(reply.text, CM_STR("BUSYGROUP")))
                return r < 0 ? r : 0;
        cm_log(CM_LOG_ERROR, "group of requests refused", CM_F_STR("reply", reply.text));
        return -CM_E_UNAVAILABLE;
}

int rpc_keep_open(struct cm_rpc_server *server)
{
        int r = make_group(server);

        return r ? r : look_at_clock(server, &server->arena);
}

/* ---- leases */

static void show_life(struct cm_rpc_server *server)
{
        struct cm_str *args = cm_arena_array(&server->keeping, server->running + 6, sizeof(*args));
        int64_t oldest = cm_monotonic_us() - server->config.lease_us / ROUNDS_A_LEASE;
        struct cm_redis_reply reply;
        size_t count = 0;

        args[count++] = CM_STR("XCLAIM");
        args[count++] = server->stream;
        args[count++] = CM_STR("rpc");
        args[count++] = server->consumer;
        args[count++] = CM_STR("0");
        CM_LIST_EACH (node, &server->jobs) {
                const struct rpc_job *job = CM_CONTAINER(node, struct rpc_job, node);

                if (job->began_us <= oldest)
                        args[count++] = cm_arena_str(&server->keeping, job->entry);
        }
        if (count == 5)
                return;
        args[count++] = CM_STR("JUSTID");
        (void)!cm_redis_command(server->config.redis, &server->keeping, args, count, &reply);
}

static bool is_mine(const struct cm_rpc_server *server, struct cm_str entry)
{
        CM_LIST_EACH (node, &server->jobs)
                if (cm_str_equal(CM_CONTAINER(node, struct rpc_job, node)->entry, entry))
                        return true;
        return false;
}

static void take_over(struct cm_rpc_server *server, struct cm_str entry, struct cm_str idle_ms)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(server->config.redis, &server->keeping, &reply, CM_STR("XCLAIM"),
                              server->stream, CM_STR("rpc"), server->consumer, idle_ms, entry,
                              CM_STR_NONE);

        for (size_t i = 0; r == 0 && i < reply.count; i++) {
                rpc_count_not_run("reason=\"taken_over\"");
                rpc_server_take(server, &server->keeping, &reply.items[i]);
        }
}

static void look_for_left(struct cm_rpc_server *server)
{
        struct cm_str idle_ms = cm_arena_printf(&server->keeping, "%" PRId64,
                                                server->config.lease_us / CM_MILLISECOND);
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(server->config.redis, &server->keeping, &reply, CM_STR("XPENDING"),
                              server->stream, CM_STR("rpc"), CM_STR("IDLE"), idle_ms, CM_STR("-"),
                              CM_STR("+"), CM_STR(TAKE_OVER_COUNT), CM_STR_NONE);

        for (size_t i = 0; r == 0 && i < reply.count; i++) {
                const struct cm_redis_reply *row = &reply.items[i];

                if (row->count != 4 || is_mine(server, row->items[0].text))
                        continue;
                if (row->items[3].integer < 2) {
                        take_over(server, row->items[0].text, idle_ms);
                        continue;
                }
                rpc_count_not_run("reason=\"given_up\"");
                cm_log(CM_LOG_ERROR, "request given up: two processes have left it",
                       CM_F_STR("entry", row->items[0].text));
                rpc_entry_finish(server, &server->keeping, row->items[0].text, CM_STR_NONE,
                                 CM_STR_NONE);
        }
}

/* ---- tidying */

/* What nobody can be waiting for any more; acknowledged entries are gone already. */
static void trim(struct cm_rpc_server *server)
{
        int64_t oldest_ms =
                (server->clock_us + cm_monotonic_us() - 2 * CM_RPC_MAX_TIMEOUT_US) / CM_MILLISECOND;
        struct cm_redis_reply reply;

        (void)!cm_redis_call(server->config.redis, &server->keeping, &reply, CM_STR("XTRIM"),
                             server->stream, CM_STR("MINID"),
                             cm_arena_printf(&server->keeping, "%" PRId64 "-0", oldest_ms),
                             CM_STR_NONE);
}

static const struct cm_redis_reply *member(const struct cm_redis_reply *pairs, const char *name)
{
        for (size_t i = 0; i + 1 < pairs->count; i += 2)
                if (cm_str_equal(pairs->items[i].text, cm_str_from(name)))
                        return &pairs->items[i + 1];
        return NULL;
}

static void remove_consumer(struct cm_rpc_server *server, struct cm_str name)
{
        struct cm_redis_reply reply;

        (void)!cm_redis_call(server->config.redis, &server->keeping, &reply, CM_STR("XGROUP"),
                             CM_STR("DELCONSUMER"), server->stream, CM_STR("rpc"), name,
                             CM_STR_NONE);
}

/* Names of processes that ended long ago and have nothing left. */
static void remove_consumers(struct cm_rpc_server *server)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(server->config.redis, &server->keeping, &reply, CM_STR("XINFO"),
                              CM_STR("CONSUMERS"), server->stream, CM_STR("rpc"), CM_STR_NONE);

        for (size_t i = 0; r == 0 && i < reply.count; i++) {
                const struct cm_redis_reply *name = member(&reply.items[i], "name");
                const struct cm_redis_reply *pending = member(&reply.items[i], "pending");
                const struct cm_redis_reply *idle = member(&reply.items[i], "idle");

                if (name && pending && idle && pending->integer == 0 &&
                    idle->integer > CONSUMER_GONE_S * INT64_C(1000))
                        remove_consumer(server, name->text);
        }
}

/* A consumer with pending entries stays: to remove it would lose them. */
void rpc_keep_leave(struct cm_rpc_server *server)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(server->config.redis, &server->keeping, &reply, CM_STR("XPENDING"),
                              server->stream, CM_STR("rpc"), CM_STR("-"), CM_STR("+"), CM_STR("1"),
                              server->consumer, CM_STR_NONE);

        if (r == 0 && reply.count == 0)
                remove_consumer(server, server->consumer);
}

/* ---- the fiber */

static bool is_due(int64_t *next_us, int64_t interval_us)
{
        if (cm_monotonic_us() < *next_us)
                return false;
        *next_us = cm_monotonic_us() + interval_us;
        return true;
}

void rpc_keep_fiber(void *arg)
{
        struct cm_rpc_server *server = arg;
        int64_t next_tidy_us = 0, next_clock_us = cm_monotonic_us() + CLOCK_US;

        while (!server->is_stopping || server->running) {
                (void)cm_fiber_set_deadline(cm_monotonic_us() +
                                            server->config.lease_us / ROUNDS_A_LEASE);
                if (cm_cond_wait(&server->stopping) == -CM_E_CANCELLED)
                        break;
                (void)cm_fiber_set_deadline(cm_monotonic_us() + STEP_US);
                if (server->has_group && is_due(&next_clock_us, CLOCK_US))
                        (void)!look_at_clock(server, &server->keeping);
                if (server->has_group)
                        show_life(server);
                if (server->has_group && !server->is_stopping)
                        look_for_left(server);
                if (server->has_group && is_due(&next_tidy_us, TIDY_US)) {
                        trim(server);
                        remove_consumers(server);
                }
                cm_arena_reset(&server->keeping);
        }
        server->fibers--;
        cm_cond_broadcast(&server->changed);
}
