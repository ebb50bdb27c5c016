#include "token_subject.h"

#include "base/error.h"

enum { CLIENT = 5 }; /* codec/token.h */

static const struct cm_pg_statement token_subject = {
        .name = "token_subject",
        .sql = "SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id"
               " WHERE s.id = $1::uuid AND u.id = $2::uuid AND u.tenant_id = $3::uuid"
               " AND u.user_type = $4::int2 AND u.status = 1"
               " AND s.ended_at IS NULL AND now() < least(s.idle_expires_at, s.expires_at)",
};

/* A machine: its client, and the secret that it showed. */
static const struct cm_pg_statement token_client = {
        .name = "token_client",
        .sql = "SELECT 1 FROM client_secrets s JOIN clients c ON c.id = s.client_id"
               " WHERE s.id = $1::uuid AND c.id = $2::uuid AND c.tenant_id = $3::uuid"
               " AND $4::int2 = 5 AND c.enabled AND s.ended_at IS NULL",
};

int token_subject_check(struct cm_pg *pg, const struct cm_claims *claims)
{
        const struct cm_pg_scope scope = { .role = "service" };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, &claims->sid);
        cm_pg_put_uuid(&params, &claims->sub);
        cm_pg_put_uuid(&params, &claims->tenant);
        cm_pg_put_int2(&params, (int16_t)claims->type);
        r = cm_pg_query(pg, &scope, claims->type == CLIENT ? &token_client : &token_subject,
                        &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return rows.rows ? 0 : TOKEN_SUBJECT_CHANGED;
}
