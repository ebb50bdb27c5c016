#include "session_store.h"

#include <string.h>

#include "base/error.h"
#include "service/audit.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

const struct cm_pg_statement session_store_insert = {
        .name = "session_insert",
        .writes = true,
        .sql = "INSERT INTO sessions (id, user_id, current_digest, device_name, ip, user_agent,"
               "                      idle_expires_at, expires_at)"
               " SELECT $1::uuid, u.id, $4::bytea, $5::text, $6::text, $7::text,"
               "        now() + least($8::int8, $9::int8) * interval '1 microsecond',"
               "        now() + $9::int8 * interval '1 microsecond'"
               " FROM users u WHERE u.id = $2::uuid AND u.password_hash = $3::text AND u.status = 1"
               " FOR SHARE" /* a suspension waits for this session, and then ends it too */
               " RETURNING idle_expires_at",
};

void session_store_insert_params(const struct session_start *start, struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, &start->id);
        cm_pg_put_uuid(params, &start->user_id);
        cm_pg_put_text(params, start->password_hash);
        cm_pg_put_bytes(params,
                        (struct cm_str){ (const char *)start->digest, sizeof(start->digest) });
        cm_pg_put_text(params, start->device_name);
        cm_pg_put_text(params, start->ip);
        cm_pg_put_text(params, start->user_agent);
        cm_pg_put_int8(params, start->idle_us);
        cm_pg_put_int8(params, start->life_us);
}

/*
 * What is over for a month is of no use to anybody: a token of it is refused with or without its
 * row. A login clears up after its own person, so the table stays as large as people are active,
 * without a job that looks at all of it.
 */
static const struct cm_pg_statement session_clear_old = {
        .name = "session_clear_old",
        .writes = true,
        .sql = "DELETE FROM sessions WHERE user_id = $1::uuid"
               " AND least(idle_expires_at, expires_at, ended_at) < now() - interval '30 days'",
};

static int clear_old(struct cm_pg_tx *tx, const struct cm_uuid *user_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user_id);
        return cm_pg_tx_query(tx, &session_clear_old, &params, NULL);
}

static int begin_in(struct cm_pg_tx *tx, const struct cm_pg_params *session,
                    const struct cm_pg_params *audit)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &session_store_insert, session, &rows);

        if (!r && !rows.rows)
                return SESSION_NOT_BEGUN;
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int session_store_begin(struct cm_pg *pg, const struct session_start *start,
                        const struct cm_pg_params *audit)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params session = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r;

        session_store_insert_params(start, &session);
        r = cm_pg_begin(pg, &service_scope, &tx);
        if (!r)
                r = begin_in(tx, &session, audit);
        if (r)
                return r;
        r = clear_old(tx, &start->user_id);
        if (!r)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

/*
 * The row assignment is evaluated again on the newest version of the row when another refresh was
 * faster, so the outcome that is stored and returned is the one that holds under the row's lock.
 */
static const struct cm_pg_statement session_refresh = {
        .name = "session_refresh",
        .writes = true,
        .sql = "UPDATE sessions s SET (refresh_outcome, generation, previous_digest, "
               "current_digest,"
               "   wrapped_child, rotated_at, last_used_at, idle_expires_at, ended_at, "
               "ended_reason) ="
               " (SELECT o,"
               "   CASE o WHEN 1 THEN s.generation + 1 ELSE s.generation END,"
               "   CASE o WHEN 1 THEN s.current_digest ELSE s.previous_digest END,"
               "   CASE o WHEN 1 THEN $4::bytea ELSE s.current_digest END,"
               "   CASE o WHEN 1 THEN $5::bytea ELSE s.wrapped_child END,"
               "   CASE o WHEN 1 THEN now() ELSE s.rotated_at END,"
               "   CASE WHEN o <= 2 THEN now() ELSE s.last_used_at END,"
               "   CASE o WHEN 1 THEN least(now() + $7::int8 * interval '1 microsecond', "
               "s.expires_at)"
               "          ELSE s.idle_expires_at END,"
               "   CASE o WHEN 3 THEN coalesce(s.ended_at, now()) ELSE s.ended_at END,"
               "   CASE o WHEN 3 THEN 2::smallint ELSE s.ended_reason END"
               "  FROM (SELECT session_refresh_outcome(s, u.status, $2::int4, $3::bytea,"
               "               $6::int8 * interval '1 microsecond') AS o OFFSET 0) decided)"
               " FROM users u WHERE s.id = $1::uuid AND u.id = s.user_id"
               " RETURNING s.refresh_outcome, s.user_id, u.tenant_id, u.user_type, s.wrapped_child,"
               "           s.idle_expires_at, u.password_must_change",
};

/* The row of the audit log as cm_audit_params() writes it, but only for a reused token; $11:
 * session. */
static const struct cm_pg_statement session_reuse_audit = {
        .name = "session_reuse_audit",
        .writes = true,
        .sql = "INSERT INTO audit_log (id, at, actor, action, target, outcome, reason, ip,"
               "                       user_agent, request_id)"
               " SELECT $1::uuid, $2::timestamptz, $3::uuid, $4::text, $5::text, $6::text, "
               "$7::text,"
               "        $8::text, $9::text, $10::text"
               " FROM sessions WHERE id = $11::uuid AND refresh_outcome = 3",
};

/* What the parameters point at. */
struct refresh_bytes {
        uint8_t presented[CHAIN_DIGEST_SIZE];
        uint8_t child[CHAIN_DIGEST_SIZE];
        uint8_t wrapped[32];
};

static struct cm_str bytes_of(const uint8_t bytes[32])
{
        return (struct cm_str){ (const char *)bytes, 32 };
}

