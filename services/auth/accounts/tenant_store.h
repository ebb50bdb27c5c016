#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/time.h"
#include "base/uuid.h"
#include "store/pg.h"

/* The tenants table. */
struct tenant {
        struct cm_uuid id;
        struct cm_str name;
        bool is_default;
        int64_t people; /* accounts that are not deleted */
        cm_time created_at;
};

struct tenant_list {
        struct tenant *items;
        size_t count;
};

/* All, oldest first, in the arena. Suspends. */
int tenant_store_list(struct cm_pg *pg, struct cm_arena *arena,
                      struct tenant_list *list_r) CM_MUST_CHECK;

enum tenant_outcome { TENANT_NAME_TAKEN = 30 };
/* In a transaction of the service. 0, TENANT_NAME_TAKEN (it is over) or an error. */
int tenant_store_insert(struct cm_pg_tx *tx, const struct cm_uuid *id,
                        struct cm_str name) CM_MUST_CHECK;
