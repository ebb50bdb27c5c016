#include "account_store.h"
#include "audit/audit_rows.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "events.h"
#include "mails/code_mails.h"
#include "new_account.h"
#include "service/audit.h"
#include "sign_in/route_limit.h"
#include "sys/fiber.h"
#include "user_facts.h"

#include <string.h>

/* An address is confirmed by its mailed code: of a registration, which becomes an account, or of an
 * account that has begun without. */
static const struct cm_pg_scope service_scope = { .role = "service" };

/* ---- a registration becomes an account */

static int use_invitation(struct cm_pg_tx *tx, const struct pending_registration *registration)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        if (!registration->is_invited)
                return 0;
        invitation_store_use_params(&registration->invitation, &registration->user.id, &params);
        return cm_pg_tx_query(tx, &invitation_store_use, &params, NULL);
}

/* 0; CM_PG_DUPLICATE: the address has an account by now, or the invitation another. */
static int make_account(struct cm_request *request, struct cm_pg_tx *tx,
                        struct pending_registration *registration)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        struct user *user = &registration->user;
        cm_time now = cm_request_now(request);
        int r;

        user->created_at = user->updated_at = user->email_verified_at = now;
        user->has_email_verified_at = CM_PRESENT;
        account_store_insert_params(user, registration->email_key, registration->password_hash,
                                    &row);
        user_facts_created(cm_request_service(request), cm_request_arena(request), user, &fact);
        audit_account_created(request, &user->id, &audit);
        r = cm_pg_tx_query(tx, &account_store_insert, &row, NULL);
        if (!r)
                r = use_invitation(tx, registration);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_outbox_insert, &fact, NULL);
        return r ? r : cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
}

/* ---- an account is confirmed */

static int store_confirmed(struct cm_request *request, struct cm_pg_tx *tx, struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        user_facts_updated(cm_request_service(request), cm_request_arena(request), user, &fact);
        audit_by_code(request, "email.verify", &user->id, &audit);
        r = account_store_verified(tx, user);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_outbox_insert, &fact, NULL);
        return r ? r : cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
}

/* 0, CODE_INVALID or an error. Confirmed once more is no change. */
static int confirm(struct cm_request *request, struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                   const uint8_t bound[MAILED_CODE_DIGEST_SIZE])
{
        struct cm_arena *arena = cm_request_arena(request);
        cm_time now = cm_request_now(request);
        uint8_t expected[MAILED_CODE_DIGEST_SIZE];
        struct credentials account = { 0 };
        struct user *user = &account.user;
        int r = account_store_lock_credentials(tx, arena, user_id, &account);

        if (r)
                return r == ACCOUNT_NOT_FOUND ? CODE_INVALID : r;
        mailed_code_bind(cm_email_canonical(arena, user->email), CM_STR(""), expected);
        if (memcmp(expected, bound, sizeof(expected)) != 0)
                return CODE_INVALID;
        if (user->has_email_verified_at == CM_PRESENT)
                return 0;
        user->email_verified_at = now;
        user->has_email_verified_at = CM_PRESENT;
        user->version++;
        user->updated_at = now > user->updated_at ? now : user->updated_at;
        return store_confirmed(request, tx, user);
}

static int use_code(struct cm_request *request, struct cm_pg_tx **tx, const uint8_t *digest)
{
        uint8_t bound[MAILED_CODE_DIGEST_SIZE];
        struct pending_registration registration = { 0 };
        struct cm_uuid subject;
        int r = mailed_code_use(*tx, CODE_VERIFY_EMAIL, digest, &subject, bound);

        if (r)
                return r;
        r = registration_store_take(*tx, cm_request_arena(request), &subject, &registration);
        if (r < 0)
                return r;
        if (r == REGISTRATION_GONE) {
                r = confirm(request, *tx, &subject, bound);
        } else {
                r = make_account(request, *tx, &registration);
                if (r == CM_PG_DUPLICATE)
                        return CODE_INVALID;
        }
        if (r)
                return r;
        r = cm_pg_commit(tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

int auth_verify_email(struct cm_request *request, const struct email_verification *in)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        uint8_t digest[MAILED_CODE_DIGEST_SIZE];
        int r = route_limit_network(request, "auth_verify_email",
                                    auth->settings->mailed_code_limit);

        if (r)
                return r < 0 ? r : 0;
        mailed_code_digest(auth->login_limit.secret, CODE_VERIFY_EMAIL, in->token, digest);
        r = cm_pg_begin(auth->worker->pg, &service_scope, &tx);
        if (!r)
                r = use_code(request, &tx, digest);
        if (r == CODE_INVALID)
                return code_mail_invalid(request);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return cm_reply_empty(request, 204);
}

/* ---- the mail again */

/* Whoever waits for it: an account that is not confirmed, or else the newest registration. */
static int find_waiting(struct auth *auth, struct cm_arena *arena, struct cm_str email_key,
                        struct user *user_r, const char **reason_r)
{
        struct pending_registration registration = { 0 };
        struct credentials account = { 0 };
        int found = account_store_credentials(auth->worker->pg, arena, email_key, &account);
        int waits = registration_store_find(auth->worker->pg, arena, email_key, &registration);

        if (found < 0 || waits < 0)
                return found < 0 ? found : waits;
        *user_r = found == 0 ? account.user : registration.user;
        if (found == 0 && user_r->has_email_verified_at == CM_PRESENT)
                *reason_r = "verified";
        else if (found == 0 && user_r->status != USER_STATUS_ACTIVE)
                *reason_r = "not_active";
        else if (found == ACCOUNT_NOT_FOUND && waits == REGISTRATION_GONE)
                *reason_r = "no_account";
        return 0;
}

int auth_resend_verification(struct cm_request *request, const struct address_only *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_str email_key = cm_email_canonical(arena, in->email);
        struct user user = { 0 };
        struct code_mail mail = {
                .purpose = CODE_VERIFY_EMAIL,
                .template = MAIL_TEMPLATE_VERIFY_EMAIL,
                .action = "email.ask",
                .user = &user,
                .life_us = auth->settings->verification_life_us,
        };
        bool allowed;
        int r = route_limit_network(request, "auth_resend_verification",
                                    auth->settings->mail_network_limit);

        if (r)
                return r < 0 ? r : 0;
        r = route_limit_address(request, "auth_resend_verification", email_key,
                                auth->settings->mail_account_limit, &allowed);
        if (!r && allowed)
                r = find_waiting(auth, arena, email_key, &user, &mail.reason);
        if (r)
                return r;
        mailed_code_bind(email_key, CM_STR(""), mail.bound);
        r = allowed ? code_mail_send(request, &mail) : 0;
        return r ? r : code_mail_accepted(request);
}
