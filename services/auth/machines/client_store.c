#include "client_store.h"

#include "base/error.h"

static int no_outcome(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

/* "{1,2}" */
static void read_scopes(struct cm_str text, struct cm_arena *arena, int32_t **items_r,
                        size_t *count_r)
{
        struct cm_str one;
        int64_t value;

        *items_r = cm_arena_array(arena, text.len + 1, sizeof(**items_r));
        *count_r = 0;
        if (text.len < 2)
                return;
        text = (struct cm_str){ text.data + 1, text.len - 2 };
        while (cm_str_split(&text, ',', &one))
                if (cm_str_to_int(one, &value))
                        (*items_r)[(*count_r)++] = (int32_t)value;
}

/* ---- reading */

static const struct cm_pg_statement list_clients = {
        .name = "client_list",
        .sql = "SELECT c.id, c.name, c.scopes::text, c.audience, c.enabled, c.created_at,"
               "       s.id, s.created_at, s.last_used_at"
               " FROM clients c LEFT JOIN client_secrets s"
               "   ON s.client_id = c.id AND s.ended_at IS NULL"
               " WHERE c.tenant_id = (SELECT acting_tenant())"
               "   AND ($1::uuid IS NULL OR c.id = $1::uuid)"
               " ORDER BY c.name, c.id, s.id LIMIT 400",
};

static void read_client(const struct cm_pg_result *rows, int row, struct cm_arena *arena,
                        struct client *client_r)
{
        *client_r = (struct client){
                .id = cm_pg_uuid(rows, row, 0),
                .name = cm_arena_str(arena, cm_pg_text(rows, row, 1)),
                .audience = cm_arena_str(arena, cm_pg_text(rows, row, 3)),
                .has_audience = cm_pg_is_null(rows, row, 3) ? CM_ABSENT : CM_PRESENT,
                .enabled = cm_pg_bool(rows, row, 4),
                .created_at = cm_pg_time(rows, row, 5),
        };
        read_scopes(cm_pg_text(rows, row, 2), arena, &client_r->scopes.items,
                    &client_r->scopes.count);
        client_r->secrets.items = cm_arena_array(arena, 2, sizeof(*client_r->secrets.items));
}

static void add_secret_info(const struct cm_pg_result *rows, int row, struct client *client)
{
        if (cm_pg_is_null(rows, row, 6) || client->secrets.count == 2)
                return;
        client->secrets.items[client->secrets.count++] = (struct client_secret_info){
                .id = cm_pg_uuid(rows, row, 6),
                .created_at = cm_pg_time(rows, row, 7),
                .last_used_at = cm_pg_time(rows, row, 8),
                .has_last_used_at = cm_pg_is_null(rows, row, 8) ? CM_ABSENT : CM_PRESENT,
        };
}

int client_store_list(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                      const struct cm_uuid *id, struct client_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct client *last = NULL;
        int r;

        cm_pg_put_uuid(&params, id);
        r = cm_pg_query(pg, scope, &list_clients, &params, &rows);
        if (r)
                return no_outcome(r);
        list_r->items.items =
                cm_arena_array(arena, (size_t)rows.rows + 1, sizeof(*list_r->items.items));
        for (int i = 0; i < rows.rows; i++) {
                struct cm_uuid one = cm_pg_uuid(&rows, i, 0);

                if (!last || !cm_uuid_equal(&last->id, &one)) {
                        last = &list_r->items.items[list_r->items.count++];
                        read_client(&rows, i, arena, last);
                }
                add_secret_info(&rows, i, last);
        }
        return 0;
}

/* ---- changing */

static const struct cm_pg_statement insert_client = {
        .name = "client_insert",
        .writes = true,
        .sql = "INSERT INTO clients (id, tenant_id, name, scopes, audience)"
               " VALUES ($1::uuid, $2::uuid, $3::text, $4::int2[], $5::text)",
};

int client_store_insert(struct cm_pg_tx *tx, const struct cm_uuid *tenant, const struct cm_uuid *id,
                        const struct new_client *in)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, id);
        cm_pg_put_uuid(&params, tenant);
        cm_pg_put_text(&params, in->name);
        cm_pg_array_begin(&params, CM_PG_INT2_ARRAY);
        for (size_t i = 0; i < in->scopes.count; i++)
                cm_pg_array_int(&params, in->scopes.items[i]);
        cm_pg_array_end(&params);
        cm_pg_put_text(&params, in->has_audience == CM_PRESENT ? in->audience : CM_STR_NONE);
        r = cm_pg_tx_query(tx, &insert_client, &params, NULL);
        return r == CM_PG_DUPLICATE ? CLIENT_NAME_TAKEN : no_outcome(r);
}

