#include "key_store.h"

#include "base/error.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

#define COLUMNS                                                                                    \
        "SELECT id, state, sealed, jwk, created_at, announced_at, activated_at, published_until,"  \
        " clock_timestamp() FROM signing_keys "

static const struct cm_pg_statement keys_published = {
        .name = "keys_published",
        .sql = COLUMNS "WHERE state < 4 ORDER BY created_at, id",
};

static const struct cm_pg_statement keys_all = {
        .name = "keys_all",
        .sql = COLUMNS "ORDER BY created_at DESC, id LIMIT 1000",
};

static cm_time time_or_0(const struct cm_pg_result *rows, int row, int column)
{
        return cm_pg_is_null(rows, row, column) ? 0 : cm_pg_time(rows, row, column);
}

static void read_list(const struct cm_pg_result *rows, struct cm_arena *arena,
                      struct key_list *list_r)
{
        list_r->count = (size_t)rows->rows;
        list_r->keys = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->keys));
        list_r->now = rows->rows ? cm_pg_time(rows, 0, 8) : 0;
        for (int i = 0; i < rows->rows; i++) {
                struct cm_str sealed = cm_pg_text(rows, i, 2);

                list_r->keys[i] = (struct stored_key){
                        .id = cm_arena_str(arena, cm_pg_text(rows, i, 0)),
                        .state = (int)cm_pg_int(rows, i, 1),
                        .sealed = sealed.data ? cm_arena_str(arena, sealed) : CM_STR_NONE,
                        .jwk = cm_arena_str(arena, cm_pg_text(rows, i, 3)),
                        .created_at = cm_pg_time(rows, i, 4),
                        .announced_at = time_or_0(rows, i, 5),
                        .activated_at = time_or_0(rows, i, 6),
                        .published_until = time_or_0(rows, i, 7),
                };
        }
}

static int read_with(struct cm_pg *pg, const struct cm_pg_statement *statement,
                     struct cm_arena *arena, struct key_list *list_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_query(pg, &service_scope, statement, NULL, &rows);

        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_list(&rows, arena, list_r);
        return 0;
}

int key_store_list(struct cm_pg *pg, struct cm_arena *arena, struct key_list *list_r)
{
        return read_with(pg, &keys_published, arena, list_r);
}

int key_store_history(struct cm_pg *pg, struct cm_arena *arena, struct key_list *list_r)
{
        return read_with(pg, &keys_all, arena, list_r);
}

/* ---- changes */

/* The number is ours alone: advisory locks share one space a database. */
static const struct cm_pg_statement key_lock = {
        .name = "key_lock",
        .sql = "SELECT 1 FROM pg_advisory_xact_lock(5104771)",
};

int key_store_begin(struct cm_pg *pg, struct cm_pg_tx **tx_r)
{
        const struct cm_pg_flight_item lock = { &key_lock, NULL, NULL };
        int r = cm_pg_begin_with(pg, &service_scope, &lock, tx_r);

        return r > 0 ? -CM_E_DATABASE : r;
}

int key_store_list_in(struct cm_pg_tx *tx, struct cm_arena *arena, struct key_list *list_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &keys_published, NULL, &rows);

        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_list(&rows, arena, list_r);
        return 0;
}

static int run(struct cm_pg_tx *tx, const struct cm_pg_statement *statement,
               const struct cm_pg_params *params)
{
        int r = cm_pg_tx_query(tx, statement, params, NULL);

        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement key_insert = {
        .name = "key_insert",
        .writes = true,
        .sql = "INSERT INTO signing_keys (id, state, sealed, jwk, created_at, activated_at)"
               " VALUES ($1::text, $2::int2, $3::text, $4::text, clock_timestamp(),"
               "         CASE $2::int2 WHEN 2 THEN clock_timestamp() END)",
};

int key_store_insert(struct cm_pg_tx *tx, const struct stored_key *key)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_text(&params, key->id);
        cm_pg_put_int2(&params, (int16_t)key->state);
        cm_pg_put_text(&params, key->sealed);
        cm_pg_put_text(&params, key->jwk);
        return run(tx, &key_insert, &params);
}

static const struct cm_pg_statement key_retire = {
        .name = "key_retire",
        .writes = true,
        .sql = "UPDATE signing_keys SET state = 3, sealed = NULL, retired_at = clock_timestamp(),"
               " published_until = clock_timestamp() + $1::int8 * interval '1 microsecond'"
               " WHERE state = 2",
};

int key_store_retire(struct cm_pg_tx *tx, int64_t grace_us)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_int8(&params, grace_us);
        return run(tx, &key_retire, &params);
}

static const struct cm_pg_statement key_activate = {
        .name = "key_activate",
        .writes = true,
        .sql = "UPDATE signing_keys SET state = 2, activated_at = clock_timestamp()"
               " WHERE id = $1::text AND state = 1",
};

int key_store_activate(struct cm_pg_tx *tx, struct cm_str id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_text(&params, id);
        return run(tx, &key_activate, &params);
}

static const struct cm_pg_statement key_close = {
        .name = "key_close",
        .writes = true,
        .sql = "UPDATE signing_keys SET state = $2::int2, sealed = NULL,"
               " withdrawn_at = CASE $2::int2 WHEN 4 THEN clock_timestamp() END"
               " WHERE id = $1::text AND state < 4",
};

int key_store_close(struct cm_pg_tx *tx, struct cm_str id, int state)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_text(&params, id);
        cm_pg_put_int2(&params, (int16_t)state);
        return run(tx, &key_close, &params);
}

static const struct cm_pg_statement keys_told = {
        .name = "keys_told",
        .writes = true,
        .sql = "UPDATE signing_keys SET announced_at = clock_timestamp()"
               " WHERE state = 1 AND announced_at IS NULL",
};

int key_store_told(struct cm_pg_tx *tx)
{
        return run(tx, &keys_told, NULL);
}
