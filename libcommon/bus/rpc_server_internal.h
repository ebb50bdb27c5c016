#pragma once
#include "bus/rpc_server.h"
#include "bus/rpc_wire.h"
#include "sys/fiber.h"
#include "sys/metrics.h"

/* What the files of the callee's end share. Nobody else includes this. */

/* Metrics of one method. */
struct rpc_meter {
        struct cm_metric *duration;
        struct cm_metric *served;
        struct cm_metric *refused;
        struct cm_metric *failed;
};

struct cm_rpc_server {
        struct cm_loop *loop;
        struct cm_rpc_server_config config;
        struct cm_redis *reader; /* blocks in XREADGROUP */
        struct cm_arena names;
        struct cm_arena arena;   /* of the fiber that reads: one round */
        struct cm_arena keeping; /* of the fiber that keeps: one round */
        struct cm_str stream;
        struct cm_str consumer;
        struct rpc_meter *meters; /* of methods->items */
        bool has_group;
        int64_t clock_us; /* Redis' clock less ours (monotonic) */
        bool knows_clock;
        struct cm_list jobs;
        size_t running;
        size_t fibers; /* of the server itself */
        bool is_stopping;
        struct cm_fiber *reading;
        struct cm_cond changed; /* a job or a fiber has ended */
        struct cm_cond stopping;
};

/* One request, from the stream to its answer. */
struct rpc_job {
        struct cm_list node;
        struct cm_fiber *fiber; /* NULL until it runs */
        struct cm_rpc_server *server;
        struct cm_arena arena;
        struct cm_str entry; /* its id in the stream */
        struct rpc_envelope envelope;
        const struct cm_rpc_handler *handler;
        const struct rpc_meter *meter;
        int64_t began_us;
        int64_t deadline_us; /* monotonic */
};

/* rpc_server.c: what was read or taken over is run, refused or dropped. Suspends. */
void rpc_server_take(struct cm_rpc_server *server, struct cm_arena *arena,
                     const struct cm_redis_reply *entry);

/* rpc_job.c */
/* Runs it in a fiber of its own, which owns it from now on. */
int rpc_job_start(struct rpc_job *job) CM_MUST_CHECK;
void rpc_job_free(struct rpc_job **job);
/* Publishes an answer (absent: none is sent) and removes the entry. Suspends. */
/* Calls that were not run or not answered, by reason. */
void rpc_count_not_run(const char *labels);
void rpc_entry_finish(struct cm_rpc_server *server, struct cm_arena *arena, struct cm_str entry,
                      struct cm_str channel, struct cm_str message);
/* The same for a request that is not run. */
void rpc_entry_refuse(struct cm_rpc_server *server, struct cm_arena *arena, struct cm_str entry,
                      const struct rpc_envelope *envelope, const char *code, const char *detail);

/* rpc_keep.c: the group, the clock, the leases. They suspend. */
int rpc_keep_open(struct cm_rpc_server *server) CM_MUST_CHECK;
void rpc_keep_fiber(void *arg);
void rpc_keep_leave(struct cm_rpc_server *server);
