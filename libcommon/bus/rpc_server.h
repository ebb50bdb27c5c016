#pragma once
#include "base/time.h"
#include "bus/rpc.h"
#include "store/redis.h"
#include "sys/loop.h"

/*
 * The callee's end, one a worker: takes requests from the service's stream and runs each in a fiber
 * with the time that the caller has left. Replicas share the consumer group `rpc`: an entry is
 * taken by one of them, and acknowledged and removed after its answer. What a dead process has left
 * is taken over once, and only while its caller still waits.
 */
struct cm_rpc_request {
        const struct cm_rpc_method *method;
        void *service; /* the worker's service object */
        struct cm_arena *arena;
        cm_time now;          /* when it was taken */
        struct cm_uuid user;  /* whom the call is for; in the fiber's context too */
        struct cm_str caller; /* "chat" */
        struct cm_str key;    /* idempotency key; absent for methods that only read */
        struct cm_str body;   /* the request as it came, for telling two of one key apart */
        struct cm_str replay; /* JSON, sent instead of `out` when it is there: see rpc_once.h */
        struct cm_rpc_problem problem;
};

/*
 * A handler fills `out` and returns 0; or returns what cm_rpc_refuse() or cm_rpc_claim()
 * (rpc_once.h: for all that writes to PostgreSQL) did; or a negative error,
 * which becomes the right code in one place. Only what happens before the deadline counts: waits
 * end with -CM_E_DEADLINE then, and no answer is sent.
 */
typedef int cm_rpc_handler_fn(struct cm_rpc_request *call, const void *in, void *out);

struct cm_rpc_handler {
        const struct cm_rpc_method *method;
        cm_rpc_handler_fn *serve;
};

/* The table that the build makes: main_health_rpc in main_health_rpc.h. */
struct cm_rpc_methods {
        const char *service;
        const struct cm_rpc_handler *items;
        size_t count;
        const char *const *callers; /* who may ask; ends with NULL */
};

/* Returns CM_RPC_REFUSED. `code` is one of errors.h; `detail` (may be NULL) is for people. */
int cm_rpc_refuse(struct cm_rpc_request *call, const char *code, const char *detail, ...)
        CM_PRINTF(3, 4);
/* What is wrong with the request: code `invalid`. The faults are copied. */
int cm_rpc_refuse_invalid(struct cm_rpc_request *call, const struct cm_faults *faults);
/* The first attempt with the call's key still runs: to be asked again in a second. */
int cm_rpc_refuse_at_work(struct cm_rpc_request *call);

struct cm_rpc_server_config {
        const struct cm_rpc_methods *methods;
        struct cm_redis *redis; /* the worker's commands on the bus */
        const char *redis_url;  /* for a connection of its own, which blocks */
        void *service;          /* for cm_rpc_request */
        size_t max_running; /* calls at a time; those beyond are answered `overloaded`; 0: 200 */
        size_t max_data;    /* bytes of a request or reply; 0: 1 MiB */
        int64_t lease_us;   /* work that shows no life is another's after; 0: 2 s */
};

struct cm_rpc_server;
/* Starts the fibers in this loop. Fails with -CM_E_OVERLOAD or -CM_E_CONFIG (address) only;
 * whatever else is wrong is tried again. */
int cm_rpc_server_start(struct cm_loop *loop, const struct cm_rpc_server_config *config,
                        struct cm_rpc_server **server_r) CM_MUST_CHECK;
/* Takes nothing more and finishes what runs; cancels it when the fiber's deadline comes first.
 * Suspends. */
void cm_rpc_server_stop(struct cm_rpc_server **server);
size_t cm_rpc_server_running(const struct cm_rpc_server *server);
