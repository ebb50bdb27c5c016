#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "store/pg.h"

/* The signing_keys table. Private halves come and go sealed. */

enum key_state { KEY_ANNOUNCED = 1, KEY_ACTIVE, KEY_RETIRED, KEY_WITHDRAWN };

struct stored_key {
        struct cm_str id;
        int32_t state;
        struct cm_str sealed;
        struct cm_str jwk;
};

/* All keys that verifiers must know (not withdrawn), oldest first, in the arena. Suspends. */
int key_store_list(struct cm_pg *pg, struct cm_arena *arena, struct stored_key **keys_r,
                   size_t *count_r) CM_MUST_CHECK;

/* Makes the first active key; `make` is called only when there is none, under a lock that all
 * instances share, and fills the key (in the arena). Suspends. */
typedef int key_store_make_fn(void *arg, struct cm_arena *arena, struct stored_key *key_r);
int key_store_ensure_active(struct cm_pg *pg, struct cm_arena *arena, key_store_make_fn *make,
                            void *arg) CM_MUST_CHECK;
