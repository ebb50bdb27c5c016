#include "step_up.h"

#include <string.h>

#include "accounts/account_store.h"
#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/text.h"
#include "errors.h"
#include "recovery_codes.h"
#include "refusals.h"
#include "service/audit.h"
#include "sessions/session_rules.h"
#include "sys/log.h"
#include "totp.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

int step_up_refuse(struct cm_request *request, const struct cm_uuid *user_id, const char *action,
                   const char *reason)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        audit_proof(request, user_id, action, reason, &audit);
        r = cm_pg_query(auth->worker->pg, &service_scope, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = refuse_unauthorized(request, CM_CODE_INVALID_CREDENTIALS,
                                        "The proof of who you are does not hold");
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return 1;
}

static int too_many(struct cm_request *request, const struct cm_uuid *user_id, const char *action,
                    const char *title, int64_t wait_us)
{
        int r;

        refused_request_note(request, &(const struct refused_request){ .action = action,
                                                                       .reason = "limit",
                                                                       .user = user_id });
        r = refuse_too_many(request, title, wait_us);

        return r ? r : 1;
}

/* ---- the password */

static int check_password(struct cm_request *request, struct cm_str email_key,
                          struct cm_str password)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_claims *claims = cm_request_claims(request);
        struct credentials credentials = { 0 };
        int r = account_store_credentials(auth->worker->pg, cm_request_arena(request), email_key,
                                          &credentials);

        if (r >= 0)
                r = passwords_check(auth->passwords, password, credentials.password_hash);
        if (r == PASSWORD_WRONG)
                return step_up_refuse(request, &claims->sub, "step_up.password", "wrong_password");
        return r < 0 ? r : 0;
}

int step_up_password(struct cm_request *request, struct cm_str password)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_claims *claims = cm_request_claims(request);
        char session[CM_UUID_TEXT_SIZE];
        struct login_source source = { 0 };
        struct login_attempt attempt;
        struct user user;
        int64_t wait_us = 0;
        int r;

        r = account_store_read(auth->worker->pg, arena, &claims->sub, &user);
        if (r > 0)
                r = refuse_unauthorized(request, CM_CODE_UNAUTHORIZED,
                                        "This account is not active");
        if (r)
                return r;
        source.email_key = cm_email_canonical(arena, user.email);
        source.network = session_rules_network(arena, cm_request_peer(request));
        source.device_token =
                cm_arena_str(arena, cm_str_from(cm_uuid_format(&claims->sid, session)));
        r = login_limit_take(auth->worker->bus, arena, &auth->login_limit, &source, &attempt,
                             &wait_us);
        if (r == LOGIN_LIMIT_REACHED)
                return too_many(request, &claims->sub, "step_up.password",
                                "Too many wrong passwords", wait_us);
        if (!r)
                r = check_password(request, source.email_key, password);
        if (!r)
                login_limit_give_back(auth->worker->bus, arena, &attempt);
        return r;
}

/* ---- the code */

struct cm_str step_up_seal_context(struct cm_arena *arena, const struct cm_uuid *user_id)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "second_factors.sealed:%s", cm_uuid_format(user_id, text));
}

/* 0 when it fits, 1 when not. */
static int match(struct cm_request *request, const struct cm_uuid *user_id,
                 const struct code_attempt *attempt, struct cm_str code,
                 struct fitting_code *fitting_r)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf secret = { 0 };
        bool matches;
        int r = cm_unseal(auth->seal_keys, step_up_seal_context(cm_request_arena(request), user_id),
                          attempt->sealed, &secret);

        if (r || secret.len != TOTP_SECRET_SIZE) {
                cm_log(CM_LOG_ERROR, "SALUS_SEAL_KEYS does not open the secret of a second factor",
                       CM_F_UUID("user_id", *user_id));
                return r < 0 ? r : -CM_E_INTERNAL;
        }
        matches = totp_matches((const uint8_t *)secret.data, code, cm_request_now(request),
                               attempt->last_step, &fitting_r->step);
        cm_wipe(secret.data, secret.len);
        return matches ? 0 : 1;
}

int step_up_code(struct cm_request *request, const struct cm_uuid *user_id, struct cm_str code,
                 bool enrolling, struct fitting_code *fitting_r)
{
        struct auth *auth = cm_request_service(request);
        const struct code_limit limit = { auth->settings->code_limit,
                                          auth->settings->code_window_us };
        struct code_attempt attempt = { 0 };
        int r;

        *fitting_r = (struct fitting_code){ 0 };
        r = second_factor_store_try(auth->worker->pg, cm_request_arena(request), user_id, &limit,
                                    &attempt);
        if (r == SECOND_FACTOR_LIMIT_REACHED)
                return too_many(request, user_id, "step_up.code", "Too many wrong codes",
                                attempt.wait_us);
        if (r < 0)
                return r;
        if (r == SECOND_FACTOR_NONE || attempt.confirmed == enrolling)
                return step_up_refuse(request, user_id, "step_up.code", "no_second_factor");
        /* Whether a recovery code is one is for the statement that spends it to say. */
        if (!enrolling && recovery_code_digest(auth->secret, code, fitting_r->recovery))
                return 0;
        r = match(request, user_id, &attempt, code, fitting_r);
        return r > 0 ? step_up_refuse(request, user_id, "step_up.code", "wrong_code") : r;
}
