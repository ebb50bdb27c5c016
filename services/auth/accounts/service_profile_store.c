#include "service_profile_store.h"

#include "base/error.h"

#define SCOPE_OF(user_id) (&(const struct cm_pg_scope){ (user_id), 1, NULL })
#define COLUMNS                                                                                    \
        "id, user_id, service_type, service_preferences, service_metadata, usage_stats,"           \
        " created_at, updated_at, last_used_at"

static void read_profile(const struct cm_pg_result *rows, int row, struct cm_arena *arena,
                         struct service_profile *profile_r)
{
        *profile_r = (struct service_profile){
                .id = cm_pg_uuid(rows, row, 0),
                .user_id = cm_pg_uuid(rows, row, 1),
                .service_type = (int32_t)cm_pg_int(rows, row, 2),
                .service_preferences = cm_arena_str(arena, cm_pg_jsonb(rows, row, 3)),
                .service_metadata = cm_arena_str(arena, cm_pg_jsonb(rows, row, 4)),
                .usage_stats = cm_arena_str(arena, cm_pg_jsonb(rows, row, 5)),
                .created_at = cm_pg_time(rows, row, 6),
                .updated_at = cm_pg_time(rows, row, 7),
                .last_used_at = cm_pg_time(rows, row, 8),
                .has_last_used_at = cm_pg_is_null(rows, row, 8) ? CM_ABSENT : CM_PRESENT,
        };
}

static int no_outcome(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement list_profiles = {
        .name = "service_profile_list",
        .sql = "SELECT " COLUMNS " FROM user_service_profiles WHERE user_id = $1::uuid"
               " AND ($2::int2 = 0 OR service_type = $2::int2) ORDER BY service_type",
};

int service_profile_store_list(struct cm_pg *pg, struct cm_arena *arena,
                               const struct cm_uuid *user_id, int32_t service_type,
                               struct service_profile_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_int2(&params, (int16_t)service_type);
        r = cm_pg_query(pg, SCOPE_OF(user_id), &list_profiles, &params, &rows);
        if (r)
                return no_outcome(r);
        list_r->items.count = (size_t)rows.rows;
        list_r->items.items =
                cm_arena_array(arena, list_r->items.count + 1, sizeof(*list_r->items.items));
        for (int i = 0; i < rows.rows; i++)
                read_profile(&rows, i, arena, &list_r->items.items[i]);
        return 0;
}

static const struct cm_pg_statement put_profile = {
        .name = "service_profile_put",
        .writes = true,
        .sql = "INSERT INTO user_service_profiles AS p (id, user_id, service_type,"
               "   service_preferences, service_metadata, usage_stats, last_used_at)"
               " VALUES ($1::uuid, $2::uuid, $3::int2, $4::jsonb, $5::jsonb, $6::jsonb,"
               "   $7::timestamptz)"
               " ON CONFLICT (user_id, service_type) DO UPDATE SET"
               "   service_preferences = excluded.service_preferences,"
               "   service_metadata = excluded.service_metadata,"
               "   usage_stats = excluded.usage_stats, last_used_at = excluded.last_used_at,"
               "   updated_at = now()"
               " RETURNING " COLUMNS,
};

static void put_object(struct cm_pg_params *params, struct cm_str object, uint8_t has)
{
        cm_pg_put_jsonb(params, has == CM_PRESENT ? object : CM_STR("{}"));
}

int service_profile_store_put(struct cm_pg *pg, struct cm_arena *arena,
                              const struct cm_uuid *user_id, int32_t service_type,
                              const struct service_profile_input *in,
                              struct service_profile *profile_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct cm_uuid id = cm_uuid7(cm_now(&cm_clock_system));
        int r;

        cm_pg_put_uuid(&params, &id);
        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_int2(&params, (int16_t)service_type);
        put_object(&params, in->service_preferences, in->has_service_preferences);
        put_object(&params, in->service_metadata, in->has_service_metadata);
        put_object(&params, in->usage_stats, in->has_usage_stats);
        if (in->has_last_used_at == CM_PRESENT)
                cm_pg_put_time(&params, in->last_used_at);
        else
                cm_pg_put_null(&params);
        r = cm_pg_query(pg, SCOPE_OF(user_id), &put_profile, &params, &rows);
        if (r || !rows.rows)
                return r < 0 ? r : -CM_E_DATABASE;
        read_profile(&rows, 0, arena, profile_r);
        return 0;
}

static const struct cm_pg_statement delete_profile = {
        .name = "service_profile_delete",
        .writes = true,
        .sql = "DELETE FROM user_service_profiles WHERE user_id = $1::uuid"
               " AND service_type = $2::int2",
};

int service_profile_store_delete(struct cm_pg *pg, const struct cm_uuid *user_id,
                                 int32_t service_type)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_int2(&params, (int16_t)service_type);
        return no_outcome(cm_pg_query(pg, SCOPE_OF(user_id), &delete_profile, &params, NULL));
}
