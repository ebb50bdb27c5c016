#include <signal.h>

#include "base/error.h"
#include "base/mem.h"
#include "service/daemon.h"
#include "service/flags_internal.h"
#include "service/guard.h"
#include "service/user_refs_internal.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * A worker's life is told by one fiber, from top to bottom: listen, so that somebody can ask how it
 * is; wait for the database and its schema; start the service; serve until the main thread cancels
 * the fiber; drain. Everything else that runs in this thread (requests, relay, consumer, keys) is
 * started by it and has ended when it ends.
 */
#define STACK_SIZE    (64 * 1024)
#define KEEP_STACKS   256
#define TICK_US       CM_SECOND
#define POLL_FIRST_US (2 * CM_MILLISECOND)
#define POLL_MAX_US   (500 * CM_MILLISECOND)
#define START_US      (30 * CM_SECOND) /* one attempt of worker_start */
#define PG_WAITING    2000
#define REDIS_WAITING 5000
#define CONNECT_US    (5 * CM_SECOND)
#define BACKOFF_US    CM_SECOND

/* One thread is one worker; what runs in it and was not given the worker finds it here. */
static __thread struct worker *here;

struct worker *worker_here(void)
{
        return here;
}

void daemon_fail(struct daemon *daemon)
{
        atomic_store(&daemon->failed, true);
        (void)pthread_kill(daemon->main_thread, SIGUSR1);
}

static void set_stage(struct worker *worker, const char *stage)
{
        atomic_store(&worker->stage, stage);
}

/* ---- each turn, each second */

static bool has_store(const struct worker *worker)
{
        const struct cm_documents *documents = worker->public.service->documents;

        return documents ? documents->store->is_ready(worker->public.mongo)
                         : cm_pg_is_ready(worker->public.pg);
}

static void each_turn(void *arg)
{
        struct worker *worker = arg;
        bool bus = cm_redis_is_ready(worker->public.bus);

        atomic_store_explicit(&worker->store_ready, has_store(worker), memory_order_relaxed);
        atomic_store_explicit(&worker->bus_ready, bus, memory_order_relaxed);
        if (bus && worker->public.index > 0) /* the first worker asks more: bus.c */
                atomic_store_explicit(&worker->bus_seen, true, memory_order_relaxed);
        atomic_store_explicit(&worker->cache_ready, cm_redis_is_ready(worker->public.cache_redis),
                              memory_order_relaxed);
        atomic_store_explicit(&worker->running, cm_server_running(worker->server),
                              memory_order_relaxed);
        cm_log_flush();
}

static void on_tick(void *arg)
{
        struct worker *worker = arg;

        status_sample(worker);
        worker->tick_due_us = cm_monotonic_us() + TICK_US;
        cm_timer_start(worker->tick, TICK_US);
}

/* ---- starting */

static int sleep_longer(int64_t *delay_us)
{
        int r = cm_fiber_sleep(*delay_us);

        *delay_us += *delay_us / 4; /* what comes is seen soon after it came */
        if (*delay_us > POLL_MAX_US)
                *delay_us = POLL_MAX_US;
        return r;
}

static int await_database(struct worker *worker)
{
        int64_t delay_us = POLL_FIRST_US;
        int r = 0;

        set_stage(worker, "waiting for the database");
        while (!r && !has_store(worker))
                r = sleep_longer(&delay_us);
        return r;
}

/* The first worker looks at the schema, the others wait for what it found. */
static void look_at_schema(struct worker *worker)
{
        struct daemon *daemon = worker->daemon;
        const struct cm_documents *documents = daemon->service->documents;
        int state = documents ? documents->store->check(daemon->mongo, documents)
                              : cm_migrate_check(worker->public.pg, daemon->service->migrations);

        if (documents && state == CM_SCHEMA_CURRENT) {
                int r = documents->store->begin(daemon->mongo, documents);

                if (r == -CM_E_CONFIG)
                        daemon_fail(daemon);
                if (r)
                        return;
        }
        if (state < 0)
                return;
        if (state != atomic_load(&daemon->schema) && state != CM_SCHEMA_CURRENT)
                cm_log(state == CM_SCHEMA_BEHIND ? CM_LOG_WARN : CM_LOG_ERROR,
                       state == CM_SCHEMA_BEHIND ? "the schema is behind: run --migrate"
                       : state == CM_SCHEMA_TOO_NEW
                               ? "the schema is newer than this program: refusing to run"
                               : "an applied migration differs from this program's: refusing to "
                                 "run",
                       CM_F_INT("known", documents ? 1 + (int64_t)documents->step_count
                                                   : (int64_t)daemon->service->migrations->count));
        atomic_store(&daemon->schema, state);
        if (state == CM_SCHEMA_TOO_NEW || state == CM_SCHEMA_ALTERED)
                daemon_fail(daemon);
}

