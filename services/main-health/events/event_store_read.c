#include "event_store_internal.h"
#include "main_health_api.h"

/* The current version is the one that no later one follows. Few events have later versions, and
 * those have an index of their own. Whether $1 has any is asked once; if so, it is asked of each
 * row that is shown. OFFSET is what keeps the server from making a join of that, which it may do by
 * comparing every event of a person with every later version. */
#define IS_CURRENT                                                                                 \
        "((SELECT NOT EXISTS (SELECT FROM health_events n WHERE n.user_id = $1::uuid"              \
        "  AND n.version > 1 ORDER BY n.id OFFSET 0))"                                             \
        " OR NOT EXISTS (SELECT FROM health_events n WHERE n.user_id = e.user_id AND n.id = e.id"  \
        "  AND n.version > e.version AND n.version > 1 ORDER BY n.version OFFSET 0))"

void event_row_read(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                    struct recorded_event *event_r)
{
        *event_r = (struct recorded_event){
                .user_id = cm_pg_uuid(result, row, 0),
                .id = cm_pg_uuid(result, row, 1),
                .version = (int16_t)cm_pg_int(result, row, 2),
                .status = (int16_t)cm_pg_int(result, row, 3),
                .event_type = (int16_t)cm_pg_int(result, row, 4),
                .event_subtype = (int16_t)cm_pg_int(result, row, 5),
                .flags = (int16_t)cm_pg_int(result, row, 6),
                .local_date = cm_pg_date(result, row, 7),
                .occurred_at = cm_pg_time(result, row, 8),
                .ended_at =
                        cm_pg_is_null(result, row, 9) ? EVENT_NO_END : cm_pg_time(result, row, 9),
                .created_at = cm_pg_time(result, row, 10),
                .zone = cm_arena_str(arena, cm_pg_text(result, row, 11)),
                .source = cm_arena_str(arena, cm_pg_text(result, row, 12)),
                .event_data = cm_arena_str(arena, cm_pg_jsonb(result, row, 13)),
                .reason = cm_arena_str(arena, cm_pg_text(result, row, 14)),
        };
}

static void read_list(const struct cm_pg_result *result, struct cm_arena *arena,
                      struct event_list *list_r)
{
        list_r->count = (size_t)result->rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < result->rows; i++)
                event_row_read(result, i, arena, &list_r->items[i]);
}

static int query_list(struct event_store *store, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_pg_statement *statement, const struct cm_pg_params *params,
                      struct event_list *list_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r = cm_pg_query(store->pg, &scope, statement, params, &result);

        if (r == 0)
                read_list(&result, arena, list_r);
        return r;
}

static const struct cm_pg_statement read_statement = {
        .name = "event_read",
        .sql = "SELECT " EVENT_COLUMNS
               " FROM health_events e WHERE user_id = $1::uuid AND id = $2::uuid"
               " ORDER BY version DESC LIMIT 1",
        .by_index = true,
};

int event_store_read(struct event_store *store, struct cm_arena *arena, const struct cm_uuid *user,
                     const struct cm_uuid *id, struct recorded_event *event_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct event_list list;
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = query_list(store, arena, user, &read_statement, &params, &list);
        if (r == 0 && list.count == 0)
                return EVENT_NOT_FOUND;
        if (r == 0)
                *event_r = list.items[0];
        return r;
}

/* As a range, because in one value there is no order that only its index has. */
static const struct cm_pg_statement key_statement = {
        .name = "event_find_key",
        .sql = "SELECT " EVENT_COLUMNS ", e.request_hash FROM health_events e"
               " WHERE user_id = $1::uuid AND request_key >= $2::bytea AND request_key <= $2"
               " ORDER BY request_key",
        .by_index = true,
};

int event_store_find_key(struct event_store *store, struct cm_arena *arena,
                         const struct cm_uuid *user, struct cm_str key, struct cm_str body,
                         struct recorded_event *event_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        struct event_digest key_digest = event_digest(key), body_digest = event_digest(body);
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_bytes(&params, (struct cm_str){ key_digest.bytes, EVENT_DIGEST_SIZE });
        r = cm_pg_query(store->pg, &scope, &key_statement, &params, &result);
        if (r || result.rows == 0)
                return r;
        if (!cm_str_equal(cm_pg_text(&result, 0, EVENT_COLUMN_COUNT),
                          (struct cm_str){ body_digest.bytes, EVENT_DIGEST_SIZE }))
                return EVENT_KEY_REUSED;
        event_row_read(&result, 0, arena, event_r);
        return EVENT_STORED_BEFORE;
}

/*
 * The timeline. One statement for all types and one for a single type, because each has its own
 * index and a plan that serves both would be the worse one for each.
 */
#define LIST_SQL(type_condition)                                                                   \
        "SELECT " EVENT_COLUMNS " FROM health_events e WHERE e.user_id = $1::uuid" type_condition  \
        " AND e.occurred_at >= $2::timestamptz"                                                    \
        " AND (e.occurred_at, e.id) < ($3::timestamptz, $4::uuid)"                                 \
        " AND (e.status <> 3 OR $5::bool) AND " IS_CURRENT                                         \
        " ORDER BY e.occurred_at DESC, e.id DESC LIMIT $6::int4"

static const struct cm_pg_statement list_statement = {
        .name = "event_list",
        .sql = LIST_SQL(""),
        .by_index = true,
};
static const struct cm_pg_statement list_type_statement = {
        .name = "event_list_type",
        .sql = LIST_SQL(" AND e.event_type = $7::int2 AND ($8::int2 = 0 OR e.event_subtype = $8)"),
        .by_index = true,
};

