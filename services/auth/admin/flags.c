#include "service/flags.h"

#include "accounts/account_rules.h"
#include "admin_facts.h"
#include "admin_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "auth.h"
#include "base/error.h"
#include "errors.h"
#include "flag_signals.h"
#include "flag_store.h"
#include "http/request.h"
#include "service/audit.h"
#include "sys/log.h"

/* Feature flags: what admins set for their tenant, and what is on for whoever asks. */

static struct cm_pg *pg_of(struct cm_request *request)
{
        const struct auth *auth = cm_request_service(request);

        return auth->worker->pg;
}

static int reply_flag(struct cm_request *request, const struct flag *flag)
{
        return cm_reply_json_tagged(request, 200, &flag_schema, flag,
                                    cm_arena_int(cm_request_arena(request), flag->version));
}

/* It is durable. What cannot be told now is told when Redis is back, or in a second. */
static void tell(struct cm_request *request, const struct cm_uuid *tenant)
{
        struct auth *auth = cm_request_service(request);
        int r = flag_signals_send(auth, cm_request_arena(request), tenant);

        if (!r)
                return;
        cm_log(CM_LOG_WARN, "feature flags are not announced yet", CM_F_ERROR(r));
        announcements_repeat(auth);
}

/* ---- reading */

int auth_admin_flags_list(struct cm_request *request)
{
        struct flag_list list = { 0 };
        int r = flag_store_list(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)),
                                cm_request_arena(request), &list);

        return r ? r : cm_reply_json(request, 200, &flag_list_schema, &list);
}

int auth_admin_flag_read(struct cm_request *request,
                         const struct auth_admin_flag_read_params *params)
{
        struct flag flag;
        int r = flag_store_read(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)),
                                cm_request_arena(request), params->key, &flag);

        if (r == FLAG_NOT_FOUND)
                return cm_reply_not_found(request);
        return r ? r : reply_flag(request, &flag);
}

int auth_own_flags(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        const struct flag_set *set;
        struct own_flags own = { 0 };
        int r = cm_flags_of(auth->worker, &claims->tenant, &set);

        if (r)
                return r;
        own.on.items = cm_arena_array(cm_request_arena(request), set->items.count + 1,
                                      sizeof(*own.on.items));
        for (size_t i = 0; i < set->items.count; i++)
                if (cm_flag_is_on(&set->items.items[i], &claims->sub))
                        own.on.items[own.on.count++] = set->items.items[i].key;
        return cm_reply_json(request, 200, &own_flags_schema, &own);
}

/* ---- changing */

static int write_audit(struct cm_request *request, struct cm_pg_tx *tx, const char *action,
                       struct cm_str key)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        audit_admin_on(request, action, NULL, key, CM_STR_NONE, &audit);
        r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

static int too_many(struct cm_request *request)
{
        const struct cm_problem problem = { .status = 409,
                                            .code = CM_CODE_CONFLICT,
                                            .title = "There are 200 flags already" };

        return cm_reply_problem(request, &problem);
}

enum { REPLIED = 1 };

/* A transaction that holds the flags of the tenant; the version of the one that is meant, 0 when
 * there is none. 0, REPLIED or an error. */
static int hold(struct cm_request *request, struct cm_str key, struct cm_pg_tx **tx_r,
                struct cm_uuid *tenant_r, int64_t *version_r)
{
        int r = cm_pg_begin(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)), tx_r);

        if (!r)
                r = admin_store_tenant(*tx_r, tenant_r);
        if (r == ADMIN_NOT_FOUND)
                return admin_no_longer(request) ?: REPLIED;
        if (!r)
                r = flag_store_lock(*tx_r, tenant_r, key, version_r);
        if (r == FLAG_TOO_MANY)
                return too_many(request) ?: REPLIED;
        return r;
}

int auth_admin_flag_write(struct cm_request *request,
                          const struct auth_admin_flag_write_params *params,
                          const struct flag_rule *in)
{
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct cm_uuid tenant;
        struct flag flag;
        int64_t version;
        int r;

        if (!account_rules_is_plain(params->key))
                return cm_reply_invalid(request, "/key",
                                        "must be of a to z, digits, '.', '_' and '-'");
        r = hold(request, params->key, &tx, &tenant, &version);
        if (!r && cm_request_header(request, "if-match").data)
                r = cm_request_if_match(request, cm_arena_int(arena, version));
        if (r)
                return r < 0 ? r : 0;
        r = flag_store_put(tx, arena, &tenant, params->key, in, &flag);
        if (!r)
                r = write_audit(request, tx, "flag.set", params->key);
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        tell(request, &tenant);
        return reply_flag(request, &flag);
}

int auth_admin_flag_delete(struct cm_request *request,
                           const struct auth_admin_flag_delete_params *params)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct cm_uuid tenant;
        int64_t version = 1;
        int r = hold(request, params->key, &tx, &tenant, &version);

        if (r)
                return r < 0 ? r : 0;
        if (!version)
                return cm_reply_not_found(request);
        r = flag_store_delete(tx, params->key);
        if (!r)
                r = write_audit(request, tx, "flag.delete", params->key);
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        tell(request, &tenant);
        return cm_reply_empty(request, 204);
}