static void refresh_params(const struct refresh_attempt *attempt, struct refresh_bytes *bytes,
                           struct cm_pg_params *params)
{
        chain_link_digest(attempt->presented, bytes->presented);
        chain_link_digest(attempt->child, bytes->child);
        chain_link_wrap(attempt->presented, attempt->child->secret, bytes->wrapped);
        cm_pg_put_uuid(params, &attempt->presented->session_id);
        cm_pg_put_int4(params, attempt->presented->generation);
        cm_pg_put_bytes(params, bytes_of(bytes->presented));
        cm_pg_put_bytes(params, bytes_of(bytes->child));
        cm_pg_put_bytes(params, bytes_of(bytes->wrapped));
        cm_pg_put_int8(params, attempt->grace_us);
        cm_pg_put_int8(params, attempt->idle_us);
}

static int read_refresh(const struct cm_pg_result *rows, struct refresh_result *result_r)
{
        struct cm_str wrapped = cm_pg_text(rows, 0, 4);

        result_r->user_id = cm_pg_uuid(rows, 0, 1);
        result_r->tenant_id = cm_pg_uuid(rows, 0, 2);
        result_r->user_type = (int32_t)cm_pg_int(rows, 0, 3);
        if (wrapped.len == sizeof(result_r->wrapped_child))
                memcpy(result_r->wrapped_child, wrapped.data, wrapped.len);
        result_r->idle_expires_at = cm_pg_time(rows, 0, 5);
        result_r->must_change = cm_pg_bool(rows, 0, 6);
        return (int)cm_pg_int(rows, 0, 0);
}

int session_store_refresh(struct cm_pg *pg, const struct refresh_attempt *attempt,
                          struct refresh_result *result_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &session_refresh, &params, &rows },
                { &session_reuse_audit, attempt->audit, NULL },
        };
        struct refresh_bytes bytes;
        int r;

        refresh_params(attempt, &bytes, &params);
        r = cm_pg_flight(pg, &service_scope, items, CM_COUNT(items), NULL);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return rows.rows ? read_refresh(&rows, result_r) : REFRESH_OVER;
}

static const struct cm_pg_statement session_end = {
        .name = "session_end",
        .writes = true,
        .sql = "UPDATE sessions SET ended_at = now(), ended_reason = 1"
               " WHERE id = $1::uuid AND ended_at IS NULL",
};

int session_store_end(struct cm_pg *pg, const struct cm_uuid *user_id,
                      const struct cm_uuid *session_id, const struct cm_pg_params *audit)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &session_end, &params, NULL },
                { &cm_audit_insert, audit, NULL },
        };
        int r;

        cm_pg_put_uuid(&params, session_id);
        r = cm_pg_flight(pg, &scope, items, CM_COUNT(items), NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement session_succeed = {
        .name = "session_succeed",
        .writes = true,
        .sql = "UPDATE sessions SET device_name = o.device_name"
               " FROM (SELECT device_name FROM sessions WHERE id = $2::uuid) o"
               " WHERE id = $1::uuid",
};

int session_store_succeed(struct cm_pg_tx *tx, const struct cm_uuid *session_id,
                          const struct cm_uuid *old_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, session_id);
        cm_pg_put_uuid(&params, old_id);
        r = cm_pg_tx_query(tx, &session_succeed, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement session_end_others = {
        .name = "session_end_others",
        .writes = true,
        .sql = "UPDATE sessions SET ended_at = now(), ended_reason = 3"
               " WHERE user_id = $1::uuid AND id <> $2::uuid AND ended_at IS NULL RETURNING id",
};

int session_store_end_others(struct cm_pg_tx *tx, struct cm_arena *arena,
                             const struct cm_uuid *user_id, const struct cm_uuid *keep,
                             struct ended_sessions *ended_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_uuid(&params, keep);
        r = cm_pg_tx_query(tx, &session_end_others, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        ended_r->count = (size_t)rows.rows;
        ended_r->ids = cm_arena_array(arena, ended_r->count + 1, sizeof(*ended_r->ids));
        for (int i = 0; i < rows.rows; i++)
                ended_r->ids[i] = cm_pg_uuid(&rows, i, 0);
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

static void read_ended(const struct cm_pg_result *rows, struct cm_arena *arena,
                       struct ended_session **sessions_r, size_t *count_r)
{
        *count_r = (size_t)rows->rows;
        *sessions_r = cm_arena_array(arena, *count_r + 1, sizeof(**sessions_r));
        for (int i = 0; i < rows->rows; i++)
                (*sessions_r)[i] =
                        (struct ended_session){ cm_pg_uuid(rows, i, 0), cm_pg_time(rows, i, 1) };
}

int session_store_ended(struct cm_pg *pg, struct cm_arena *arena, int64_t within_us,
                        struct ended_session **sessions_r, size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_int8(&params, within_us);
        r = cm_pg_query(pg, &service_scope, &sessions_ended, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_ended(&rows, arena, sessions_r, count_r);
        return 0;
}

static const struct cm_pg_statement sessions_end_all = {
        .name = "sessions_end_all",
        .writes = true,
        .sql = "UPDATE sessions SET ended_at = now(), ended_reason = 5" /* a reset */
               " WHERE user_id = $1::uuid AND ended_at IS NULL RETURNING id, ended_at",
};

int session_store_end_all(struct cm_pg_tx *tx, struct cm_arena *arena,
                          const struct cm_uuid *user_id, struct ended_session **sessions_r,
                          size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_tx_query(tx, &sessions_end_all, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        read_ended(&rows, arena, sessions_r, count_r);
        return 0;
}