static const struct cm_pg_statement lock_client = {
        .name = "client_lock",
        .sql = "SELECT enabled FROM clients WHERE id = $1::uuid FOR UPDATE",
};

int client_store_lock(struct cm_pg_tx *tx, const struct cm_uuid *id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, id);
        r = cm_pg_tx_query(tx, &lock_client, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return CLIENT_NOT_FOUND;
        return cm_pg_bool(&rows, 0, 0) ? 0 : CLIENT_DISABLED;
}

/* Counted under the client's lock. */
static const struct cm_pg_statement insert_secret = {
        .name = "client_secret_insert",
        .writes = true,
        .sql = "INSERT INTO client_secrets (id, client_id, digest)"
               " SELECT $1::uuid, $2::uuid, $3::bytea WHERE (SELECT count(*) FROM client_secrets"
               "   WHERE client_id = $2::uuid AND ended_at IS NULL) < 2 RETURNING id",
};

int client_store_add_secret(struct cm_pg_tx *tx, const struct client_secret_record *secret)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, &secret->id);
        cm_pg_put_uuid(&params, &secret->client_id);
        cm_pg_put_bytes(&params,
                        (struct cm_str){ (const char *)secret->digest, sizeof(secret->digest) });
        r = cm_pg_tx_query(tx, &insert_secret, &params, &rows);
        if (r)
                return no_outcome(r);
        return rows.rows ? 0 : CLIENT_HAS_TWO_SECRETS;
}

static const struct cm_pg_statement end_secrets = {
        .name = "client_secrets_end",
        .writes = true,
        .sql = "UPDATE client_secrets SET ended_at = now() WHERE client_id = $1::uuid"
               " AND ended_at IS NULL AND ($2::uuid IS NULL OR id = $2::uuid) RETURNING id, "
               "ended_at",
};

int client_store_end_secrets(struct cm_pg_tx *tx, struct cm_arena *arena,
                             const struct cm_uuid *client_id, const struct cm_uuid *secret_id,
                             struct ended_sessions *ended_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, client_id);
        cm_pg_put_uuid(&params, secret_id);
        r = cm_pg_tx_query(tx, &end_secrets, &params, &rows);
        if (r)
                return no_outcome(r);
        ended_r->count = (size_t)rows.rows;
        ended_r->items = cm_arena_array(arena, ended_r->count + 1, sizeof(*ended_r->items));
        for (int i = 0; i < rows.rows; i++)
                ended_r->items[i] =
                        (struct ended_session){ cm_pg_uuid(&rows, i, 0), cm_pg_time(&rows, i, 1) };
        return 0;
}

static const struct cm_pg_statement disable_client = {
        .name = "client_disable",
        .writes = true,
        .sql = "UPDATE clients SET enabled = false WHERE id = $1::uuid",
};

int client_store_disable(struct cm_pg_tx *tx, const struct cm_uuid *id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, id);
        return no_outcome(cm_pg_tx_query(tx, &disable_client, &params, NULL));
}

/* ---- a machine that shows its secret */

static const struct cm_pg_statement take = {
        .name = "client_take",
        .writes = true,
        .sql = "UPDATE client_secrets s SET last_used_at = now() FROM clients c"
               " WHERE s.client_id = $1::uuid AND c.id = s.client_id AND s.digest = $2::bytea"
               "   AND s.ended_at IS NULL AND c.enabled"
               " RETURNING s.id, c.tenant_id, c.scopes::text, c.audience",
};

int client_store_take(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *client_id,
                      const uint8_t digest[CM_SHA256_SIZE], struct client_grant *grant_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, client_id);
        cm_pg_put_bytes(&params, (struct cm_str){ (const char *)digest, CM_SHA256_SIZE });
        r = cm_pg_tx_query(tx, &take, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return CLIENT_NOT_FOUND;
        grant_r->secret_id = cm_pg_uuid(&rows, 0, 0);
        grant_r->tenant_id = cm_pg_uuid(&rows, 0, 1);
        read_scopes(cm_pg_text(&rows, 0, 2), arena, &grant_r->scopes, &grant_r->scope_count);
        grant_r->audience = cm_arena_str(arena, cm_pg_text(&rows, 0, 3));
        return 0;
}
