#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "http/request.h"
#include "schemas.h"
#include "store/pg.h"
#include "token_chain.h"

/* The sessions table: sign-ins and the ends of their refresh token chains. */

/* A session as it begins. */
struct session_start {
        struct cm_uuid id;
        struct cm_uuid user_id;
        struct cm_str password_hash; /* the one that was checked: it must still be the account's */
        uint8_t digest[CHAIN_DIGEST_SIZE];
        struct cm_str device_name; /* may be absent */
        struct cm_str ip;
        struct cm_str user_agent;
        int64_t idle_us;
        int64_t life_us;
};

/* For a flight: one row, or none when the account is not active or has another password by now. */
extern const struct cm_pg_statement session_store_insert;
void session_store_insert_params(const struct session_start *start, struct cm_pg_params *params);

enum session_begin_outcome { SESSION_NOT_BEGUN = 1 /* the account is not what it was */ };

/* The same as a transaction of its own, with its audit row; also removes sessions of the same
 * person that were over a month ago. Suspends. */
int session_store_begin(struct cm_pg *pg, const struct session_start *start,
                        const struct cm_pg_params *audit) CM_MUST_CHECK;

/* ---- session_store_own.c: one's own sessions */

/* In a transaction: the new session takes the old one's place on its device, and its name. */
int session_store_succeed(struct cm_pg_tx *tx, const struct cm_uuid *session_id,
                          const struct cm_uuid *old_id) CM_MUST_CHECK;

struct ended_session {
        struct cm_uuid id;
        cm_time ended_at;
};

struct ended_sessions {
        struct ended_session *items;
        size_t count;
};

/* sessions.ended_reason; 2 is set by a refresh. */
enum session_end_reason {
        SESSION_END_LOGOUT = 1,
        SESSION_END_ELSEWHERE = 3, /* by its owner, from another session */
        SESSION_END_ADMIN,
        SESSION_END_RESET,    /* of the password, with a mailed code */
        SESSION_END_ACCOUNT,  /* the account was deactivated or deleted */
        SESSION_END_FACTOR,   /* a second factor was changed */
        SESSION_END_PASSWORD, /* the password was changed */
};

/* Which sessions of a person to end. */
struct session_end {
        const struct cm_uuid *user_id;
        const struct cm_uuid *actor;  /* NULL: the person */
        const struct cm_uuid *only;   /* NULL: all */
        const struct cm_uuid *except; /* NULL: none */
        enum session_end_reason reason;
};

/* Ends what still goes on of them, with an audit row each, durably. *ended_r lists those, in the
 * request's arena. Suspends. */
int session_store_end(struct cm_pg *pg, struct cm_request *request, const struct session_end *end,
                      struct ended_sessions *ended_r) CM_MUST_CHECK;
/* The same inside a transaction whose scope names the person. */
int session_store_end_in(struct cm_pg_tx *tx, struct cm_request *request,
                         const struct session_end *end,
                         struct ended_sessions *ended_r) CM_MUST_CHECK;
/* What is remembered of the devices of somebody who is deleted goes. */
int session_store_forget_devices(struct cm_pg_tx *tx, const struct cm_uuid *user_id) CM_MUST_CHECK;

/* Whether the person has, or had lately, such a session. 0; positive when not; or an error. */
int session_store_find(struct cm_pg *pg, const struct cm_uuid *user_id,
                       const struct cm_uuid *session_id) CM_MUST_CHECK;

/* Those that go on, newest first, from behind `before`; `current` is not set. */
struct session_list {
        struct session *items;
        size_t count;
};
int session_store_list(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user_id,
                       const struct cm_uuid *before, int32_t limit,
                       struct session_list *list_r) CM_MUST_CHECK;

/* Sessions of all that were ended less than `within_us` ago, whose access tokens may still be
 * about. */
int session_store_ended(struct cm_pg *pg, struct cm_arena *arena, int64_t within_us,
                        struct ended_sessions *ended_r) CM_MUST_CHECK;
