#include "memory_store_internal.h"

/* What an index is made of; what was forgotten has an id and a generation only. */
#define CHANGE_COLUMNS                                                                             \
        "id, generation, false, version, content, memory_type, storage_type, user_consent,"        \
        " is_active, is_archived, valid_from, valid_until, updated_at"

static const struct cm_pg_statement generation_statement = {
        .name = "memory_generation",
        .sql = "SELECT generation FROM memory_persons WHERE user_id = $1::uuid",
};

static const struct cm_pg_statement changes_statement = {
        .name = "memory_changes",
        .sql = "SELECT " CHANGE_COLUMNS " FROM memory_items"
               " WHERE user_id = $1::uuid AND generation > $2::int8"
               " UNION ALL SELECT id, generation, true, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
               "  NULL, NULL, NULL FROM memory_forgotten"
               " WHERE user_id = $1 AND generation > $2 LIMIT $3::int4",
};

/* One statement, and so one moment: memories of that generation. A row without memory when there is
 * none. */
static const struct cm_pg_statement check_statement = {
        .name = "memory_check",
        .sql = "SELECT " MEMORY_COLUMNS ", p.generation FROM memory_persons p"
               " LEFT JOIN memory_items m ON m.user_id = p.user_id AND m.id = ANY ($2::uuid[])"
               " WHERE p.user_id = $1::uuid",
};

static const struct cm_pg_statement load_statement = {
        .name = "memory_load",
        .sql = "SELECT " CHANGE_COLUMNS " FROM memory_items"
               " WHERE user_id = $1::uuid AND id > $2::uuid ORDER BY id LIMIT $3::int4",
};

static void read_change(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                        struct memory_change *change_r)
{
        *change_r = (struct memory_change){ .id = cm_pg_uuid(result, row, 0),
                                            .generation = cm_pg_int(result, row, 1),
                                            .is_forgotten = cm_pg_bool(result, row, 2) };
        if (change_r->is_forgotten)
                return;
        change_r->version = cm_pg_int(result, row, 3);
        change_r->content = cm_arena_str(arena, cm_pg_text(result, row, 4));
        change_r->memory_type = (int16_t)cm_pg_int(result, row, 5);
        change_r->storage_type = (int16_t)cm_pg_int(result, row, 6);
        change_r->consent = (uint8_t)cm_pg_int(result, row, 7);
        change_r->is_active = cm_pg_bool(result, row, 8);
        change_r->is_archived = cm_pg_bool(result, row, 9);
        change_r->valid_from = cm_pg_time(result, row, 10);
        change_r->valid_until =
                cm_pg_is_null(result, row, 11) ? INT64_MAX : cm_pg_time(result, row, 11);
        change_r->updated_at = cm_pg_time(result, row, 12);
}

static void read_changes(const struct cm_pg_result *result, struct cm_arena *arena,
                         struct memory_changes *changes_r)
{
        changes_r->count = (size_t)result->rows;
        changes_r->items = cm_arena_array(arena, changes_r->count + 1, sizeof(*changes_r->items));
        for (int i = 0; i < result->rows; i++)
                read_change(result, i, arena, &changes_r->items[i]);
}

int memory_store_check(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                       const struct forgotten_ids *ids, int64_t *generation_r,
                       struct memory_list *memories_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params some = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r;

        cm_pg_put_uuid(&some, user);
        memory_put_ids(&some, ids);
        r = cm_pg_query(pg, &scope, &check_statement, &some, &result);
        *generation_r = r == 0 && result.rows ? cm_pg_int(&result, 0, MEMORY_COLUMN_COUNT) : 0;
        *memories_r = (struct memory_list){ 0 };
        if (r || !*generation_r || cm_pg_is_null(&result, 0, 0))
                return r;
        return memory_rows_read(&result, arena, memories_r);
}

/* The generation first: each statement sees what was committed before it began, so nothing up to
 * that generation is missing from what the other gives. */
int memory_store_catch_up(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          int64_t after, struct memory_changes *changes_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params person = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params since = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result generation = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result changes = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        const struct cm_pg_flight_item items[] = {
                { &generation_statement, &person, &generation },
                { &changes_statement, &since, &changes },
        };
        int r;

        cm_pg_put_uuid(&person, user);
        cm_pg_put_uuid(&since, user);
        cm_pg_put_int8(&since, after);
        cm_pg_put_int4(&since, MEMORY_MAX_BEHIND + 1);
        *changes_r = (struct memory_changes){ 0 };
        r = cm_pg_flight(pg, &scope, items, CM_COUNT(items), NULL);
        if (r)
                return r;
        if (generation.rows)
                changes_r->generation = cm_pg_int(&generation, 0, 0);
        read_changes(&changes, arena, changes_r);
        return 0;
}

int memory_store_generation(struct cm_pg *pg, const struct cm_uuid *user, int64_t *generation_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params person = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r;

        cm_pg_put_uuid(&person, user);
        r = cm_pg_query(pg, &scope, &generation_statement, &person, &result);
        *generation_r = r == 0 && result.rows ? cm_pg_int(&result, 0, 0) : 0;
        return r;
}

int memory_store_load(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_uuid *after, struct memory_changes *changes_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params page = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result changes = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r;

        cm_pg_put_uuid(&page, user);
        cm_pg_put_uuid(&page, after);
        cm_pg_put_int4(&page, MEMORY_LOAD_PAGE);
        *changes_r = (struct memory_changes){ 0 };
        r = cm_pg_query(pg, &scope, &load_statement, &page, &changes);
        if (r == 0)
                read_changes(&changes, arena, changes_r);
        return r;
}
