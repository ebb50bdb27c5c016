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
               " FOR KEY SHARE OF u" /* waits for who closes the account */
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
 * faster, so the outcome that is stored, returned and written into the audit log is the one that
 * holds under the row's lock.
 */
static const struct cm_pg_statement session_refresh = {
        .name = "session_refresh",
        .writes = true,
        .sql = "WITH presented AS ("
               " UPDATE sessions s SET (refresh_outcome, generation, previous_digest,"
               "   current_digest, wrapped_child, rotated_at, last_used_at, idle_expires_at,"
               "   ended_at, ended_reason) ="
               " (SELECT o,"
               "   CASE o WHEN 1 THEN s.generation + 1 ELSE s.generation END,"
               "   CASE o WHEN 1 THEN s.current_digest ELSE s.previous_digest END,"
               "   CASE o WHEN 1 THEN $4::bytea ELSE s.current_digest END,"
               "   CASE o WHEN 1 THEN $5::bytea ELSE s.wrapped_child END,"
               "   CASE o WHEN 1 THEN now() ELSE s.rotated_at END,"
               "   CASE WHEN o <= 2 THEN now() ELSE s.last_used_at END,"
               "   CASE o WHEN 1 THEN least(now() + $7::int8 * interval '1 microsecond',"
               "                            s.expires_at)"
               "          ELSE s.idle_expires_at END,"
               "   CASE o WHEN 3 THEN coalesce(s.ended_at, now()) ELSE s.ended_at END,"
               "   CASE o WHEN 3 THEN 2::smallint ELSE s.ended_reason END"
               "  FROM (SELECT session_refresh_outcome(s, u.status, $2::int4, $3::bytea,"
               "               $6::int8 * interval '1 microsecond') AS o OFFSET 0) decided)"
               " FROM users u WHERE s.id = $1::uuid AND u.id = s.user_id"
               " RETURNING s.refresh_outcome AS o, s.user_id, u.tenant_id, u.user_type,"
               "   s.wrapped_child, s.idle_expires_at, s.ended_at = now() AS ended_now,"
               "   u.password_must_change"
               "), logged AS ("
               " INSERT INTO audit_log (actor, user_id, action, target, outcome, method, reason,"
               "   at, ip, user_agent, request_id)"
               " SELECT CASE WHEN o <= 2 THEN user_id END, user_id, 'session.refresh',"
               "   $1::uuid::text, CASE WHEN o <= 2 THEN 'done' ELSE 'refused' END, 'refresh',"
               "   CASE o WHEN 2 THEN 'same_child' WHEN 3 THEN 'token_reused'"
               "          WHEN 4 THEN 'session_over' END,"
               "   $8::timestamptz, $9::text, $10::text, $11::text FROM presented)"
               " SELECT o, user_id, tenant_id, user_type, wrapped_child, idle_expires_at,"
               "   coalesce(ended_now, false), password_must_change FROM presented",
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
        result_r->ended_now = cm_pg_bool(rows, 0, 6);
        result_r->must_change = cm_pg_bool(rows, 0, 7);
        return (int)cm_pg_int(rows, 0, 0);
}

int session_store_refresh(struct cm_pg *pg, struct cm_request *request,
                          const struct refresh_attempt *attempt, struct refresh_result *result_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct refresh_bytes bytes;
        int r;

        refresh_params(attempt, &bytes, &params);
        cm_audit_context_params(request, &params);
        r = cm_pg_query(pg, &service_scope, &session_refresh, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return rows.rows ? read_refresh(&rows, result_r) : REFRESH_OVER;
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
