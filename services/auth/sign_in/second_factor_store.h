#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/attr.h"
#include "codec/digest.h"
#include "sessions/session_store.h"
#include "store/pg.h"

/* The tables second_factors, recovery_codes and login_tickets. All of it suspends. */

enum second_factor_outcome {
        SECOND_FACTOR_NONE = 1, /* the account has none (in use, or begun) */
        SECOND_FACTOR_IN_USE,
        SECOND_FACTOR_LIMIT_REACHED,
        SECOND_FACTOR_SPENT, /* the code, the ticket or the account is no longer what it was */
};

struct second_factor_state {
        bool active;
        cm_time active_since;
        int64_t recovery_codes_left;
};
int second_factor_store_read(struct cm_pg *pg, const struct cm_uuid *user_id,
                             struct second_factor_state *state_r) CM_MUST_CHECK;

/* Begins with this sealed secret, in place of one that was never confirmed. 0 or
 * SECOND_FACTOR_IN_USE. */
int second_factor_store_enrol(struct cm_pg *pg, const struct cm_uuid *user_id, struct cm_str sealed,
                              const struct cm_pg_params *audit) CM_MUST_CHECK;

/* Wrong codes that an account may try in a window. */
struct code_limit {
        int64_t most;
        int64_t window_us;
};

struct code_attempt {
        struct cm_str sealed; /* in the arena */
        int64_t last_step;
        bool confirmed;
        int64_t wait_us; /* when the limit is reached */
};

/*
 * Counts one attempt, durably and before the code is looked at, so that of any number of parallel
 * guesses, over any number of instances, no more than the limit are looked at. 0,
 * SECOND_FACTOR_NONE or SECOND_FACTOR_LIMIT_REACHED.
 */
int second_factor_store_try(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user_id,
                            const struct code_limit *limit,
                            struct code_attempt *attempt_r) CM_MUST_CHECK;

/* A code that fitted: a time step of the app, or the digest of a recovery code. */
struct fitting_code {
        int64_t step; /* 0: a recovery code */
        uint8_t recovery[CM_SHA256_SIZE];
};

/* In a transaction: takes the code, which nobody can after that, and forgets the failures. 0 or
 * SECOND_FACTOR_SPENT. */
int second_factor_store_spend(struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                              const struct fitting_code *code) CM_MUST_CHECK;

/* In a transaction: the factor is in use from now on. 0 or SECOND_FACTOR_SPENT. */
int second_factor_store_confirm(struct cm_pg_tx *tx, const struct cm_uuid *user_id) CM_MUST_CHECK;
/* In a transaction: these recovery codes and no others. */
int second_factor_store_codes(struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                              const uint8_t (*digests)[CM_SHA256_SIZE], size_t count) CM_MUST_CHECK;
int second_factor_store_remove(struct cm_pg_tx *tx, const struct cm_uuid *user_id) CM_MUST_CHECK;

/* A sign-in whose password was right. */
struct login_ticket {
        struct cm_uuid user_id;
        struct cm_str password_hash;
        struct cm_str device_name; /* may be absent */
        int64_t life_us;
};
/* Keeps it under the digest of what its holder was given; also clears that person's old ones. */
int login_ticket_store(struct cm_pg *pg, const uint8_t digest[CM_SHA256_SIZE],
                       const struct login_ticket *ticket,
                       const struct cm_pg_params *audit) CM_MUST_CHECK;
/* 0, in the arena, or SECOND_FACTOR_NONE. */
int login_ticket_read(struct cm_pg *pg, struct cm_arena *arena,
                      const uint8_t digest[CM_SHA256_SIZE],
                      struct login_ticket *ticket_r) CM_MUST_CHECK;

/* Ticket and code are spent, the session begins: all or nothing. 0 or SECOND_FACTOR_SPENT. */
int login_ticket_redeem(struct cm_pg *pg, const uint8_t digest[CM_SHA256_SIZE],
                        const struct fitting_code *code, const struct session_start *start,
                        const struct cm_pg_params *audit) CM_MUST_CHECK;
