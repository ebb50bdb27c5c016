#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "http/request.h"
#include "store/answers.h"
#include "store/pg.h"

/*
 * Idempotency-Key for routes that create something: the answer is stored in the transaction of the
 * effect (table idempotency_key, see idempotency.up.sql) and replayed verbatim when the key comes
 * again.
 *
 *     struct cm_idempotency attempt;
 *     CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
 *
 *     r = cm_idempotency_init(&attempt, request);       (400)
 *     if (r == 0) r = cm_pg_begin(pg, &scope, &tx);     (the scope must name the user)
 *     if (r == 0) r = cm_idempotency_claim(&attempt, tx);
 *     if (r) return r < 0 ? r : 0;                      (positive: it has replied)
 *     … the effect, inside tx …
 *     return cm_idempotency_commit_json(&attempt, &tx, 201, &thing_schema, &thing);
 *
 * Without the header all of this is an ordinary transaction. Routes where a request is one row keep
 * the key in columns of that row instead; they use cm_idempotency_key() alone.
 *
 * While a first attempt runs, a second one of the same user and key is answered 409 at once: within
 * a worker by the server itself, for every idempotent route that answers without a stream; in other
 * workers and replicas by cm_idempotency_claim(), or, where the key is in the row, by cm_pg_claim
 * and cm_idempotency_reply_running().
 */

struct cm_idempotency {
        struct cm_request *request;
        bool is_keyed;
        struct cm_answer_key key; /* its request: method, path, query and body */
};

/* The key: 1 to 255 visible ASCII characters, with or without the quotes of a structured field;
 * absent when there is none. Returns 0, or a positive value after it has replied 400. */
int cm_idempotency_key(struct cm_request *request, struct cm_str *key_r) CM_MUST_CHECK;

/* 409: a first attempt with this key still runs. The reply's result. */
int cm_idempotency_reply_running(struct cm_request *request);

/* The route must have a scope. 0, or positive after a reply. */
int cm_idempotency_init(struct cm_idempotency *attempt, struct cm_request *request) CM_MUST_CHECK;

/* First in the transaction. 0 to go on; positive after a reply: the stored answer, 422 when the key
 * was used for another request, 409 when another replica is at it. Suspends. */
int cm_idempotency_claim(struct cm_idempotency *attempt, struct cm_pg_tx *tx) CM_MUST_CHECK;

/* Last: stores the answer with the present reply headers Location and ETag, commits, replies.
 * Returns 0 or a negative error; then nothing was replied. Suspends. */
int cm_idempotency_commit(struct cm_idempotency *attempt, struct cm_pg_tx **tx, int status,
                          const char *content_type, struct cm_str body) CM_MUST_CHECK;
int cm_idempotency_commit_json(struct cm_idempotency *attempt, struct cm_pg_tx **tx, int status,
                               const struct cm_schema *schema, const void *value) CM_MUST_CHECK;

/* Forgets answers older than `age_us`, some thousands at a time; how many in *count_r. Suspends. */
int cm_idempotency_forget(struct cm_pg *pg, int64_t age_us, int64_t *count_r) CM_MUST_CHECK;
