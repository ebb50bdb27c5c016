#include "account_store.h"
#include "auth_api.h"
#include "base/error.h"
#include "codec/text.h"
#include "errors.h"
#include "session_rules.h"
#include "sign_in.h"
#include "sys/log.h"

/*
 * The order is the point. An attempt is counted before anything is looked at, and nobody is let in
 * when it could not be counted; an unknown address costs the same hash as a known one; whether the
 * account is active is asked after the hash; and a session is only written for the very password
 * that was checked. An attempt that did not fail for its password is given back.
 */
static int too_many(struct cm_request *request, int64_t wait_us)
{
        const struct cm_problem problem = {
                .status = 429,
                .code = CM_CODE_RATE_LIMITED,
                .title = "Too many failed logins",
                .retry_after_s = (int)((wait_us + CM_SECOND - 1) / CM_SECOND),
        };

        return cm_reply_problem(request, &problem);
}

static int refused(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 401,
                .code = CM_CODE_INVALID_CREDENTIALS,
                .title = "Wrong e-mail address or password",
        };

        return cm_reply_problem(request, &problem);
}

enum { LOGIN_REFUSED = 1 };

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

/* 0, LOGIN_REFUSED or an error. */
static int check(struct auth *auth, struct cm_arena *arena, const struct login *in,
                 struct cm_str email_key, struct credentials *credentials_r)
{
        int r = account_store_credentials(auth->worker->pg, arena, email_key, credentials_r);

        if (r < 0)
                return r;
        r = passwords_check(auth->passwords, in->password, credentials_r->password_hash);
        if (r < 0)
                return r;
        if (r == PASSWORD_WRONG || credentials_r->user.status != USER_STATUS_ACTIVE)
                return LOGIN_REFUSED;
        if (r == PASSWORD_OUTDATED)
                upgrade(auth, arena, in->password, credentials_r);
        return 0;
}

/* 0, LOGIN_REFUSED when the account has changed meanwhile, or an error. */
static int begin_session(struct auth *auth, const struct sign_in *sign_in)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        session_store_insert_params(&sign_in->start, &params);
        r = cm_pg_query(auth->worker->pg, &service_scope, &session_store_insert, &params, &rows);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return rows.rows ? 0 : LOGIN_REFUSED;
}

static int log_in(struct cm_request *request, const struct login *in, struct cm_str email_key,
                  struct credentials *credentials_r, struct sign_in *sign_in_r)
{
        struct auth *auth = cm_request_service(request);
        int r = check(auth, cm_request_arena(request), in, email_key, credentials_r);

        if (r)
                return r;
        sign_in_prepare(request, &credentials_r->user, credentials_r->password_hash,
                        in->has_device_name ? in->device_name : CM_STR_NONE, sign_in_r);
        return begin_session(auth, sign_in_r);
}

int auth_login(struct cm_request *request, const struct login *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_str email_key = cm_email_canonical(arena, in->email);
        struct cm_str network = session_rules_network(arena, cm_request_peer(request));
        struct login_attempt attempt;
        struct credentials credentials = { 0 };
        struct sign_in sign_in;
        int64_t wait_us = 0;
        int r;

        r = login_limit_take(auth->worker->bus, arena, &auth->login_limit, email_key, network,
                             &attempt, &wait_us);
        if (r)
                return r < 0 ? r : too_many(request, wait_us);

        r = log_in(request, in, email_key, &credentials, &sign_in);
        if (r == LOGIN_REFUSED)
                return refused(request);
        login_limit_give_back(auth->worker->bus, arena, &attempt);
        return r ? r : sign_in_reply(request, 200, &sign_in, &credentials.user);
}
