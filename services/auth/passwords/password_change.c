#include "accounts/account_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "base/error.h"
#include "codec/text.h"
#include "errors.h"
#include "mails/mails.h"
#include "password_rules.h"
#include "service/audit.h"
#include "sign_in/refusals.h"
#include "sign_in/sign_in.h"
#include "sign_in/step_up.h"

/*
 * Another password, by who knows the present one. It ends every session, so that whoever stole one
 * is out, and the device that asked goes on with a new one: so its old tokens are void as well, and
 * a lost reply means signing in again and nothing worse.
 */
enum { PASSWORD_CHANGED = 1 };

struct change {
        struct credentials account; /* as it was before the proof */
        struct cm_str hash;
        struct sign_in sign_in;
        struct ended_sessions ended;
};

/* 0; positive after a reply; or an error. */
static int read_account(struct cm_request *request, struct credentials *account_r)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct user user;
        int r = account_store_read(auth->worker->pg, arena, &cm_request_claims(request)->sub,
                                   &user);

        if (!r)
                r = account_store_credentials(auth->worker->pg, arena,
                                              cm_email_canonical(arena, user.email), account_r);
        if (r <= 0)
                return r;
        r = refuse_unauthorized(request, CM_CODE_UNAUTHORIZED, "This account is not active");
        return r ? r : 1;
}

static int refuse_flawed(struct cm_request *request, struct cm_str password,
                         const struct user *user)
{
        const struct auth *auth = cm_request_service(request);
        const struct password_owner owner = { .email = user->email,
                                              .display_name = user->display_name };
        int flaw = password_rules_check(cm_request_arena(request), auth->common, password, &owner);
        int r;

        if (!flaw)
                return 0;
        r = cm_reply_invalid(request, "/new_password", "%s", password_rules_detail(flaw));
        return r ? r : 1;
}

/* 0; PASSWORD_CHANGED when it is not any more the one that was proven; or an error. */
static int replace_password(struct cm_request *request, struct cm_pg_tx *tx, struct change *change)
{
        const struct cm_uuid *user_id = &change->account.user.id;
        struct credentials now = { 0 };
        int r = account_store_lock_credentials(tx, cm_request_arena(request), user_id, &now);

        if (r < 0)
                return r;
        if (r || !cm_str_equal(now.password_hash, change->account.password_hash))
                return PASSWORD_CHANGED;
        return account_store_set_password(tx, user_id, change->hash);
}

static int write_change(struct cm_request *request, struct cm_pg_tx *tx, struct change *change)
{
        const struct user *user = &change->account.user;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params session = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        const struct session_end end = { .user_id = &user->id,
                                         .except = &change->sign_in.start.id,
                                         .reason = SESSION_END_PASSWORD };
        int r = replace_password(request, tx, change);

        if (r)
                return r;
        session_store_insert_params(&change->sign_in.start, &session);
        audit_password_changed(request, &user->id, &audit);
        r = cm_pg_tx_query(tx, &session_store_insert, &session, NULL);
        if (!r)
                r = session_store_succeed(tx, &change->sign_in.start.id,
                                          &cm_request_claims(request)->sid);
        if (!r)
                r = session_store_end_in(tx, request, &end, &change->ended);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = mails_tell(request, tx, user, MAIL_TEMPLATE_PASSWORD_CHANGED);
        return r > 0 ? -CM_E_DATABASE : r;
}

static int store(struct cm_request *request, struct change *change)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(auth->worker->pg, &service_scope, &tx);

        if (!r)
                r = write_change(request, tx, change);
        if (r)
                return r;
        r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

static int refuse_changed_meanwhile(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 409,
                .code = CM_CODE_CONFLICT,
                .title = "The password was changed in the meantime",
        };

        return cm_reply_problem(request, &problem);
}

int auth_password_change(struct cm_request *request, const struct password_change *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct change change = { 0 };
        int r = read_account(request, &change.account);

        if (!r)
                r = refuse_flawed(request, in->new_password, &change.account.user);
        if (!r)
                r = step_up_password(request, in->current_password);
        if (r)
                return r < 0 ? r : 0;
        r = passwords_hash(auth->passwords, arena, in->new_password, &change.hash);
        if (r)
                return r;
        change.account.user.password_must_change = false;
        change.account.user.has_password_must_change = CM_ABSENT;
        sign_in_prepare(request, &change.account.user, change.hash, CM_STR_NONE, &change.sign_in);
        r = store(request, &change);
        if (r == PASSWORD_CHANGED)
                return refuse_changed_meanwhile(request);
        if (r)
                return r;
        announce_ended_sessions(auth, arena, &change.ended);
        return sign_in_reply(request, 200, &change.sign_in, &change.account.user);
}
