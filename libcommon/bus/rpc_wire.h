#pragma once
#include "bus/rpc.h"

/* Inside bus/: how requests and replies lie on the wire. docs/rpc.md describes it. */

/* A request: fields of a stream entry, named as in CloudEvents where those have a name. */
struct rpc_envelope {
        struct cm_str id;          /* ce_id: 32 hexadecimal digits */
        struct cm_str source;      /* ce_source: "/salus/chat" */
        struct cm_str type;        /* ce_type: "memory.recall.v1" */
        struct cm_str traceparent; /* ce_traceparent; may be absent */
        struct cm_str reply;       /* the channel */
        int64_t timeout_us;        /* timeout_ms: from the entry's id on */
        struct cm_str key;         /* idempotency_key; may be absent */
        struct cm_str data;        /* JSON */
};
#define RPC_ENVELOPE_TEXTS 20

/* Name and value pairs for XADD; the number of texts. */
size_t rpc_envelope_fields(const struct rpc_envelope *envelope, struct cm_arena *arena,
                           struct cm_str fields_r[RPC_ENVELOPE_TEXTS]);

enum rpc_envelope_fault {
        RPC_UNANSWERABLE = 1, /* no id or reply channel to answer to */
        RPC_MALFORMED,        /* answerable: *what_r names the field */
        RPC_TOO_LARGE,
};
/* From name and value pairs; views into them. Unknown names are ignored, of a name that comes twice
 * the first counts. */
int rpc_envelope_parse(const struct cm_str *fields, size_t count, size_t max_data,
                       struct rpc_envelope *envelope_r, const char **what_r) CM_MUST_CHECK;
/* The service that a reply channel belongs to: "chat" of "s1:reply:chat.0af…"; absent when it is no
 * reply channel. */
struct cm_str rpc_reply_owner(struct cm_str channel);

/* A reply: "<id> <code>\n<JSON>"; the code is `ok` or one of errors.yaml, the JSON the reply or a
 * RpcProblem. */
struct rpc_answer {
        struct cm_str id;
        struct cm_str code;
        struct cm_str json;
};
#define RPC_OK CM_STR("ok")
bool rpc_answer_parse(struct cm_str message, struct rpc_answer *answer_r) CM_MUST_CHECK;
void rpc_answer_begin(struct cm_buf *out, struct cm_str id, struct cm_str code);
void rpc_problem_write(struct cm_buf *out, const struct cm_rpc_problem *problem);
/* *problem_r without its code. -CM_E_PROTOCOL when the JSON is none. */
int rpc_problem_read(struct cm_str json, struct cm_arena *arena,
                     struct cm_rpc_problem *problem_r) CM_MUST_CHECK;
