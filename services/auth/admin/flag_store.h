#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "base/attr.h"
#include "store/pg.h"

/* The feature_flags table. Admins act on their tenant's flags by ADMIN_SCOPE (admin_store.h). */

enum flag_outcome { FLAG_NOT_FOUND = 1, FLAG_TOO_MANY };

/* In the order of keys, in the arena. Suspends. */
int flag_store_list(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                    struct flag_list *list_r) CM_MUST_CHECK;
/* 0, FLAG_NOT_FOUND or an error. Suspends. */
int flag_store_read(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                    struct cm_str key, struct flag *flag_r) CM_MUST_CHECK;

/* ---- inside a transaction; both count the tenant's revision up, so changes of a tenant come one
 * after the other */

/* The version of a flag that will stay as it is until the end; 0: there is none. FLAG_TOO_MANY when
 * one more would be more than FlagList holds. */
int flag_store_lock(struct cm_pg_tx *tx, const struct cm_uuid *tenant, struct cm_str key,
                    int64_t *version_r) CM_MUST_CHECK;
int flag_store_put(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *tenant,
                   struct cm_str key, const struct flag_rule *rule,
                   struct flag *flag_r) CM_MUST_CHECK;
int flag_store_delete(struct cm_pg_tx *tx, struct cm_str key) CM_MUST_CHECK;

/* ---- for the other services */

struct published_flags {
        struct cm_uuid tenant;
        int64_t revision;
        struct flag_set set;
};
/* Of one tenant, or of all (NULL) that ever had flags; in the arena. Suspends. */
int flag_store_published(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *tenant,
                         struct published_flags **sets_r, size_t *count_r) CM_MUST_CHECK;
