#include "tenant_store.h"

#include "base/error.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

static const struct cm_pg_statement list_tenants = {
        .name = "tenants_list",
        .sql = "SELECT t.id, t.name, t.is_default, t.created_at,"
               "   (SELECT count(*) FROM users u WHERE u.tenant_id = t.id AND u.status <> 3)"
               " FROM tenants t ORDER BY t.created_at, t.id",
};

int tenant_store_list(struct cm_pg *pg, struct cm_arena *arena, struct tenant_list *list_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_query(pg, &service_scope, &list_tenants, NULL, &rows);

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        list_r->count = (size_t)rows.rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < rows.rows; i++)
                list_r->items[i] = (struct tenant){
                        .id = cm_pg_uuid(&rows, i, 0),
                        .name = cm_arena_str(arena, cm_pg_text(&rows, i, 1)),
                        .is_default = cm_pg_bool(&rows, i, 2),
                        .created_at = cm_pg_time(&rows, i, 3),
                        .people = cm_pg_int(&rows, i, 4),
                };
        return 0;
}

static const struct cm_pg_statement insert_tenant = {
        .name = "tenant_insert",
        .writes = true,
        .sql = "INSERT INTO tenants (id, name) VALUES ($1::uuid, $2::text)",
};

int tenant_store_insert(struct cm_pg_tx *tx, const struct cm_uuid *id, struct cm_str name)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, id);
        cm_pg_put_text(&params, name);
        r = cm_pg_tx_query(tx, &insert_tenant, &params, NULL);
        if (r == CM_PG_DUPLICATE)
                return TENANT_NAME_TAKEN;
        return r > 0 ? -CM_E_DATABASE : r;
}
