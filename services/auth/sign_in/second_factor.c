#include <string.h>

#include "accounts/account_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "errors.h"
#include "recovery_codes.h"
#include "service/audit.h"
#include "step_up.h"
#include "totp.h"

/*
 * One's own second factor. What changes it asks for the password again, and for a code when it is
 * in use; what it changes ends all other sessions, since whoever holds them proved less.
 */

int auth_second_factor_read(struct cm_request *request)
{
        struct auth *auth = cm_request_service(request);
        struct second_factor_state state;
        struct second_factor reply;
        int r = second_factor_store_read(auth->worker->pg, &cm_request_claims(request)->sub,
                                         &state);

        if (r)
                return r;
        reply = (struct second_factor){
                .active = state.active,
                .active_since = state.active_since,
                .has_active_since = state.active ? CM_PRESENT : CM_ABSENT,
                .recovery_codes_left = state.recovery_codes_left,
        };
        return cm_reply_json(request, 200, &second_factor_schema, &reply);
}

/* ---- enrolment */

static int reply_enrolment(struct cm_request *request, const uint8_t secret[TOTP_SECRET_SIZE],
                           struct cm_str email)
{
        const struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct totp_enrolment reply = {
                .secret = totp_secret_text(arena, secret),
                .uri = totp_uri(arena, cm_str_from(auth->settings->second_factor_issuer), email,
                                secret),
        };

        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 200, &totp_enrolment_schema, &reply);
}

static int in_use(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 409,
                .code = CM_CODE_CONFLICT,
                .title = "This account has a second factor; remove it first",
        };

        return cm_reply_problem(request, &problem);
}

static int enrol(struct cm_request *request, struct cm_str email)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf sealed = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        uint8_t secret[TOTP_SECRET_SIZE];
        int r;

        cm_random(secret, sizeof(secret));
        cm_seal(auth->seal_keys, step_up_seal_context(cm_request_arena(request), user_id),
                (struct cm_str){ (const char *)secret, sizeof(secret) }, &sealed);
        audit_proof(request, user_id, "second_factor.enrol", NULL, &audit);
        r = second_factor_store_enrol(auth->worker->pg, user_id, cm_buf_str(&sealed), &audit);
        if (r == SECOND_FACTOR_IN_USE)
                r = in_use(request);
        else if (!r)
                r = reply_enrolment(request, secret, email);
        cm_wipe(secret, sizeof(secret));
        return r;
}

int auth_second_factor_enrol(struct cm_request *request, const struct fresh_password *in)
{
        struct auth *auth = cm_request_service(request);
        struct user user;
        int r = step_up_password(request, in->password);

        if (r)
                return r > 0 ? 0 : r;
        r = account_store_read(auth->worker->pg, cm_request_arena(request),
                               &cm_request_claims(request)->sub, &user);
        return r ? (r < 0 ? r : -CM_E_DATABASE) : enrol(request, user.email);
}

/* ---- what a code proves */

typedef int change_fn(struct cm_pg_tx *tx, const struct cm_uuid *user_id);

static int replace_codes(struct cm_request *request, struct cm_pg_tx *tx, struct cm_str *codes)
{
        const struct auth *auth = cm_request_service(request);
        const struct cm_str pepper = auth->secret;
        uint8_t digests[RECOVERY_CODE_COUNT][CM_SHA256_SIZE];

        for (size_t i = 0; i < RECOVERY_CODE_COUNT; i++) {
                codes[i] = recovery_code_make(cm_request_arena(request));
                if (!recovery_code_digest(pepper, codes[i], digests[i]))
                        return -CM_E_INTERNAL;
        }
        return second_factor_store_codes(tx, &cm_request_claims(request)->sub, digests,
                                         RECOVERY_CODE_COUNT);
}

/* What one proven change comes to. */
struct change {
        const char *action;
        change_fn *apply; /* may be NULL */
        bool makes_codes;
        bool ends_sessions; /* the others of this account */
        struct cm_str codes[RECOVERY_CODE_COUNT];
        struct ended_sessions ended;
};

static int change_in(struct cm_request *request, struct cm_pg_tx *tx,
                     const struct fitting_code *code, struct change *change)
{
        const struct cm_claims *claims = cm_request_claims(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        const struct session_end end = { .user_id = &claims->sub,
                                         .except = &claims->sid,
                                         .reason = SESSION_END_FACTOR };
        int r = second_factor_store_spend(tx, &claims->sub, code);

        if (!r && change->apply)
                r = change->apply(tx, &claims->sub);
        if (!r && change->makes_codes)
                r = replace_codes(request, tx, change->codes);
        if (!r && change->ends_sessions)
                r = session_store_end_in(tx, request, &end, &change->ended);
        if (r)
                return r;
        audit_proof(request, &claims->sub, change->action, NULL, &audit);
        r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* 0 when it is done and durable; positive when the request has been answered. */
static int make_change(struct cm_request *request, const struct fitting_code *code,
                       struct change *change)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(auth->worker->pg, &scope, &tx);

        if (!r)
                r = change_in(request, tx, code, change);
        if (r == SECOND_FACTOR_SPENT) {
                cm_pg_rollback(&tx);
                return step_up_refuse(request, user_id, change->action, "spent");
        }
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        announce_ended_sessions(auth, cm_request_arena(request), &change->ended);
        return 0;
}

static int reply_codes(struct cm_request *request, struct change *change)
{
        const struct recovery_codes reply = { .recovery_codes = { change->codes,
                                                                  RECOVERY_CODE_COUNT } };

        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 200, &recovery_codes_schema, &reply);
}

int auth_second_factor_confirm(struct cm_request *request, const struct totp_confirmation *in)
{
        struct change change = {
                .action = "second_factor.confirm",
                .apply = second_factor_store_confirm,
                .makes_codes = true,
                .ends_sessions = true,
        };
        struct fitting_code code;
        int r = step_up_code(request, &cm_request_claims(request)->sub, in->code, true, &code);

        if (!r)
                r = make_change(request, &code, &change);
        if (r)
                return r > 0 ? 0 : r;
        return reply_codes(request, &change);
}

/* Password and code. 0, or positive when the request has been answered. */
static int prove(struct cm_request *request, const struct fresh_proof *in,
                 struct fitting_code *code_r)
{
        int r = step_up_password(request, in->password);

        return r ? r
                 : step_up_code(request, &cm_request_claims(request)->sub, in->code, false, code_r);
}

int auth_second_factor_renew(struct cm_request *request, const struct fresh_proof *in)
{
        struct change change = { .action = "second_factor.renew_codes", .makes_codes = true };
        struct fitting_code code;
        int r = prove(request, in, &code);

        if (!r)
                r = make_change(request, &code, &change);
        if (r)
                return r > 0 ? 0 : r;
        return reply_codes(request, &change);
}

int auth_second_factor_remove(struct cm_request *request, const struct fresh_proof *in)
{
        struct change change = {
                .action = "second_factor.remove",
                .apply = second_factor_store_remove,
                .ends_sessions = true,
        };
        struct fitting_code code;
        int r = prove(request, in, &code);

        if (!r)
                r = make_change(request, &code, &change);
        if (r)
                return r > 0 ? 0 : r;
        return cm_reply_empty(request, 204);
}