static int await_schema(struct worker *worker)
{
        int64_t delay_us = POLL_FIRST_US;
        int r = 0;

        set_stage(worker, "waiting for the schema");
        while (!r) {
                if (worker->public.index == 0)
                        look_at_schema(worker);
                if (atomic_load(&worker->daemon->schema) == CM_SCHEMA_CURRENT)
                        return 0;
                r = sleep_longer(&delay_us);
        }
        return r;
}

static int start_once(struct worker *worker)
{
        const struct cm_service *service = worker->public.service;
        int64_t before;
        int r = 0;

        if (!service->worker_start)
                return 0;
        before = cm_fiber_set_deadline(cm_monotonic_us() + START_US);
        r = service->worker_start(&worker->public);
        (void)cm_fiber_set_deadline(before);
        if (r && service->worker_stop)
                service->worker_stop(&worker->public);
        return r;
}

static int start_service(struct worker *worker)
{
        int64_t delay_us = POLL_MAX_US / 4;
        int r;

        set_stage(worker, "starting");
        for (;;) {
                r = start_once(worker);
                if (r == 0)
                        return 0;
                cm_log(r == -CM_E_CANCELLED ? CM_LOG_INFO : CM_LOG_ERROR, "service did not start",
                       CM_F_ERROR(r));
                if (r == -CM_E_CONFIG)
                        daemon_fail(worker->daemon);
                r = sleep_longer(&delay_us);
                if (r)
                        return r;
        }
}

/* Until the worker serves. Ends early with -CM_E_CANCELLED when the daemon must end. */
static int start(struct worker *worker)
{
        int r = await_database(worker);

        if (!r)
                r = await_schema(worker);
        if (!r)
                r = start_service(worker);
        if (r)
                return r;
        cm_server_set_service(worker->server, worker->public.object);
        r = bus_start(worker);
        atomic_store(&worker->started, true);
        set_stage(worker, "serving");
        cm_log(CM_LOG_INFO, "worker serves", CM_F_INT("worker", worker->public.index));
        return r;
}

/* ---- ending, in the order of deployment: nothing new, finish, flush, close */

static void drain(struct worker *worker, struct guard *guard, struct cm_group *group)
{
        int64_t deadline = cm_monotonic_us() + worker->daemon->settings->drain_timeout_us;

        cm_fiber_shield();
        (void)cm_fiber_set_deadline(deadline);
        set_stage(worker, "finishing requests");
        cm_server_stop(worker->server);
        bus_stop_taking(worker);
        if (cm_server_drain(worker->server))
                return; /* the main thread says what was left */
        set_stage(worker, "handing over the stream");
        bus_stop_sending(worker);
        set_stage(worker, "closing");
        guard_stop(guard);
        (void)cm_fiber_set_deadline(cm_monotonic_us()); /* now: what still waits is cancelled */
        (void)cm_group_join(group);
        (void)cm_fiber_set_deadline(deadline);
        if (atomic_exchange(&worker->started, false) && worker->public.service->worker_stop)
                worker->public.service->worker_stop(&worker->public);
        set_stage(worker, NULL);
        cm_loop_stop(worker->public.loop);
}

static void life(void *arg)
{
        struct worker *worker = arg;
        struct cm_group group;
        int r;

        worker->fiber = cm_fiber_self();
        if (worker->ending)
                cm_fiber_cancel(worker->fiber);
        cm_group_init(&group);
        r = guard_start(worker->guard, &group);
        if (!r)
                r = flags_start(worker);
        if (!r)
                r = bus_check(worker, &group);
        if (!r)
                r = start(worker);
        if (r && r != -CM_E_CANCELLED) {
                cm_log(CM_LOG_ERROR, "worker did not start", CM_F_ERROR(r));
                daemon_fail(worker->daemon);
        }
        while (r != -CM_E_CANCELLED) /* by worker_drain() */
                r = cm_cond_wait(&worker->never);
        drain(worker, worker->guard, &group);
}

static void begin_life(void *arg)
{
        struct worker *worker = arg;

        if (cm_fiber_start("worker", life, worker, CM_NEVER))
                daemon_fail(worker->daemon);
}

static void end_life(void *arg)
{
        struct worker *worker = arg;

        worker->ending = true;
        if (worker->fiber)
                cm_fiber_cancel(worker->fiber);
}

void worker_drain(struct worker *worker)
{
        cm_loop_post(worker->public.loop, end_life, worker);
}

/* ---- the thread */

