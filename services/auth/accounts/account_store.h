#pragma once
#include <stdbool.h>

#include "account_rules.h"
#include "auth_api.h"
#include "base/arena.h"
#include "base/attr.h"
#include "store/pg.h"

/* The users table. `struct user` of the contract is also the record. */

enum account_outcome {
        ACCOUNT_NOT_FOUND = 1,
        ACCOUNT_USERNAME_TAKEN = 20, /* beyond those of account_rules.h */
};

/* For a flight: a new account; no row comes back. */
extern const struct cm_pg_statement account_store_insert;
void account_store_insert_params(const struct user *user, struct cm_str email_key,
                                 struct cm_str password_hash, struct cm_pg_params *params);

/* What a sign-in needs; in the arena. */
struct credentials {
        struct user user;
        struct cm_str password_hash;
        bool second_factor; /* sign-ins ask for a code as well */
        bool imported_left; /* there are accounts, anybody's, with imported hashes but bcrypt's */
};

/* By the canonical form of the e-mail address. Suspends. 0, ACCOUNT_NOT_FOUND with imported_left
 * alone, or an error. */
int account_store_credentials(struct cm_pg *pg, struct cm_arena *arena, struct cm_str email_key,
                              struct credentials *credentials_r) CM_MUST_CHECK;

/* One's own account. Suspends. 0, ACCOUNT_NOT_FOUND or an error. */
int account_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user_id,
                       struct user *user_r) CM_MUST_CHECK;

/* Inside a change: the account under its row's lock, and what comes of merging `patches` (absent:
 * none) into it. */
int account_store_lock(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *user_id,
                       const struct account_merge *patches, struct user *user_r,
                       struct account_merge *merged_r) CM_MUST_CHECK;
/* Writes the profile with its new version. 0, ACCOUNT_USERNAME_TAKEN or an error. */
int account_store_update(struct cm_pg_tx *tx, const struct user *user) CM_MUST_CHECK;

/* Writes that the address was confirmed, with the account's new version. */
int account_store_verified(struct cm_pg_tx *tx, const struct user *user) CM_MUST_CHECK;
/* Inside a change of the service's own: an active account with its password, under its row's lock.
 * 0, ACCOUNT_NOT_FOUND or an error. */
int account_store_lock_credentials(struct cm_pg_tx *tx, struct cm_arena *arena,
                                   const struct cm_uuid *user_id,
                                   struct credentials *credentials_r) CM_MUST_CHECK;

/* Sets the password of the account under this lock; it has not to be changed any more. */
int account_store_set_password(struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                               struct cm_str password_hash) CM_MUST_CHECK;

/* Before an account is closed: the account under a lock for which also new sessions wait, if it is
 * still active. 0, ACCOUNT_NOT_FOUND or an error. */
int account_store_lock_to_close(struct cm_pg_tx *tx, struct cm_arena *arena,
                                const struct cm_uuid *user_id, struct user *user_r) CM_MUST_CHECK;
/* Writes the status with its version. */
int account_store_set_status(struct cm_pg_tx *tx, const struct user *user) CM_MUST_CHECK;
/* The same, and empties profile, address and password, and removes what waits for the address
 * elsewhere (codes, registrations, invitations); the address is free then. */
int account_store_erase(struct cm_pg_tx *tx, const struct user *user) CM_MUST_CHECK;

/* Replaces a stored password by another form of it, if it is still that one. */
int account_store_rehash(struct cm_pg *pg, const struct cm_uuid *user_id, struct cm_str old_hash,
                         struct cm_str new_hash) CM_MUST_CHECK;

/* The default tenant, to which open registration adds. */
int account_store_default_tenant(struct cm_pg *pg, struct cm_uuid *tenant_r) CM_MUST_CHECK;
