#include "flag_store.h"

#include "base/error.h"

enum { MAX_FLAGS = 200 }; /* as FlagList in the contract */

#define COLUMNS "key, description, enabled, share, users::text, version, created_at, updated_at"

static int no_outcome(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- rows */

/* "{uuid,uuid}", as an array of uuids is written. */
static void read_users(struct cm_str text, struct cm_arena *arena, struct cm_uuid **items_r,
                       size_t *count_r)
{
        struct cm_str one;

        *items_r = cm_arena_array(arena, text.len / 36 + 1, sizeof(**items_r));
        *count_r = 0;
        if (text.len < 2)
                return;
        text = (struct cm_str){ text.data + 1, text.len - 2 };
        while (cm_str_split(&text, ',', &one))
                if (cm_uuid_parse(one, &(*items_r)[*count_r]))
                        ++*count_r;
}

static void read_flag(const struct cm_pg_result *rows, int row, struct cm_arena *arena,
                      struct flag *flag_r)
{
        *flag_r = (struct flag){
                .key = cm_arena_str(arena, cm_pg_text(rows, row, 0)),
                .description = cm_arena_str(arena, cm_pg_text(rows, row, 1)),
                .has_description = cm_pg_is_null(rows, row, 1) ? CM_ABSENT : CM_PRESENT,
                .enabled = cm_pg_bool(rows, row, 2),
                .share = cm_pg_real(rows, row, 3),
                .version = cm_pg_int(rows, row, 5),
                .created_at = cm_pg_time(rows, row, 6),
                .updated_at = cm_pg_time(rows, row, 7),
        };
        read_users(cm_pg_text(rows, row, 4), arena, &flag_r->users.items, &flag_r->users.count);
}

/* ---- reading */

static const struct cm_pg_statement list_flags = {
        .name = "flag_list",
        .sql = "SELECT " COLUMNS " FROM feature_flags WHERE tenant_id = (SELECT acting_tenant())"
               " ORDER BY key",
};

int flag_store_list(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                    struct flag_list *list_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_query(pg, scope, &list_flags, NULL, &rows);

        if (r)
                return no_outcome(r);
        list_r->items.count = (size_t)rows.rows;
        list_r->items.items =
                cm_arena_array(arena, list_r->items.count + 1, sizeof(*list_r->items.items));
        for (int i = 0; i < rows.rows; i++)
                read_flag(&rows, i, arena, &list_r->items.items[i]);
        return 0;
}

static const struct cm_pg_statement read_one = {
        .name = "flag_read",
        .sql = "SELECT " COLUMNS " FROM feature_flags"
               " WHERE tenant_id = (SELECT acting_tenant()) AND key = $1::text",
};

int flag_store_read(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                    struct cm_str key, struct flag *flag_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_text(&params, key);
        r = cm_pg_query(pg, scope, &read_one, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return FLAG_NOT_FOUND;
        read_flag(&rows, 0, arena, flag_r);
        return 0;
}

/* ---- writing */

/* Its row's lock is what changes of a tenant wait for. The clock makes it grow even over a database
 * that was brought back from a backup, so Redis takes what comes after. */
static const struct cm_pg_statement count_up = {
        .name = "flag_revision",
        .writes = true,
        .sql = "INSERT INTO feature_flag_revisions AS r (tenant_id, revision)"
               " VALUES ($1::uuid, (extract(epoch FROM clock_timestamp()) * 1000000)::int8)"
               " ON CONFLICT (tenant_id) DO UPDATE"
               " SET revision = greatest(r.revision + 1, excluded.revision)",
};

static const struct cm_pg_statement find_version = {
        .name = "flag_version",
        .sql = "SELECT coalesce(max(version) FILTER (WHERE key = $2::text), 0), count(*)"
               " FROM feature_flags WHERE tenant_id = $1::uuid",
};

int flag_store_lock(struct cm_pg_tx *tx, const struct cm_uuid *tenant, struct cm_str key,
                    int64_t *version_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params which = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, tenant);
        cm_pg_put_uuid(&which, tenant);
        cm_pg_put_text(&which, key);
        r = cm_pg_tx_query(tx, &count_up, &params, NULL);
        if (!r)
                r = cm_pg_tx_query(tx, &find_version, &which, &rows);
        if (r || !rows.rows)
                return r < 0 ? r : -CM_E_DATABASE;
        *version_r = cm_pg_int(&rows, 0, 0);
        return !*version_r && cm_pg_int(&rows, 0, 1) >= MAX_FLAGS ? FLAG_TOO_MANY : 0;
}

static const struct cm_pg_statement put_flag = {
        .name = "flag_put",
        .writes = true,
        .sql = "INSERT INTO feature_flags AS f (tenant_id, key, description, enabled, share, users)"
               " VALUES ($1::uuid, $2::text, $3::text, $4::bool, $5::text::float8, $6::uuid[])"
               " ON CONFLICT (tenant_id, key) DO UPDATE SET description = excluded.description,"
               "   enabled = excluded.enabled, share = excluded.share, users = excluded.users,"
               "   version = f.version + 1, updated_at = now()"
               " RETURNING " COLUMNS,
};

int flag_store_put(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *tenant,
                   struct cm_str key, const struct flag_rule *rule, struct flag *flag_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        size_t count = rule->has_users == CM_PRESENT ? rule->users.count : 0;
        int r;

        cm_pg_put_uuid(&params, tenant);
        cm_pg_put_text(&params, key);
        cm_pg_put_text(&params,
                       rule->has_description == CM_PRESENT ? rule->description : CM_STR_NONE);
        cm_pg_put_bool(&params, rule->enabled);
        cm_pg_put_text(&params, cm_arena_printf(arena, "%.17g", rule->share));
        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(&params, &rule->users.items[i]);
        cm_pg_array_end(&params);
        r = cm_pg_tx_query(tx, &put_flag, &params, &rows);
        if (r || !rows.rows)
                return r < 0 ? r : -CM_E_DATABASE;
        read_flag(&rows, 0, arena, flag_r);
        return 0;
}

static const struct cm_pg_statement delete_flag = {
        .name = "flag_delete",
        .writes = true,
        .sql = "DELETE FROM feature_flags WHERE tenant_id = (SELECT acting_tenant())"
               " AND key = $1::text",
};

int flag_store_delete(struct cm_pg_tx *tx, struct cm_str key)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_text(&params, key);
        return no_outcome(cm_pg_tx_query(tx, &delete_flag, &params, NULL));
}

