#include "key_store.h"

#include "base/error.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

static const struct cm_pg_statement keys_list = {
        .name = "keys_list",
        .sql = "SELECT id, state, sealed, jwk FROM signing_keys WHERE state < 4 ORDER BY "
               "created_at, id",
};

int key_store_list(struct cm_pg *pg, struct cm_arena *arena, struct stored_key **keys_r,
                   size_t *count_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_query(pg, &service_scope, &keys_list, NULL, &rows);

        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        *count_r = (size_t)rows.rows;
        *keys_r = cm_arena_array(arena, *count_r + 1, sizeof(**keys_r));
        for (int i = 0; i < rows.rows; i++) {
                (*keys_r)[i] = (struct stored_key){
                        .id = cm_arena_str(arena, cm_pg_text(&rows, i, 0)),
                        .state = (int32_t)cm_pg_int(&rows, i, 1),
                        .sealed = cm_arena_str(arena, cm_pg_text(&rows, i, 2)),
                        .jwk = cm_arena_str(arena, cm_pg_text(&rows, i, 3)),
                };
        }
        return 0;
}

/* The number is ours alone: advisory locks share one space a database. */
static const struct cm_pg_statement key_lock = {
        .name = "key_lock",
        .sql = "SELECT 1 FROM pg_advisory_xact_lock(5104771)",
};

static const struct cm_pg_statement key_find_active = {
        .name = "key_find_active",
        .sql = "SELECT 1 FROM signing_keys WHERE state = 2",
};

static const struct cm_pg_statement key_insert = {
        .name = "key_insert",
        .writes = true,
        .sql = "INSERT INTO signing_keys (id, state, sealed, jwk, activated_at)"
               " VALUES ($1::text, 2, $2::text, $3::text, now())",
};

static int insert_key(struct cm_pg_tx *tx, const struct stored_key *key)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_text(&params, key->id);
        cm_pg_put_text(&params, key->sealed);
        cm_pg_put_text(&params, key->jwk);
        return cm_pg_tx_query(tx, &key_insert, &params, NULL);
}

static int ensure_in(struct cm_pg_tx *tx, struct cm_arena *arena, key_store_make_fn *make,
                     void *arg)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result active = { 0 };
        struct stored_key key = { 0 };
        int r;

        r = cm_pg_tx_query(tx, &key_lock, NULL, NULL);
        if (!r)
                r = cm_pg_tx_query(tx, &key_find_active, NULL, &active);
        if (r || active.rows)
                return r;
        r = make(arg, arena, &key);
        return r ? r : insert_key(tx, &key);
}

int key_store_ensure_active(struct cm_pg *pg, struct cm_arena *arena, key_store_make_fn *make,
                            void *arg)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(pg, &service_scope, &tx);

        if (!r)
                r = ensure_in(tx, arena, make, arg);
        if (!r)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}
