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
