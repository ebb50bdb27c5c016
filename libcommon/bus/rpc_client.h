#pragma once
#include "bus/rpc.h"
#include "store/redis.h"
#include "sys/loop.h"

/*
 * The caller's end, one a worker: sends requests and hands each reply to the fiber that waits for
 * it. What comes for nobody (late, repeated, made up) is counted and dropped.
 */
struct cm_rpc;

struct cm_rpc_config {
        const char *service;      /* who calls: "chat" */
        struct cm_redis *redis;   /* the worker's commands on the bus */
        struct cm_redis *signals; /* its subscriptions */
        size_t max_waiting;       /* calls without a reply; then -CM_E_OVERLOAD; 0: 1000 */
};

/* Listens on the worker's reply channel. Nothing waits here: calls before Redis is there fail. */
int cm_rpc_new(const struct cm_rpc_config *config, struct cm_rpc **rpc_r) CM_MUST_CHECK;
/* No fiber may be in a call. Free before the connections. */
void cm_rpc_free(struct cm_rpc **rpc);
/* Replies can be heard at present. */
bool cm_rpc_is_ready(const struct cm_rpc *rpc);

/*
 * One call; use the stubs of the generated rpc.h. Ends by the fiber's deadline or the method's
 * timeout, whichever is first, and at once when Redis is not there. Whatever is decoded into
 * `reply_r` lives in the arena. `idempotency_key` is for methods that write: a repetition with the
 * same key and request has no second effect and gets the first reply.
 *
 * 0; CM_RPC_REFUSED with *problem_r (may be NULL) filled;
 * -CM_E_UNAVAILABLE  Redis, the callee or what it needs is not there, nothing was changed;
 * -CM_E_OVERLOAD     the callee (or this worker) has too much to do, nothing was changed;
 * -CM_E_DEADLINE     no reply in time, of a method that only reads;
 * -CM_E_UNCERTAIN    the same of one that writes: repeat with the same key;
 * -CM_E_PROTOCOL     the callee's reply is not what the contract says, or it failed inside.
 * Suspends.
 */
int cm_rpc_call(struct cm_rpc *rpc, const struct cm_rpc_method *method, struct cm_arena *arena,
                struct cm_str idempotency_key, const void *request, void *reply_r,
                struct cm_rpc_problem *problem_r) CM_MUST_CHECK;
