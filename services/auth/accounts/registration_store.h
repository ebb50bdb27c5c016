#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "base/attr.h"
#include "store/pg.h"

/* Accounts that begin when their address is confirmed, and the invitations to make one. */

struct pending_registration {
        struct user user; /* as it will be; its id is the registration's */
        struct cm_str email_key, password_hash;
        struct cm_uuid invitation;
        bool is_invited;
};

/* For a flight: keeps one, and clears some that are over. */
extern const struct cm_pg_statement registration_store_insert;
void registration_store_insert_params(const struct pending_registration *registration,
                                      int64_t life_us, struct cm_pg_params *params);

enum registration_outcome { REGISTRATION_GONE = 1, INVITATION_INVALID };

/* The newest that waits for this address. Suspends. 0, REGISTRATION_GONE or an error. */
int registration_store_find(struct cm_pg *pg, struct cm_arena *arena, struct cm_str email_key,
                            struct pending_registration *registration_r) CM_MUST_CHECK;
/* Takes one out, to make its account. */
int registration_store_take(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *id,
                            struct pending_registration *registration_r) CM_MUST_CHECK;

/* In a transaction of the service that names who acts: an invitation to their tenant. 0,
 * INVITATION_INVALID when they may not act for any (any more), or an error. */
int invitation_store_insert(struct cm_pg_tx *tx, const struct invitation *invitation,
                            struct cm_str email_key, const struct cm_uuid *invited_by,
                            const uint8_t digest[32]) CM_MUST_CHECK;
/* One that this address may use now: what it says of the account that it makes. Suspends. 0,
 * INVITATION_INVALID or an error. */
int invitation_store_find(struct cm_pg *pg, const uint8_t digest[32], struct cm_str email_key,
                          struct pending_registration *registration_r) CM_MUST_CHECK;
/* For a flight: uses it up. A duplicate when another account has done so. */
extern const struct cm_pg_statement invitation_store_use;
void invitation_store_use_params(const struct cm_uuid *invitation, const struct cm_uuid *user_id,
                                 struct cm_pg_params *params);
