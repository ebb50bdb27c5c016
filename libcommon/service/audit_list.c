#include "service/audit_list.h"

/*
 * $1 user, $2 actor, $3 since, $4 until, $5 before, $6 limit, $7 action; each NULL for any where it
 * may be.
 *
 * Positions grow with time, but for the length of a request: the heads say between which positions
 * a time lies, so that what is long ago is not reached by going through all that came later.
 */
#define COLUMNS                                                                                    \
        "position, at, actor, user_id, action, target, outcome, method, reason, ip, user_agent,"   \
        " request_id"
#define BOUNDS                                                                                     \
        " AND position < $5::int8 AND at >= $3::timestamptz AND at < $4::timestamptz"              \
        " AND position > coalesce((SELECT last_position FROM audit_heads"                          \
        "   WHERE sealed_at < $3 - interval '1 minute' ORDER BY sealed_at DESC LIMIT 1), 0)"       \
        " AND position <= coalesce((SELECT last_position FROM audit_heads"                         \
        "   WHERE sealed_at > $4 + interval '1 minute' ORDER BY sealed_at LIMIT 1),"               \
        "  9223372036854775807)"
#define NEWEST " ORDER BY position DESC LIMIT $6::int4"

static const struct cm_pg_statement by_user = {
        .name = "audit_list_user",
        .by_index = true,
        .sql = "SELECT " COLUMNS " FROM audit_log WHERE user_id = $1::uuid"
               " AND ($2::uuid IS NULL OR actor = $2) AND ($7::text IS NULL OR action = $7)" BOUNDS
                       NEWEST,
};

/* One's own acts stand under oneself, those on others in the index of actors. */
static const struct cm_pg_statement by_actor = {
        .name = "audit_list_actor",
        .sql = "SELECT * FROM ((SELECT " COLUMNS " FROM audit_log WHERE $1::uuid IS NULL"
               " AND user_id = $2::uuid AND actor = $2 AND ($7::text IS NULL OR action = $7)" BOUNDS
                       NEWEST ") UNION ALL (SELECT " COLUMNS " FROM audit_log"
               " WHERE actor = $2 AND actor IS DISTINCT FROM user_id"
               " AND ($7 IS NULL OR action = $7)" BOUNDS NEWEST ")) both_kinds" NEWEST,
};

static const struct cm_pg_statement by_action = {
        .name = "audit_list_action",
        .by_index = true,
        .sql = "SELECT " COLUMNS " FROM audit_log WHERE $1::uuid IS NULL AND $2::uuid IS NULL"
               " AND action = $7::text AND action <> 'session.refresh'" BOUNDS NEWEST,
};

static const struct cm_pg_statement by_position = {
        .name = "audit_list",
        .by_index = true,
        .sql = "SELECT " COLUMNS " FROM audit_log WHERE $1::uuid IS NULL AND $2::uuid IS NULL"
               " AND ($7::text IS NULL OR action = $7)" BOUNDS NEWEST,
};

const struct cm_pg_statement *cm_audit_list_statement(const struct cm_audit_query *query)
{
        if (query->user)
                return &by_user;
        if (query->actor)
                return &by_actor;
        if (query->action.data && !cm_str_equal(query->action, CM_STR("session.refresh")))
                return &by_action;
        return &by_position;
}

void cm_audit_list_params(const struct cm_audit_query *query, struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, query->user);
        cm_pg_put_uuid(params, query->actor);
        cm_pg_put_time(params, query->since);
        cm_pg_put_time(params, query->until);
        cm_pg_put_int8(params, query->before);
        cm_pg_put_int4(params, query->limit);
        cm_pg_put_text(params, query->action);
}

static void read_uuid(const struct cm_pg_result *rows, int i, int column, struct cm_uuid *id_r,
                      uint8_t *has_r)
{
        if (cm_pg_is_null(rows, i, column))
                return;
        *id_r = cm_pg_uuid(rows, i, column);
        *has_r = CM_PRESENT;
}

static struct cm_str text_at(const struct cm_pg_result *rows, int i, int column,
                             struct cm_arena *arena)
{
        return cm_arena_str(arena, cm_pg_text(rows, i, column));
}

static void read_entry(const struct cm_pg_result *rows, int i, struct cm_arena *arena,
                       struct audit_entry *entry)
{
        *entry = (struct audit_entry){
                .position = cm_pg_int(rows, i, 0),
                .at = cm_pg_time(rows, i, 1),
                .action = text_at(rows, i, 4, arena),
                .target = text_at(rows, i, 5, arena),
                .outcome = text_at(rows, i, 6, arena),
                .method = text_at(rows, i, 7, arena),
                .reason = text_at(rows, i, 8, arena),
                .ip = text_at(rows, i, 9, arena),
                .user_agent = text_at(rows, i, 10, arena),
                .request_id = text_at(rows, i, 11, arena),
        };
        entry->has_target = entry->target.data ? CM_PRESENT : CM_ABSENT;
        entry->has_method = entry->method.data ? CM_PRESENT : CM_ABSENT;
        entry->has_reason = entry->reason.data ? CM_PRESENT : CM_ABSENT;
        read_uuid(rows, i, 2, &entry->actor, &entry->has_actor);
        read_uuid(rows, i, 3, &entry->user_id, &entry->has_user_id);
}

void cm_audit_list_read(const struct cm_pg_result *rows, struct cm_arena *arena,
                        struct cm_audit_list *list_r)
{
        list_r->count = (size_t)rows->rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < rows->rows; i++)
                read_entry(rows, i, arena, &list_r->items[i]);
}
