#include "base/error.h"
#include "bus/outbox.h"
#include "memory_store_internal.h"

/*
 * Rows go for good, the ids stay for the indexes of other workers and replicas. When all of a
 * person goes, the generation jumps over what an index can catch up with, so that each makes itself
 * anew, of nothing.
 */
static const struct cm_pg_statement forget_statement = {
        .name = "memory_forget",
        .writes = true,
        .sql = "WITH gone AS (DELETE FROM memory_items WHERE user_id = $1::uuid"
               "  AND id = ANY ($2::uuid[]) RETURNING id, content"
               "), person AS (UPDATE memory_persons SET items = items - (SELECT count(*) FROM gone)"
               "  WHERE user_id = $1 RETURNING generation"
               "), noted AS (INSERT INTO memory_forgotten"
               "  (user_id, generation, id, request_key, request_hash)"
               "  SELECT $1, person.generation, gone.id, $4::bytea, $5::bytea FROM gone, person"
               "), pruned AS (DELETE FROM memory_forgotten f USING person WHERE f.user_id = $1"
               "  AND f.generation <= person.generation - $3::int8"
               ") SELECT id, content FROM gone",
};

static const struct cm_pg_statement before_statement = {
        .name = "memory_forgotten_before",
        .sql = "SELECT id, request_hash FROM memory_forgotten"
               " WHERE user_id = $1::uuid AND request_key = $2::bytea",
};

static const struct cm_pg_statement unlink_statement = {
        .name = "memory_unlink",
        .writes = true,
        .sql = "UPDATE memory_items SET superseded_by = NULL, version = version + 1,"
               " generation = (SELECT generation FROM memory_persons WHERE user_id = $1::uuid)"
               " WHERE user_id = $1 AND superseded_by = ANY ($2::uuid[])",
};

static const struct cm_pg_statement forget_all_statement = {
        .name = "memory_forget_all",
        .writes = true,
        .sql = "WITH gone AS (DELETE FROM memory_items WHERE user_id = $1::uuid RETURNING id"
               "), notes AS (DELETE FROM memory_forgotten WHERE user_id = $1"
               "), person AS (UPDATE memory_persons SET items = 0,"
               "  generation = generation + $2::int8 WHERE user_id = $1 RETURNING generation"
               ") SELECT count(*), (SELECT generation FROM person) FROM gone",
};

static int next_generation(struct cm_pg_tx *tx, const struct cm_uuid *user, int64_t *generation_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        r = cm_pg_tx_query(tx, &memory_next_generation, &params, &result);
        if (r == 0)
                *generation_r = cm_pg_int(&result, 0, 0);
        return r;
}

static int begin(struct cm_pg *pg, const struct cm_uuid *user, struct cm_pg_tx **tx_r,
                 int64_t *generation_r)
{
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r = cm_pg_begin(pg, &scope, tx_r);

        return r ? r : next_generation(*tx_r, user, generation_r);
}

static int tell(struct cm_pg_tx *tx, int64_t count, const struct forgotten_ids *ids,
                memory_forgotten_fn *make, void *arg)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct cm_event event;

        if (count == 0)
                return 0;
        make(arg, count, ids, &event);
        cm_outbox_params(&event, 1, &params);
        return cm_pg_tx_query(tx, &cm_outbox_insert, &params, NULL);
}

static void put_ids(struct cm_pg_params *params, const struct cm_uuid *user,
                    const struct forgotten_ids *ids)
{
        cm_pg_put_uuid(params, user);
        memory_put_ids(params, ids);
}