static int open_stores(struct worker *worker)
{
        const struct cm_service_settings *settings = worker->daemon->settings;
        const struct cm_pg_config pg = {
                .conninfo = settings->database_url,
                .connections = (size_t)settings->pg_connections,
                .tx_connections = (size_t)settings->pg_tx_connections,
                .max_waiting = PG_WAITING,
                .connect_timeout_us = CONNECT_US,
                .backoff_max_us = BACKOFF_US,
        };
        struct cm_redis_config redis = { .url = settings->redis_url,
                                         .connect_timeout_us = CONNECT_US,
                                         .backoff_max_us = BACKOFF_US,
                                         .max_waiting = REDIS_WAITING };
        struct cm_worker *w = &worker->public;
        int r = 0;

        w->mongo = worker->daemon->mongo;
        if (!w->mongo)
                r = cm_pg_new(w->loop, &pg, &w->pg);
        if (!r)
                r = cm_redis_new(w->loop, &redis, &w->bus);
        if (!r) {
                redis.ping_us = settings->signal_ping_us;
                r = cm_redis_new(w->loop, &redis, &worker->signals);
        }
        if (settings->redis_cache_url)
                redis.url = settings->redis_cache_url;
        if (!r)
                r = cm_redis_new(w->loop, &redis, &w->cache_redis);
        if (!r)
                w->cache = cm_cache_new(w->cache_redis);
        if (!r)
                r = cm_rpc_new(&(struct cm_rpc_config){ .service = w->service->name,
                                                        .redis = w->bus,
                                                        .signals = worker->signals },
                               &w->rpc);
        w->signals = cm_signals_new(
                &(struct cm_signals_config){ .redis = w->bus, .subscriber = worker->signals });
        return r;
}

static int open_server(struct worker *worker)
{
        const struct cm_service_settings *settings = worker->daemon->settings;
        const struct cm_routes *routes[] = { &status_routes, worker->public.service->routes };
        const struct cm_server_config config = {
                .loop = worker->public.loop,
                .listen = settings->listen,
                .routes = routes,
                .routes_count = CM_COUNT(routes),
                .guard = guard_request,
                .guard_arg = worker,
                .trusted_proxies = settings->trusted_proxies,
                .cursor_secret = cm_str_from(settings->cursor_key),
                .limits = { .body_bytes = settings->max_body,
                            .request_us = settings->request_timeout_us },
                .streams = { .heartbeat_us = settings->stream_heartbeat_us,
                             .retry_us = settings->stream_retry_us,
                             .pending_out = (size_t)settings->stream_pending,
                             .patience_us = settings->stream_patience_us,
                             .message_bytes = (size_t)settings->websocket_message,
                             .origins = settings->websocket_origins },
        };

        return cm_server_new(&config, &worker->server);
}

static int open_all(struct worker *worker)
{
        const struct cm_fiber_pool_config fibers = {
                .stack_size = STACK_SIZE,
                .max_fibers = (size_t)worker->daemon->settings->max_fibers,
                .keep_stacks = KEEP_STACKS,
        };
        int r = cm_loop_new(&worker->public.loop);

        if (!r)
                r = cm_fiber_pool_init(worker->public.loop, &fibers);
        if (!r)
                r = open_stores(worker);
        if (!r)
                r = open_server(worker);
        if (r)
                return r;
        worker->guard = guard_new(worker);
        worker->refs = user_ref_cache_new();
        worker->flags = flags_new();
        worker->tick = cm_timer_new(worker->public.loop, on_tick, worker);
        cm_cond_init(&worker->never);
        return 0;
}

/* Half opened as well. */
static void close_all(struct worker *worker)
{
        struct cm_worker *w = &worker->public;

        cm_timer_free(&worker->tick);
        cm_server_free(&worker->server);
        guard_free(&worker->guard);
        user_ref_cache_free(&worker->refs);
        flags_free(&worker->flags);
        cm_cache_free(&w->cache);
        cm_rpc_free(&w->rpc);
        cm_signals_free(&w->signals);
        cm_redis_free(&w->cache_redis);
        cm_redis_free(&worker->signals);
        cm_redis_free(&w->bus);
        if (w->pg)
                cm_pg_free(&w->pg);
}

static void *run(void *arg)
{
        struct worker *worker = arg;

        here = worker;
        worker->start_result = open_all(worker);
        if (worker->start_result == 0) {
                atomic_store(&worker->open, true);
                cm_server_start(worker->server);
                cm_loop_each_turn(worker->public.loop, each_turn, worker);
                cm_loop_defer(worker->public.loop, begin_life, worker);
                cm_loop_defer(worker->public.loop, on_tick, worker);
        }
        (void)sem_post(&worker->listening);
        if (worker->start_result == 0)
                cm_loop_run(worker->public.loop);
        close_all(worker);
        if (worker->start_result == 0)
                cm_fiber_pool_deinit(worker->public.loop);
        cm_log_flush();
        return NULL;
}

int worker_launch(struct worker *worker)
{
        set_stage(worker, "opening");
        if (sem_init(&worker->listening, 0, 0) ||
            pthread_create(&worker->thread, NULL, run, worker))
                return -CM_E_INTERNAL;
        while (sem_wait(&worker->listening))
                ; /* interrupted */
        return worker->start_result;
}
