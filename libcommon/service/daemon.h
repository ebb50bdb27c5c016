#pragma once
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/map.h"
#include "http/server.h"
#include "service/service.h"
#include "sys/fiber.h"
#include "sys/progress.h"

/*
 * Inside service/: the process and its workers.
 *
 * The main thread starts the workers and then only waits for signals. Each worker is a thread with
 * a loop, in which one fiber tells its life from beginning to end (worker.c). What one thread shows
 * to the others are the atomics here.
 */
struct guard;
struct user_ref_cache;
struct flags;
struct cm_relay;
struct cm_consumer;
struct cm_rpc_server;

struct worker {
        struct cm_worker public;
        struct daemon *daemon;
        pthread_t thread;
        sem_t listening; /* posted once the worker listens, or has failed to */
        int start_result;
        struct cm_redis *signals; /* subscriptions */
        struct cm_server *server;
        struct guard *guard;
        struct cm_map *leases; /* guard_limit.c: requests of people that were counted in advance */
        struct user_ref_cache *refs;
        struct flags *flags;
        struct cm_relay *relay;       /* the first worker's */
        struct cm_consumer *consumer; /* likewise */
        struct cm_progress relaying;
        struct cm_progress consuming;
        atomic_bool news_posted; /* likewise: a look at the outbox is on its way to its thread */
        struct cm_rpc_server *callee; /* each worker's, of a service that answers calls */
        struct cm_fiber *fiber;
        bool ending;
        struct cm_cond never;
        struct cm_timer *tick;
        int64_t tick_due_us;
        atomic_bool open;        /* the loop is there, until all threads have ended */
        atomic_bool started;     /* worker_start has succeeded */
        atomic_bool store_ready; /* as of the last turn */
        atomic_bool bus_ready;
        atomic_bool cache_ready;
        atomic_bool bus_seen; /* was there once, and may be used */
        atomic_bool has_keys;
        _Atomic(const char *) stage; /* static text: what the worker is doing */
        atomic_size_t running;       /* requests */
};

struct daemon {
        const struct cm_service *service;
        const struct cm_service_settings *settings;
        struct cm_mongo *mongo; /* with documents */
        struct worker *workers;
        size_t worker_count;
        pthread_t main_thread;
        atomic_int schema; /* enum cm_schema_state; 0: not known yet */
        atomic_bool draining;
        atomic_bool failed; /* a worker found that the daemon must not run */
};

/* The worker whose thread this is; NULL in other threads. */
struct worker *worker_here(void);
static inline struct worker *worker_of(struct cm_worker *worker)
{
        return CM_CONTAINER(worker, struct worker, public);
}

/* Starts the thread; start_result is known when `listening` was posted. */
int worker_launch(struct worker *worker) CM_MUST_CHECK;
/* From any thread: the worker finishes what it has begun, closes everything, and its thread ends.
 */
void worker_drain(struct worker *worker);
/* Says that the daemon must end, with status 1. Logged by the caller. */
void daemon_fail(struct daemon *daemon);

/* ---- command.c: runs one with run_on_stores. The exit status. */
int command_run(const struct cm_service *service, const struct cm_service_settings *settings,
                const struct cm_command *command, const char *argument);

/* ---- bus.c: relay and consumer are the first worker's, calls are answered by each */

/* A fiber that looks whether the bus may be used: bus_seen, or the end of the daemon. */
int bus_check(struct worker *worker, struct cm_group *group) CM_MUST_CHECK;
int bus_start(struct worker *worker) CM_MUST_CHECK;
/* Finish what is in hand. They suspend, at the latest until the fiber's deadline. */
void bus_stop_taking(struct worker *worker);
void bus_stop_sending(struct worker *worker);

/* ---- status.c: /healthz, /readyz, /metrics */
extern const struct cm_routes status_routes;
bool status_has_route(const struct cm_route *route);
/* Once a second, in the worker's thread: gauges. */
void status_sample(struct worker *worker);
