#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "base/attr.h"
#include "codec/digest.h"
#include "sessions/session_store.h"
#include "store/pg.h"

/* The tables clients and client_secrets: machines of an operator. Of a secret only a keyed digest
 * is here; its id is the session of the tokens that it brings. */

enum client_outcome {
        CLIENT_NOT_FOUND = 1,
        CLIENT_NAME_TAKEN,
        CLIENT_HAS_TWO_SECRETS,
        CLIENT_DISABLED,
};

struct client_secret_record {
        struct cm_uuid id;
        struct cm_uuid client_id;
        uint8_t digest[CM_SHA256_SIZE];
};

/* In the order of names, in the arena; `id` NULL: all of the tenant. Suspends. */
int client_store_list(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                      const struct cm_uuid *id, struct client_list *list_r) CM_MUST_CHECK;

/* ---- inside a transaction of an admin */

int client_store_insert(struct cm_pg_tx *tx, const struct cm_uuid *tenant, const struct cm_uuid *id,
                        const struct new_client *in) CM_MUST_CHECK;
/* Under the client's lock: 0, CLIENT_NOT_FOUND, CLIENT_DISABLED or an error. */
int client_store_lock(struct cm_pg_tx *tx, const struct cm_uuid *id) CM_MUST_CHECK;
/* 0, CLIENT_HAS_TWO_SECRETS or an error. */
int client_store_add_secret(struct cm_pg_tx *tx,
                            const struct client_secret_record *secret) CM_MUST_CHECK;
/* `secret_id` NULL: all that work. Their ids in the arena. */
int client_store_end_secrets(struct cm_pg_tx *tx, struct cm_arena *arena,
                             const struct cm_uuid *client_id, const struct cm_uuid *secret_id,
                             struct ended_sessions *ended_r) CM_MUST_CHECK;
int client_store_disable(struct cm_pg_tx *tx, const struct cm_uuid *id) CM_MUST_CHECK;

/* ---- a machine that shows its secret */

struct client_grant {
        struct cm_uuid secret_id;
        struct cm_uuid tenant_id;
        int32_t *scopes; /* enum client_scope */
        size_t scope_count;
        struct cm_str audience; /* may be absent */
};
/* 0 and notes the use; CLIENT_NOT_FOUND for whatever is not right. In a transaction of the service.
 */
int client_store_take(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *client_id,
                      const uint8_t digest[CM_SHA256_SIZE],
                      struct client_grant *grant_r) CM_MUST_CHECK;
