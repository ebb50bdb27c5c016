#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "key_rules.h"
#include "store/pg.h"

/* The signing_keys table. Private halves come and go sealed. */

/* The published keys (not withdrawn, not ended), in the arena. Suspends. */
int key_store_list(struct cm_pg *pg, struct cm_arena *arena, struct key_list *list_r) CM_MUST_CHECK;
/* All that ever were, newest first, for people to read. */
int key_store_history(struct cm_pg *pg, struct cm_arena *arena,
                      struct key_list *list_r) CM_MUST_CHECK;

/* Changes: one instance at a time, under a lock that ends with the transaction. All suspend; 0 or
 * an error unless said. */
int key_store_begin(struct cm_pg *pg, struct cm_pg_tx **tx_r) CM_MUST_CHECK;
int key_store_list_in(struct cm_pg_tx *tx, struct cm_arena *arena,
                      struct key_list *list_r) CM_MUST_CHECK;
/* Of `key`: id, state (announced or active), sealed, jwk. */
int key_store_insert(struct cm_pg_tx *tx, const struct stored_key *key) CM_MUST_CHECK;
/* The active key, if any, is retired: published for `grace_us` more, its private half erased. */
int key_store_retire(struct cm_pg_tx *tx, int64_t grace_us) CM_MUST_CHECK;
int key_store_activate(struct cm_pg_tx *tx, struct cm_str id) CM_MUST_CHECK;
/* Its new state is KEY_ENDED or KEY_WITHDRAWN; the private half is erased. */
int key_store_close(struct cm_pg_tx *tx, struct cm_str id, int state) CM_MUST_CHECK;
/* Whoever verifies can have all announced keys from now on. */
int key_store_told(struct cm_pg_tx *tx) CM_MUST_CHECK;
