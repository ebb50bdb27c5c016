#include "account_rules.h"
#include "account_store.h"
#include "audit/audit_rows.h"
#include "auth.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "errors.h"
#include "events.h"
#include "http/request.h"
#include "service/audit.h"
#include "sign_in/refusals.h"
#include "sys/fiber.h"
#include "user_facts.h"

/* One's own account. A change and the fact that tells the other services commit together. */

/* The token outlived its account. */
static int no_account(struct cm_request *request)
{
        return refuse_unauthorized(request, CM_CODE_UNAUTHORIZED, "This account is not active");
}

static struct cm_str version_tag(struct cm_request *request, const struct user *user)
{
        return cm_arena_printf(cm_request_arena(request), "%lld", (long long)user->version);
}

static int reply(struct cm_request *request, const struct user *user)
{
        return cm_reply_json_tagged(request, 200, &user_schema, user, version_tag(request, user));
}

int auth_me_read(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        struct user user;
        int r = account_store_read(auth->worker->pg, cm_request_arena(request), &claims->sub,
                                   &user);

        if (r)
                return r < 0 ? r : no_account(request);
        return reply(request, &user);
}

static int username_taken(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 409,
                .code = CM_CODE_USERNAME_TAKEN,
                .title = "Somebody has this name already",
        };

        return cm_reply_problem(request, &problem);
}

static int refuse_change(struct cm_request *request, int outcome)
{
        switch (outcome) {
        case ACCOUNT_AVATAR_NOT_HTTPS:
                return cm_reply_invalid(request, "/avatar_url", "must be an https address");
        case ACCOUNT_PREFERENCES_TOO_LARGE:
                return cm_reply_invalid(request, "/preferences",
                                        "would be larger than 16384 bytes");
        case ACCOUNT_PRIVACY_TOO_LARGE:
                return cm_reply_invalid(request, "/privacy_settings",
                                        "would be larger than 4096 bytes");
        case ACCOUNT_USERNAME_BAD:
                return cm_reply_invalid(request, "/username",
                                        "must be of a to z, digits, '.', '_' and '-'");
        default:
                return cm_reply_invalid(request, "/phone_number",
                                        "must be international, such as +972501234567");
        }
}

static int store(struct cm_request *request, struct cm_pg_tx **tx, const struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        user_facts_updated(cm_request_service(request), cm_request_arena(request), user, &fact);
        audit_account_changed(request, &user->id, &audit);
        r = account_store_update(*tx, user);
        if (r == ACCOUNT_USERNAME_TAKEN)
                return r;
        if (!r)
                r = cm_pg_tx_query(*tx, &cm_outbox_insert, &fact, NULL);
        if (!r)
                r = cm_pg_tx_query(*tx, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = cm_pg_commit(tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

static int change(struct cm_request *request, struct cm_pg_tx **tx, const struct user_patch *patch)
{
        const struct cm_claims *claims = cm_request_claims(request);
        const struct account_merge patches = {
                patch->has_preferences == CM_PRESENT ? patch->preferences : CM_STR_NONE,
                patch->has_privacy_settings == CM_PRESENT ? patch->privacy_settings : CM_STR_NONE,
        };
        struct account_merge merged = { 0 };
        struct user user;
        int r;

        r = account_store_lock(*tx, cm_request_arena(request), &claims->sub, &patches, &user,
                               &merged);
        if (r)
                return r < 0 ? r : no_account(request);
        if (cm_request_header(request, "if-match").data) {
                r = cm_request_if_match(request, version_tag(request, &user));
                if (r)
                        return r < 0 ? r : 0;
        }
        r = account_rules_change(&user, patch, &merged, cm_request_now(request));
        if (r == ACCOUNT_UNCHANGED)
                return reply(request, &user);
        if (r)
                return refuse_change(request, r);
        r = store(request, tx, &user);
        if (r == ACCOUNT_USERNAME_TAKEN)
                return username_taken(request);
        return r ? r : reply(request, &user);
}

int auth_me_change(struct cm_request *request, const struct user_patch *in)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        const struct cm_pg_scope scope = { .users = &claims->sub, .count = 1 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(auth->worker->pg, &scope, &tx);

        return r ? r : change(request, &tx, in);
}
