#include "refusal_store.h"

#include "base/error.h"

/* The same statement whether the address has an account or not. */
static const struct cm_pg_statement refusal_insert = {
        .name = "refusal_insert",
        .writes = true,
        .sql = "INSERT INTO audit_log (actor, user_id, action, target, outcome, method, reason,"
               "   at, ip, user_agent, request_id)"
               " VALUES ($1::uuid, coalesce($2::uuid, (SELECT id FROM users WHERE email_key = "
               "$12::text)),"
               "   $3::text, $4::text, $5::text, $6::text, $7::text, $8::timestamptz, $9::text,"
               "   $10::text, $11::text)",
};

static const struct cm_uuid *id_of(const struct cm_uuid *id)
{
        return cm_uuid_is_nil(id) ? NULL : id;
}

int refusal_store_write(struct cm_pg *pg, const struct refusal *refusal, const char *reason)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        const struct cm_audit_entry entry = {
                .actor = id_of(&refusal->actor),
                .user = id_of(&refusal->user),
                .action = refusal->action,
                .target = refusal->target,
                .outcome = "refused",
                .method = refusal->method,
                .reason = reason,
        };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_audit_params_of(&entry, &refusal->context, &params);
        cm_pg_put_text(&params, refusal->email_key);
        r = cm_pg_query(pg, &service_scope, &refusal_insert, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