/* 0: not before. */
static int find_before(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *user,
                       const struct forget_key *key, struct forgotten_ids *gone_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        struct key_digest space;
        int r;

        if (!key->key.data)
                return 0;
        cm_pg_put_uuid(&params, user);
        cm_pg_put_bytes(&params, memory_key_digest(key->key, &space));
        r = cm_pg_tx_query(tx, &before_statement, &params, &result);
        if (r || result.rows == 0)
                return r;
        if (!cm_str_equal(cm_pg_text(&result, 0, 1), memory_key_digest(key->body, &space)))
                return MEMORY_KEY_REUSED;
        gone_r->count = (size_t)result.rows;
        gone_r->items = cm_arena_array(arena, gone_r->count + 1, sizeof(*gone_r->items));
        for (int i = 0; i < result.rows; i++)
                gone_r->items[i] = cm_pg_uuid(&result, i, 0);
        return MEMORY_STORED_BEFORE;
}

static void put_forget(const struct cm_uuid *user, const struct forgotten_ids *ids,
                       const struct forget_key *key, struct cm_pg_params *params)
{
        struct key_digest space;

        put_ids(params, user, ids);
        cm_pg_put_int8(params, MEMORY_MAX_BEHIND);
        cm_pg_put_bytes(params, memory_key_digest(key->key, &space));
        cm_pg_put_bytes(params, key->key.data ? memory_key_digest(key->body, &space) : CM_STR_NONE);
}

static int remove_rows(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *user,
                       const struct forgotten_ids *ids, const struct forget_key *key,
                       struct forgotten_ids *gone_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params links = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        put_forget(user, ids, key, &params);
        r = cm_pg_tx_query(tx, &forget_statement, &params, &result);
        if (r)
                return r;
        gone_r->count = (size_t)result.rows;
        gone_r->items = cm_arena_array(arena, gone_r->count + 1, sizeof(*gone_r->items));
        gone_r->texts = cm_arena_array(arena, gone_r->count + 1, sizeof(*gone_r->texts));
        for (int i = 0; i < result.rows; i++) {
                gone_r->items[i] = cm_pg_uuid(&result, i, 0);
                gone_r->texts[i] = cm_arena_str(arena, cm_pg_text(&result, i, 1));
        }
        if (gone_r->count == 0)
                return 0;
        put_ids(&links, user, gone_r);
        return cm_pg_tx_query(tx, &unlink_statement, &links, NULL);
}

int memory_store_forget(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                        const struct forgotten_ids *ids, const struct forget_key *key,
                        memory_forgotten_fn *make, void *arg, struct forgotten_ids *gone_r,
                        int64_t *generation_r)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r;

        *gone_r = (struct forgotten_ids){ 0 };
        r = begin(pg, user, &tx, generation_r);
        if (r == 0)
                r = find_before(tx, arena, user, key, gone_r);
        if (r == MEMORY_STORED_BEFORE || r == MEMORY_KEY_REUSED)
                return r;
        if (r == 0)
                r = remove_rows(tx, arena, user, ids, key, gone_r);
        if (r == 0)
                r = tell(tx, (int64_t)gone_r->count, gone_r, make, arg);
        if (r == 0)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

int memory_store_forget_all_in(struct cm_pg_tx *tx, const struct cm_uuid *user,
                               memory_forgotten_fn *make, void *arg, int64_t *count_r,
                               int64_t *generation_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = next_generation(tx, user, generation_r);

        cm_pg_put_uuid(&params, user);
        cm_pg_put_int8(&params, MEMORY_MAX_BEHIND + 1);
        if (r == 0)
                r = cm_pg_tx_query(tx, &forget_all_statement, &params, &result);
        if (r)
                return r;
        *count_r = cm_pg_int(&result, 0, 0);
        *generation_r = cm_pg_int(&result, 0, 1);
        return tell(tx, *count_r, NULL, make, arg);
}

int memory_store_forget_all(struct cm_pg *pg, const struct cm_uuid *user, memory_forgotten_fn *make,
                            void *arg, int64_t *count_r, int64_t *generation_r)
{
        const struct cm_pg_scope scope = { user, 1, NULL };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(pg, &scope, &tx);

        *count_r = 0;
        if (r == 0)
                r = memory_store_forget_all_in(tx, user, make, arg, count_r, generation_r);
        if (r == 0)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}
