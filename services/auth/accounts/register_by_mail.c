#include "account_store.h"
#include "audit/audit_rows.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "mails/code_mails.h"
#include "mails/mails.h"
#include "new_account.h"
#include "service/audit.h"
#include "sign_in/route_limit.h"

/*
 * Whoever registers hears the same, whether or not the address has an account: what differs is the
 * mail, and that goes to the address. For both the password is hashed, the same rows are written
 * and one mail is asked for. The account itself is made when the address is confirmed, so
 * nobody holds the address of somebody else meanwhile.
 */
static const struct cm_pg_scope service_scope = { .role = "service" };

static struct mail mail_to_owner(const struct auth *auth, const struct user *user)
{
        return (struct mail){
                .template = MAIL_TEMPLATE_ACCOUNT_EXISTS,
                .user = &user->id,
                .to = user->status == USER_STATUS_ACTIVE ? user->email : CM_STR_NONE,
                .language = user->language,
                .time_zone = user->time_zone,
                .life_us = auth->settings->verification_life_us,
        };
}

static struct mail mail_to_newcomer(const struct auth *auth, const struct user *user,
                                    struct cm_str code)
{
        return (struct mail){
                .template = MAIL_TEMPLATE_VERIFY_EMAIL,
                .to = user->email,
                .language = user->language,
                .time_zone = user->time_zone,
                .code = code,
                .life_us = auth->settings->verification_life_us,
        };
}

static int store(struct cm_request *request, const struct pending_registration *registration,
                 const struct mailed_code *code, const struct mail *mail, const char *reason)
{
        struct auth *auth = cm_request_service(request);
        const struct user *user = &registration->user;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params code_row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &registration_store_insert, &row, NULL },
                { &mailed_code_insert, &code_row, NULL },
                { &cm_audit_insert, &audit, NULL },
                { &cm_outbox_insert, &fact, NULL },
        };
        uint8_t bound[MAILED_CODE_DIGEST_SIZE];
        int r;

        registration_store_insert_params(registration, auth->settings->verification_life_us, &row);
        mailed_code_bind(registration->email_key, CM_STR(""), bound);
        mailed_code_insert_params(code, CODE_VERIFY_EMAIL, &user->id, bound,
                                  auth->settings->verification_life_us, &code_row);
        audit_code_mail(request, "account.register", mail->user ? mail->user : &user->id, reason,
                        &audit);
        mails_params(request, mail, &fact);
        r = cm_pg_flight(auth->worker->pg, &service_scope, items, CM_COUNT(items), NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int register_by_mail(struct cm_request *request, struct pending_registration *registration,
                     struct cm_str password)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct credentials owner = { 0 };
        struct mailed_code code;
        struct mail mail;
        bool allowed;
        int found, r;

        r = route_limit_address(request, "auth_register", registration->email_key,
                                auth->settings->mail_account_limit, &allowed);
        if (r)
                return r;
        found = account_store_credentials(auth->worker->pg, arena, registration->email_key, &owner);
        if (found < 0)
                return found;
        r = passwords_hash(auth->passwords, arena, password, &registration->password_hash);
        if (r)
                return r;
        mailed_code_make(auth->login_limit.secret, CODE_VERIFY_EMAIL, arena, &code);
        mail = found == ACCOUNT_NOT_FOUND ? mail_to_newcomer(auth, &registration->user, code.text)
                                          : mail_to_owner(auth, &owner.user);
        if (!allowed)
                mail.to = CM_STR_NONE;
        r = store(request, registration, &code, &mail,
                  found == ACCOUNT_NOT_FOUND ? NULL : "account_exists");
        return r ? r : code_mail_accepted(request);
}
