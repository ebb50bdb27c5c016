#include <string.h>

#include "accounts/account_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "base/error.h"
#include "codec/text.h"
#include "mails/code_mails.h"
#include "mails/mails.h"
#include "password_rules.h"
#include "service/audit.h"
#include "sessions/session_store.h"
#include "sign_in/route_limit.h"

/*
 * A forgotten password. Asking costs the same for every address (code_mails.c). The code proves the
 * mailbox and nothing else: it sets the password, ends the sessions, and signs in nobody.
 */
static const struct cm_pg_scope service_scope = { .role = "service" };

int auth_forgot_password(struct cm_request *request, const struct address_only *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_str email_key = cm_email_canonical(arena, in->email);
        struct credentials account = { 0 };
        struct code_mail mail = {
                .purpose = CODE_RESET_PASSWORD,
                .template = MAIL_TEMPLATE_RESET_PASSWORD,
                .action = "password.forgot",
                .user = &account.user,
                .life_us = auth->settings->reset_life_us,
        };
        bool allowed;
        int r = route_limit_network(request, "auth_forgot_password",
                                    auth->settings->mail_network_limit);

        if (r)
                return r < 0 ? r : 0;
        r = route_limit_address(request, "auth_forgot_password", email_key,
                                auth->settings->mail_account_limit, &allowed);
        if (r)
                return r;
        if (!allowed)
                return code_mail_accepted(request);
        r = account_store_credentials(auth->worker->pg, arena, email_key, &account);
        if (r < 0)
                return r;
        if (r == ACCOUNT_NOT_FOUND)
                mail.reason = "no_account";
        else if (account.user.status != USER_STATUS_ACTIVE)
                mail.reason = "not_active";
        mailed_code_bind(email_key, account.password_hash, mail.bound);
        r = code_mail_send(request, &mail);
        return r ? r : code_mail_accepted(request);
}

/* ---- with the code */

struct reset {
        uint8_t digest[MAILED_CODE_DIGEST_SIZE];
        struct cm_str password_hash;
        struct ended_sessions ended;
};

static int store(struct cm_request *request, struct cm_pg_tx *tx, const struct user *user,
                 struct reset *reset)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        const struct session_end end = { .user_id = &user->id, .reason = SESSION_END_RESET };
        int r = account_store_set_password(tx, &user->id, reset->password_hash);

        if (!r)
                r = session_store_end_in(tx, request, &end, &reset->ended);
        if (!r)
                r = mailed_code_void(tx, CODE_RESET_PASSWORD, &user->id);
        audit_by_code(request, "password.reset", &user->id, &audit);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = mails_tell(request, tx, user, MAIL_TEMPLATE_PASSWORD_CHANGED);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* 0, CODE_INVALID or an error. */
static int use_code(struct cm_request *request, struct reset *reset)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        uint8_t bound[MAILED_CODE_DIGEST_SIZE], expected[MAILED_CODE_DIGEST_SIZE];
        struct credentials account = { 0 };
        struct cm_uuid user_id;
        int r = cm_pg_begin(auth->worker->pg, &service_scope, &tx);

        if (!r)
                r = mailed_code_use(tx, CODE_RESET_PASSWORD, reset->digest, &user_id, bound);
        if (r)
                return r;
        r = account_store_lock_credentials(tx, arena, &user_id, &account);
        if (r)
                return r == ACCOUNT_NOT_FOUND ? CODE_INVALID : r;
        mailed_code_bind(cm_email_canonical(arena, account.user.email), account.password_hash,
                         expected);
        if (memcmp(expected, bound, sizeof(expected)) != 0)
                return CODE_INVALID;
        r = store(request, tx, &account.user, reset);
        if (!r)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* Before the hash, which costs: whether the code is good, and whether the password may be the
 * account's. 0, positive after a reply, or an error. */
static int look(struct cm_request *request, const struct password_reset *in,
                const struct reset *reset)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct password_owner owner;
        struct cm_uuid user_id;
        struct user user;
        int flaw = 0;
        int r = mailed_code_look(auth->worker->pg, CODE_RESET_PASSWORD, reset->digest, &user_id);

        if (!r)
                r = account_store_read(auth->worker->pg, arena, &user_id, &user);
        if (!r) {
                owner = (struct password_owner){ user.email, user.display_name };
                flaw = password_rules_check(arena, auth->common, in->new_password, &owner);
        }
        if (r > 0)
                r = code_mail_invalid(request);
        else if (flaw)
                r = cm_reply_invalid(request, "/new_password", "%s", password_rules_detail(flaw));
        else
                return r;
        return r ? r : 1;
}

int auth_reset_password(struct cm_request *request, const struct password_reset *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct reset reset = { 0 };
        int r = route_limit_network(request, "auth_reset_password",
                                    auth->settings->mailed_code_limit);

        if (r)
                return r < 0 ? r : 0;
        mailed_code_digest(auth->login_limit.secret, CODE_RESET_PASSWORD, in->token, reset.digest);
        r = look(request, in, &reset);
        if (r)
                return r < 0 ? r : 0;
        r = passwords_hash(auth->passwords, arena, in->new_password, &reset.password_hash);
        if (r)
                return r;
        r = use_code(request, &reset);
        if (r == CODE_INVALID)
                return code_mail_invalid(request);
        if (r)
                return r;
        announce_ended_sessions(auth, arena, &reset.ended);
        return cm_reply_empty(request, 204);
}