/* ---- for the other services */

static const struct cm_pg_statement published = {
        .name = "flag_published",
        .sql = "SELECT r.tenant_id, r.revision, f.key, f.enabled, f.share, f.users::text"
               " FROM feature_flag_revisions r LEFT JOIN feature_flags f USING (tenant_id)"
               " WHERE $1::uuid IS NULL OR r.tenant_id = $1::uuid ORDER BY r.tenant_id, f.key",
};

static void add_flag(const struct cm_pg_result *rows, int row, struct cm_arena *arena,
                     struct published_flags *set)
{
        struct flag_set_item *flag = &set->set.items.items[set->set.items.count];

        if (cm_pg_is_null(rows, row, 2))
                return;
        *flag = (struct flag_set_item){
                .key = cm_arena_str(arena, cm_pg_text(rows, row, 2)),
                .enabled = cm_pg_bool(rows, row, 3),
                .share = cm_pg_real(rows, row, 4),
        };
        read_users(cm_pg_text(rows, row, 5), arena, &flag->users.items, &flag->users.count);
        set->set.items.count++;
}

int flag_store_published(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *tenant,
                         struct published_flags **sets_r, size_t *count_r)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct published_flags *set = NULL;
        int r;

        cm_pg_put_uuid(&params, tenant);
        r = cm_pg_query(pg, &service_scope, &published, &params, &rows);
        if (r)
                return no_outcome(r);
        *sets_r = cm_arena_array(arena, (size_t)rows.rows + 1, sizeof(**sets_r));
        *count_r = 0;
        for (int i = 0; i < rows.rows; i++) {
                struct cm_uuid one = cm_pg_uuid(&rows, i, 0);

                if (!set || !cm_uuid_equal(&set->tenant, &one)) {
                        set = &(*sets_r)[(*count_r)++];
                        *set = (struct published_flags){ .tenant = one,
                                                         .revision = cm_pg_int(&rows, i, 1) };
                        set->set.items.items =
                                cm_arena_array(arena, MAX_FLAGS, sizeof(*set->set.items.items));
                }
                add_flag(&rows, i, arena, set);
        }
        return 0;
}
