#include "account_store.h"
#include "audit_rows.h"
#include "auth_api.h"
#include "base/error.h"
#include "codec/text.h"
#include "errors.h"
#include "refusals.h"
#include "second_login.h"
#include "service/audit.h"
#include "session_rules.h"
#include "sign_in.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The order is the point. An attempt is counted before anything is looked at, and nobody is let in
 * when it could not be counted; an unknown address costs the same hash as a known one; whether the
 * account is active is asked after the hash; and a session is only written for the very password
 * that was checked. An attempt that did not fail for its password is given back.
 */
static struct cm_metric logins = CM_COUNTER("salus_auth_logins_total", "Logins by how they ended");

static void count(const char *outcome_label)
{
        cm_counter_add(cm_metric_labeled(&logins, outcome_label), 1);
}

/* `user_id` NULL: there is no such account. The reply is the same for all reasons. */
static int refuse(struct cm_request *request, const struct cm_uuid *user_id, const char *reason)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        count("outcome=\"refused\"");
        audit_login(request, user_id, reason, &audit);
        r = cm_pg_query(auth->worker->pg, &service_scope, &cm_audit_insert, &audit, NULL);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return refuse_unauthorized(request, CM_CODE_INVALID_CREDENTIALS,
                                   "Wrong e-mail address or password");
}

/* A password whose cost is outdated is stored anew; the login succeeds in any case. */
static void upgrade(struct auth *auth, struct cm_arena *arena, struct cm_str password,
                    struct credentials *credentials)
{
        struct cm_str fresh = CM_STR_NONE;
        int r = passwords_hash(auth->passwords, arena, password, &fresh);

        if (!r)
                r = account_store_rehash(auth->worker->pg, &credentials->user.id,
                                         credentials->password_hash, fresh);
        if (!r)
                credentials->password_hash = fresh;
        else
                cm_log(CM_LOG_INFO, "password keeps its outdated cost", CM_F_ERROR(r));
}

/* 0 when the person may sign in; 1 with the reason when not; or an error. */
static int check(struct auth *auth, struct cm_arena *arena, const struct login *in,
                 struct cm_str email_key, struct credentials *credentials_r, const char **reason_r)
{
        int found = account_store_credentials(auth->worker->pg, arena, email_key, credentials_r);
        int r;

        if (found < 0)
                return found;
        r = passwords_check(auth->passwords, in->password, credentials_r->password_hash);
        if (r < 0)
                return r;
        if (found == ACCOUNT_NOT_FOUND)
                *reason_r = "no_account";
        else if (r == PASSWORD_WRONG)
                *reason_r = "wrong_password";
        else if (credentials_r->user.status != USER_STATUS_ACTIVE)
                *reason_r = "not_active";
        if (*reason_r)
                return 1;
        if (r == PASSWORD_OUTDATED)
                upgrade(auth, arena, in->password, credentials_r);
        return 0;
}

static int begin_session(struct cm_request *request, const struct login *in,
                         const struct credentials *credentials, struct sign_in *sign_in_r)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };

        audit_login(request, &credentials->user.id, NULL, &audit);
        sign_in_prepare(request, &credentials->user, credentials->password_hash,
                        in->has_device_name ? in->device_name : CM_STR_NONE, sign_in_r);
        return session_store_begin(auth->worker->pg, &sign_in_r->start, &audit);
}

static int log_in(struct cm_request *request, const struct login *in, struct cm_str email_key,
                  const struct login_attempt *attempt)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct credentials credentials = { 0 };
        const struct cm_uuid *user_id;
        const char *reason = NULL;
        struct sign_in sign_in;
        int r;

        r = check(auth, arena, in, email_key, &credentials, &reason);
        user_id = credentials.password_hash.data ? &credentials.user.id : NULL;
        if (r > 0)
                return refuse(request, user_id, reason);
        if (!r && !credentials.second_factor)
                r = begin_session(request, in, &credentials, &sign_in);
        if (r == SESSION_NOT_BEGUN)
                return refuse(request, user_id, "account_changed");
        login_limit_give_back(auth->worker->bus, arena, attempt);
        if (r)
                return r;
        if (credentials.second_factor) {
                count("outcome=\"second_factor\"");
                return second_login_ask(request, in, &credentials);
        }
        count("outcome=\"done\"");
        return sign_in_reply(request, 200, &sign_in, &credentials.user);
}

int auth_login(struct cm_request *request, const struct login *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_str email_key = cm_email_canonical(arena, in->email);
        struct cm_str network = session_rules_network(arena, cm_request_peer(request));
        struct login_attempt attempt;
        int64_t wait_us = 0;
        int r;

        r = login_limit_take(auth->worker->bus, arena, &auth->login_limit, email_key, network,
                             &attempt, &wait_us);
        if (r == LOGIN_LIMIT_REACHED) {
                count("outcome=\"limited\"");
                return refuse_too_many(request, "Too many failed logins", wait_us);
        }
        if (r)
                return r;
        return log_in(request, in, email_key, &attempt);
}
