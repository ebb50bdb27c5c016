#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "service/daemon.h"
#include "sys/log.h"

/*
 * A command that works on the stores: a worker without a server, in this thread, whose one fiber is
 * the command.
 */
#define TIMEOUT_US     CM_MINUTE
#define AWAIT_PG_US    (10 * CM_SECOND)
#define AWAIT_REDIS_US (3 * CM_SECOND)
#define CONNECT_US     (5 * CM_SECOND)
#define POLL_US        (2 * CM_MILLISECOND)
#define WAITING        1000
#define STACK_SIZE     (64 * 1024)

struct run {
        struct cm_worker worker;
        const struct cm_command *command;
        const char *argument;
        int status;
};

static bool await_pg(const struct cm_worker *worker)
{
        int64_t until = cm_monotonic_us() + AWAIT_PG_US;

        while (!cm_pg_is_ready(worker->pg))
                if (cm_monotonic_us() > until || cm_fiber_sleep(POLL_US))
                        return false;
        return true;
}

/* What it says there may have to wait until it is back: the command knows. */
static void await_redis(const struct cm_worker *worker)
{
        int64_t until = cm_monotonic_us() + AWAIT_REDIS_US;

        while (!cm_redis_is_ready(worker->bus))
                if (cm_monotonic_us() > until || cm_fiber_sleep(POLL_US))
                        return;
}

static void run_fiber(void *arg)
{
        struct run *run = arg;

        if (await_pg(&run->worker)) {
                await_redis(&run->worker);
                run->status = run->command->run_on_stores(&run->worker, run->argument);
        } else {
                (void)fprintf(stderr, "%s: PostgreSQL does not answer\n",
                              run->worker.service->program);
        }
        cm_loop_stop(run->worker.loop);
}

static void begin(void *arg)
{
        struct run *run = arg;

        if (cm_fiber_start(run->command->name, run_fiber, run, cm_monotonic_us() + TIMEOUT_US))
                cm_loop_stop(run->worker.loop);
}

static int open_stores(struct run *run, const struct cm_service_settings *settings)
{
        const struct cm_fiber_pool_config fibers = { .stack_size = STACK_SIZE, .max_fibers = 8 };
        const struct cm_pg_config pg = { .conninfo = settings->database_url,
                                         .connections = 1,
                                         .tx_connections = 1,
                                         .max_waiting = WAITING,
                                         .connect_timeout_us = CONNECT_US,
                                         .backoff_max_us = CM_SECOND };
        const struct cm_redis_config redis = { .url = settings->redis_url,
                                               .connect_timeout_us = CONNECT_US,
                                               .backoff_max_us = CM_SECOND,
                                               .max_waiting = WAITING };
        struct cm_worker *worker = &run->worker;
        int r = cm_loop_new(&worker->loop);

        if (!r)
                r = cm_fiber_pool_init(worker->loop, &fibers);
        if (!r)
                r = cm_pg_new(worker->loop, &pg, &worker->pg);
        if (!r)
                r = cm_redis_new(worker->loop, &redis, &worker->bus);
        worker->signals = cm_signals_new(&(struct cm_signals_config){ .redis = worker->bus });
        return r;
}

int command_run(const struct cm_service *service, const struct cm_service_settings *settings,
                const struct cm_command *command, const char *argument)
{
        struct run run = { .worker = { .service = service, .settings = settings },
                           .command = command,
                           .argument = argument,
                           .status = 1 };
        int r = open_stores(&run, settings);

        if (!r) {
                cm_loop_defer(run.worker.loop, begin, &run);
                cm_loop_run(run.worker.loop);
        }
        cm_signals_free(&run.worker.signals);
        if (run.worker.bus)
                cm_redis_free(&run.worker.bus);
        if (run.worker.pg)
                cm_pg_free(&run.worker.pg);
        cm_fiber_pool_deinit(run.worker.loop);
        cm_loop_free(&run.worker.loop);
        cm_log_flush();
        return r ? 1 : run.status;
}
