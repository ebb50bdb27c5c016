#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/uuid.h"
#include "codec/schema.h"

/*
 * Calls of one service by another: what both ends share. A request is an entry of the callee's
 * stream s1:rpc:<service>, its reply a message on a channel of the caller's own. docs/rpc.md tells
 * the way of a call; proto/rpc.yaml describes the methods, and the build makes a stub
 * (memory_rpc_recall) and a row of the callee's table (memory_serve_recall) of each.
 */
struct cm_rpc_method {
        const char *type;    /* "memory.recall.v1" */
        const char *service; /* who answers */
        const struct cm_schema *request;
        const struct cm_schema *reply;
        size_t user_offset; /* of user_id in the request: whom the call is for */
        int64_t timeout_us; /* at most; the caller's fiber may have less */
        bool idempotent;    /* writes, and so needs an idempotency key */
};

/* What the callee says instead of a reply. Texts live in the caller's arena. */
struct cm_rpc_problem {
        struct cm_str code;      /* one of proto/errors.yaml: see errors.h */
        struct cm_str detail;    /* may be absent */
        struct cm_faults faults; /* of the request */
        int retry_after_s;       /* 0: not said */
};

enum cm_rpc_outcome {
        CM_RPC_REFUSED = 1,
        CM_RPC_REPLAYED, /* of a handler: an earlier reply is given again */
};

/* More nobody may wait for. */
#define CM_RPC_MAX_TIMEOUT_US (60 * CM_SECOND)
#define CM_RPC_ID_SIZE        33 /* 32 hexadecimal digits */
#define CM_RPC_MAX_KEY        255
