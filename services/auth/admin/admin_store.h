#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "base/attr.h"
#include "sessions/session_store.h"
#include "store/pg.h"

/*
 * The users table as admins act on it: one tenant of it, which the database derives from who acts
 * (acting_tenant() in the migrations). `scope` is that of ADMIN_SCOPE for all of this.
 */
#define ADMIN_SCOPE(claims) (&(const struct cm_pg_scope){ &(claims)->sub, 1, "admin" })

enum admin_outcome { ADMIN_NOT_FOUND = 1, ADMIN_EMAIL_TAKEN, ADMIN_REFERENCE_TAKEN };

struct account_filter {
        struct cm_str email;          /* what the canonical address begins with; "" for all */
        struct cm_str after;          /* canonical address of the last one before; "" for none */
        int32_t user_type;            /* 0: any */
        int32_t status;               /* 0: any */
        const struct cm_uuid *tenant; /* NULL: any, of those that are seen */
        int32_t limit;
};

struct account_rows {
        struct account *items;
        struct cm_str *email_keys; /* beside the items */
        size_t count;
};

/* In the order of canonical addresses, in the arena. Suspends. */
int admin_store_list(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                     const struct account_filter *filter,
                     struct account_rows *rows_r) CM_MUST_CHECK;

/* 0, ADMIN_NOT_FOUND or an error. Suspends. */
int admin_store_read(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                     const struct cm_uuid *id, struct account *account_r) CM_MUST_CHECK;

/* ---- inside a transaction */

/* The account under its row's lock. */
int admin_store_lock(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *id,
                     struct account *account_r) CM_MUST_CHECK;
/* 0, ADMIN_EMAIL_TAKEN (the transaction is over) or an error. */
int admin_store_insert(struct cm_pg_tx *tx, const struct account *account, struct cm_str email_key,
                       struct cm_str password_hash) CM_MUST_CHECK;
/* Whether the account under this lock has that number. 0, ADMIN_NOT_FOUND or an error. */
int admin_store_has_phone(struct cm_pg_tx *tx, const struct cm_uuid *id,
                          struct cm_str phone) CM_MUST_CHECK;
/* Type, status, reference, confirmed phone, must-change, version and time. 0, ADMIN_REFERENCE_TAKEN
 * (the transaction is over) or an error. */
int admin_store_update(struct cm_pg_tx *tx, const struct account *account) CM_MUST_CHECK;
/* The tenant of who acts. 0, ADMIN_NOT_FOUND or an error. */
int admin_store_tenant(struct cm_pg_tx *tx, struct cm_uuid *tenant_r) CM_MUST_CHECK;
