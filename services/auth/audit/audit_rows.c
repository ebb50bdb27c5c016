#include "audit_rows.h"

#include "base/error.h"

#include <string.h>

#include "service/audit.h"

static struct cm_str target(struct cm_request *request, const struct cm_uuid *id)
{
        char text[CM_UUID_TEXT_SIZE];

        return id ? cm_arena_str(cm_request_arena(request), cm_str_from(cm_uuid_format(id, text)))
                  : CM_STR_NONE;
}

void audit_account_created(struct cm_request *request, const struct cm_uuid *user_id,
                           struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .actor = user_id,
                .user = user_id,
                .action = "account.create",
                .target = target(request, user_id),
                .outcome = "done",
                .method = "password",
        };

        cm_audit_params(request, &entry, params);
}

void audit_account_changed(struct cm_request *request, const struct cm_uuid *user_id,
                           struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .actor = user_id,
                .user = user_id,
                .action = "account.change",
                .target = target(request, user_id),
                .outcome = "done",
                .method = "token",
        };

        cm_audit_params(request, &entry, params);
}

void audit_account_closed(struct cm_request *request, const struct cm_uuid *user_id,
                          const char *action, struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .user = user_id,
                .action = action,
                .target = target(request, user_id),
                .outcome = "done",
                .method = "password",
        };

        cm_audit_params(request, &entry, params);
}

void audit_login(struct cm_request *request, const struct cm_uuid *user_id, const char *refusal,
                 struct cm_pg_params *params)
{
        audit_proof(request, user_id, "login.password", refusal, params);
}

void audit_proof(struct cm_request *request, const struct cm_uuid *user_id, const char *action,
                 const char *refusal, struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .actor = refusal ? NULL : user_id,
                .user = user_id,
                .action = action,
                .target = target(request, user_id),
                .outcome = refusal ? "refused" : "done",
                .method = strstr(action, "password") ? "password" : "code",
                .reason = refusal,
        };

        cm_audit_params(request, &entry, params);
}

void audit_refresh_refused(struct cm_request *request, const struct cm_uuid *user_id,
                           const struct cm_uuid *session_id, const char *reason,
                           struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .user = user_id,
                .action = "session.refresh",
                .target = target(request, session_id),
                .outcome = "refused",
                .method = "refresh",
                .reason = reason,
        };

        cm_audit_params(request, &entry, params);
}

void audit_code_mail(struct cm_request *request, const char *action, const struct cm_uuid *subject,
                     const char *reason, struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .user = subject,
                .action = action,
                .target = target(request, subject),
                .outcome = reason ? "refused" : "done",
                .reason = reason,
        };

        cm_audit_params(request, &entry, params);
}

void audit_by_code(struct cm_request *request, const char *action, const struct cm_uuid *user_id,
                   struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .actor = user_id,
                .user = user_id,
                .action = action,
                .target = target(request, user_id),
                .outcome = "done",
                .method = "mailed_code",
        };

        cm_audit_params(request, &entry, params);
}

void audit_invited(struct cm_request *request, const struct cm_uuid *invitation,
                   struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .action = "account.invite",
                .target = target(request, invitation),
                .outcome = "done",
        };

        cm_audit_params(request, &entry, params);
}

void audit_admin_on(struct cm_request *request, const char *action, const struct cm_uuid *user_id,
                    struct cm_str target, struct cm_str reason, struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .user = user_id,
                .action = action,
                .target = target,
                .outcome = "done",
                .method = "token",
                .reason = reason.data ? cm_arena_str(cm_request_arena(request), reason).data : NULL,
        };

        cm_audit_params(request, &entry, params);
}

void audit_admin(struct cm_request *request, const char *action, const struct cm_uuid *user_id,
                 const struct cm_uuid *target_id, struct cm_str reason, struct cm_pg_params *params)
{
        audit_admin_on(request, action, user_id, target(request, target_id), reason, params);
}

void audit_client_token(struct cm_request *request, const struct cm_uuid *client,
                        struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .actor = client,
                .action = "token.client_credentials",
                .target = target(request, client),
                .outcome = "done",
                .method = "client_secret",
        };

        cm_audit_params(request, &entry, params);
}

void audit_password_changed(struct cm_request *request, const struct cm_uuid *user_id,
                            struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .actor = user_id,
                .user = user_id,
                .action = "password.change",
                .target = target(request, user_id),
                .outcome = "done",
                .method = "password",
        };

        cm_audit_params(request, &entry, params);
}

void audit_log_read(struct cm_request *request, const struct cm_uuid *user_id, struct cm_str what,
                    struct cm_pg_params *params)
{
        const struct cm_audit_entry entry = {
                .user = user_id,
                .action = "audit.read",
                .target = what,
                .outcome = "done",
                .method = "token",
        };

        cm_audit_params(request, &entry, params);
}

int audit_own(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_audit_entry *entry,
              const struct cm_uuid *target, cm_time now)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct cm_audit_entry whole = *entry;
        char id[CM_UUID_TEXT_SIZE];
        int r;

        whole.target = cm_arena_str(arena, cm_str_from(cm_uuid_format(target, id)));
        whole.outcome = "done";
        cm_audit_params_own(&whole, now, &params);
        r = cm_pg_tx_query(tx, &cm_audit_insert, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
