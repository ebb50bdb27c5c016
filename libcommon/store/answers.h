#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "store/pg.h"

/*
 * Answers by idempotency key: stored in the transaction of their effect (table idempotency_key, see
 * libcommon/http/idempotency.up.sql), found again when the key comes again. What HTTP
 * (http/idempotency.h) and calls of other services (bus/rpc_once.h) have in common.
 *
 * Who else is at the same key? An advisory lock of the transaction says. It is taken before the
 * table is read, in a statement of its own: a statement sees what was committed before it began,
 * and so the row of whoever held the lock.
 */
#define CM_ANSWER_DIGEST 32

struct cm_answer_key {
        struct cm_uuid user;
        uint8_t key[CM_ANSWER_DIGEST];
        uint8_t request[CM_ANSWER_DIGEST]; /* of what the key was used for */
};
/* SHA-256 of the parts, each with its length before it, so that none can run into the next. */
void cm_answer_digest(uint8_t out[CM_ANSWER_DIGEST], const struct cm_str *parts, size_t count);

struct cm_answer {
        int status;
        struct cm_str content_type; /* may be absent */
        struct cm_str headers;
        struct cm_str body;
};

enum cm_answer_outcome {
        CM_ANSWER_FOUND = 1, /* *answer_r, in the arena */
        CM_ANSWER_OTHER,     /* the key was used for another request */
        CM_ANSWER_RUNNING,   /* somebody else is at it */
};

/* First in the transaction, whose scope must name the user: 0, an outcome, or an error. */
int cm_answer_claim(struct cm_pg_tx *tx, const struct cm_answer_key *key, struct cm_arena *arena,
                    struct cm_answer *answer_r) CM_MUST_CHECK;
/* In the transaction of the effect, after cm_answer_claim(). */
int cm_answer_store(struct cm_pg_tx *tx, const struct cm_answer_key *key,
                    const struct cm_answer *answer) CM_MUST_CHECK;