int event_store_list(struct event_store *store, struct cm_arena *arena,
                     const struct event_query *query, struct event_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &query->user);
        cm_pg_put_time(&params, query->from);
        cm_pg_put_time(&params, query->before);
        cm_pg_put_uuid(&params, &query->before_id);
        cm_pg_put_bool(&params, query->include_voided);
        cm_pg_put_int4(&params, query->limit);
        if (query->event_type) {
                cm_pg_put_int2(&params, query->event_type);
                cm_pg_put_int2(&params, query->event_subtype);
        }
        return query_list(store, arena, &query->user,
                          query->event_type ? &list_type_statement : &list_statement, &params,
                          list_r);
}

static const struct cm_pg_statement history_statement = {
        .name = "event_history",
        .sql = "SELECT " EVENT_COLUMNS
               " FROM health_events e WHERE user_id = $1::uuid AND id = $2::uuid"
               " AND version < $3::int2 ORDER BY version DESC LIMIT $4::int4",
        .by_index = true,
};

int event_store_history(struct event_store *store, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct cm_uuid *id,
                        int16_t before_version, int32_t limit, struct event_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        cm_pg_put_int2(&params, before_version);
        cm_pg_put_int4(&params, limit);
        return query_list(store, arena, user, &history_statement, &params, list_r);
}

/*
 * The newest of each kind of vital. What watches measure all day is found among the newest rows of
 * all; what is measured now and then has an index of its own (health_events_rare_vitals), because
 * between two of those may lie a million of the others.
 */
#define RARE_VITALS "e.event_subtype = ANY ('{2,4,6,8,9,10,11,18,19,21,23,24,27,28,29,30}'::int2[])"
static const struct cm_pg_statement latest_statement = {
        .name = "event_latest_vitals",
        .sql = "(SELECT DISTINCT ON (e.event_subtype) " EVENT_COLUMNS
               " FROM (SELECT * FROM health_events WHERE user_id = $1::uuid AND event_type = 5"
               "  ORDER BY occurred_at DESC, id DESC LIMIT 2000) AS e"
               " WHERE NOT " RARE_VITALS " AND e.status <> 3 AND " IS_CURRENT
               " ORDER BY e.event_subtype, e.occurred_at DESC, e.id DESC)"
               " UNION ALL (SELECT " EVENT_COLUMNS
               " FROM unnest('{2,4,6,8,9,10,11,18,19,21,23,24,27,28,29,30}'::int2[]) AS kind"
               " CROSS JOIN LATERAL (SELECT * FROM health_events e WHERE e.user_id = $1::uuid"
               "  AND e.event_type = 5 AND e.event_subtype = kind AND " RARE_VITALS
               "  AND e.status <> 3 AND " IS_CURRENT
               "  ORDER BY e.occurred_at DESC, e.id DESC LIMIT 1) AS e)",
        .by_index = true,
};
_Static_assert(HEALTH_EVENT_TYPE_VITAL == 5 && VITAL_SUBTYPE_RESTING_HEART_RATE == 2 &&
                       VITAL_SUBTYPE_LEAN_BODY_MASS == 30,
               "the numbers in the index of rare vitals");

int event_store_latest_vitals(struct event_store *store, struct cm_arena *arena,
                              const struct cm_uuid *user, struct event_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user);
        return query_list(store, arena, user, &latest_statement, &params, list_r);
}

/*
 * Local days, in whatever zones they were lived: instants from UTC+14 to UTC-12, a day more before
 * it for nights that began on the day before. By time first, which has an index.
 */
static const struct cm_pg_statement days_statement = {
        .name = "event_days",
        .sql = "SELECT " EVENT_COLUMNS
               " FROM (SELECT * FROM health_events e WHERE user_id = $1::uuid"
               "  AND local_date BETWEEN $2::date AND $3::date AND status <> 3"
               "  AND occurred_at >= $4::timestamptz AND occurred_at < $5::timestamptz"
               "  AND " IS_CURRENT " ORDER BY occurred_at, id OFFSET 0) AS e"
               " ORDER BY local_date, occurred_at, id",
        .by_index = true,
};

int event_store_days(struct event_store *store, struct cm_arena *arena, const struct cm_uuid *user,
                     cm_date from, cm_date to, struct event_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user);
        cm_pg_put_date(&params, from);
        cm_pg_put_date(&params, to);
        cm_pg_put_time(&params, (from - 2) * CM_DAY);
        cm_pg_put_time(&params, (to + 2) * CM_DAY);
        return query_list(store, arena, user, &days_statement, &params, list_r);
}

/* By the index of types, so vitals, which are many, are not read. */
_Static_assert(HEALTH_EVENT_TYPE_NOTE == 8, "all types are asked for");
static const struct cm_pg_statement own_days_statement = {
        .name = "event_own_days",
        .sql = "SELECT DISTINCT local_date FROM health_events e WHERE user_id = $1::uuid"
               " AND event_type = ANY ($2::int2[]) AND status <> 3 AND " IS_CURRENT
               " ORDER BY local_date DESC",
};

int event_store_own_days(struct event_store *store, struct cm_arena *arena,
                         const struct cm_uuid *user, cm_date **days_r, size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_array_begin(&params, CM_PG_INT2_ARRAY);
        for (int type = 1; type <= HEALTH_EVENT_TYPE_NOTE; type++)
                if (type != HEALTH_EVENT_TYPE_VITAL)
                        cm_pg_array_int(&params, type);
        cm_pg_array_end(&params);
        r = cm_pg_query(store->pg, &scope, &own_days_statement, &params, &result);
        if (r)
                return r;
        *count_r = (size_t)result.rows;
        *days_r = cm_arena_array(arena, *count_r + 1, sizeof(**days_r));
        for (int i = 0; i < result.rows; i++)
                (*days_r)[i] = cm_pg_date(&result, i, 0);
        return 0;
}
