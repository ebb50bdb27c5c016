#include "base/error.h"
#include "service/audit.h"
#include "session_store.h"

/* One's own sessions: listed and ended. The end of one and its audit row are one statement. */

static const struct cm_pg_scope service_scope = { .role = "service" };

static const struct cm_pg_statement sessions_end = {
        .name = "sessions_end",
        .writes = true,
        .sql = "WITH ended AS ("
               " UPDATE sessions SET ended_at = now(), ended_reason = $4::int2"
               "  WHERE user_id = $1::uuid AND ended_at IS NULL"
               "  AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id <> $3)"
               "  AND now() < least(idle_expires_at, expires_at)"
               "  RETURNING id, ended_at"
               "), logged AS ("
               " INSERT INTO audit_log (actor, user_id, action, target, outcome, method, reason,"
               "   at, ip, user_agent, request_id)"
               " SELECT $11::uuid, $1, 'session.end', id::text, 'done', $6::text, $5::text,"
               "   $7::timestamptz, $8::text, $9::text, $10::text FROM ended)"
               " SELECT id, ended_at FROM ended",
};

static struct cm_str name_of(enum session_end_reason reason)
{
        switch (reason) {
        case SESSION_END_LOGOUT:
                return CM_STR("logout");
        case SESSION_END_ELSEWHERE:
                return CM_STR("other_session");
        case SESSION_END_ADMIN:
                return CM_STR("admin");
        case SESSION_END_RESET:
                return CM_STR("password_reset");
        case SESSION_END_FACTOR:
                return CM_STR("second_factor");
        case SESSION_END_PASSWORD:
                return CM_STR("password_change");
        default:
                return CM_STR("account_closed");
        }
}

static void end_params(struct cm_request *request, const struct session_end *end,
                       struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, end->user_id);
        cm_pg_put_uuid(params, end->only);
        cm_pg_put_uuid(params, end->except);
        cm_pg_put_int2(params, (int16_t)end->reason);
        cm_pg_put_text(params, name_of(end->reason));
        cm_pg_put_text(params,
                       end->reason == SESSION_END_RESET ? CM_STR("mailed_code") : CM_STR("token"));
        cm_audit_context_params(request, params);
        cm_pg_put_uuid(params, end->actor ? end->actor : end->user_id);
}

static void read_ended(const struct cm_pg_result *rows, struct cm_arena *arena,
                       struct ended_sessions *ended_r)
{
        ended_r->count = (size_t)rows->rows;
        ended_r->items = cm_arena_array(arena, ended_r->count + 1, sizeof(*ended_r->items));
        for (int i = 0; i < rows->rows; i++)
                ended_r->items[i] =
                        (struct ended_session){ cm_pg_uuid(rows, i, 0), cm_pg_time(rows, i, 1) };
}

int session_store_end(struct cm_pg *pg, struct cm_request *request, const struct session_end *end,
                      struct ended_sessions *ended_r)
{
        const struct cm_pg_scope scope = { .users = end->user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        end_params(request, end, &params);
        r = cm_pg_query(pg, &scope, &sessions_end, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_ended(&rows, cm_request_arena(request), ended_r);
        return 0;
}

int session_store_end_in(struct cm_pg_tx *tx, struct cm_request *request,
                         const struct session_end *end, struct ended_sessions *ended_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        end_params(request, end, &params);
        r = cm_pg_tx_query(tx, &sessions_end, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_ended(&rows, cm_request_arena(request), ended_r);
        return 0;
}

static const struct cm_pg_statement sessions_forget_devices = {
        .name = "sessions_forget_devices",
        .writes = true,
        .sql = "UPDATE sessions SET device_name = NULL, ip = '', user_agent = ''"
               " WHERE user_id = $1::uuid",
};

int session_store_forget_devices(struct cm_pg_tx *tx, const struct cm_uuid *user_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_tx_query(tx, &sessions_forget_devices, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement session_find = {
        .name = "session_find",
        .sql = "SELECT 1 FROM sessions WHERE id = $1::uuid AND user_id = $2::uuid",
};

int session_store_find(struct cm_pg *pg, const struct cm_uuid *user_id,
                       const struct cm_uuid *session_id)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, session_id);
        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_query(pg, &scope, &session_find, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return rows.rows ? 0 : 1;
}

static const struct cm_pg_statement sessions_list = {
        .name = "sessions_list",
        .sql = "SELECT id, device_name, ip, user_agent, created_at, last_used_at,"
               "   least(idle_expires_at, expires_at)"
               " FROM sessions WHERE user_id = $1::uuid AND ended_at IS NULL"
               " AND now() < least(idle_expires_at, expires_at) AND id < $2::uuid"
               " ORDER BY id DESC LIMIT $3::int4",
};

static struct session read_session(const struct cm_pg_result *rows, int i, struct cm_arena *arena)
{
        struct cm_str device_name = cm_arena_str(arena, cm_pg_text(rows, i, 1));

        return (struct session){
                .id = cm_pg_uuid(rows, i, 0),
                .device_name = device_name,
                .has_device_name = device_name.data ? CM_PRESENT : CM_ABSENT,
                .ip = cm_arena_str(arena, cm_pg_text(rows, i, 2)),
                .user_agent = cm_arena_str(arena, cm_pg_text(rows, i, 3)),
                .created_at = cm_pg_time(rows, i, 4),
                .last_used_at = cm_pg_time(rows, i, 5),
                .expires_at = cm_pg_time(rows, i, 6),
        };
}

int session_store_list(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user_id,
                       const struct cm_uuid *before, int32_t limit, struct session_list *list_r)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_uuid(&params, before);
        cm_pg_put_int4(&params, limit);
        r = cm_pg_query(pg, &scope, &sessions_list, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        list_r->count = (size_t)rows.rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < rows.rows; i++)
                list_r->items[i] = read_session(&rows, i, arena);
        return 0;
}

/* A machine's secret is the session of its tokens. */
static const struct cm_pg_statement sessions_ended = {
        .name = "sessions_ended",
        .sql = "SELECT id, ended_at FROM sessions"
               " WHERE ended_at > now() - $1::int8 * interval '1 microsecond'"
               " UNION ALL SELECT id, ended_at FROM client_secrets"
               " WHERE ended_at > now() - $1::int8 * interval '1 microsecond'",
};

int session_store_ended(struct cm_pg *pg, struct cm_arena *arena, int64_t within_us,
                        struct ended_sessions *ended_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_int8(&params, within_us);
        r = cm_pg_query(pg, &service_scope, &sessions_ended, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_ended(&rows, arena, ended_r);
        return 0;
}
