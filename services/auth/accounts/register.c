#include "account_store.h"
#include "audit/audit_rows.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "errors.h"
#include "events.h"
#include "mails/mailed_code.h"
#include "mails/mails.h"
#include "new_account.h"
#include "passwords/password_rules.h"
#include "service/audit.h"
#include "sign_in/route_limit.h"
#include "sign_in/sign_in.h"
#include "sys/fiber.h"
#include "user_facts.h"

/*
 * Where addresses need not be confirmed first: an account, its first session and the fact for the
 * bus in one flight, all or nothing. Who has an account already is told so; register_by_mail.c
 * tells nobody.
 */
static const struct cm_pg_scope service_scope = { .role = "service" };

static int email_taken(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 409,
                .code = CM_CODE_EMAIL_TAKEN,
                .title = "There is an account with this e-mail address",
        };

        return cm_reply_problem(request, &problem);
}

static int not_allowed(struct cm_request *request, const char *code)
{
        const struct cm_error_code *known = cm_error_code_find(code);
        const struct cm_problem problem = {
                .status = known->status,
                .code = code,
                .title = known->title,
        };

        return cm_reply_problem(request, &problem);
}

struct user new_account(struct cm_request *request, const struct registration *in)
{
        const struct auth *auth = cm_request_service(request);
        cm_time now = cm_request_now(request);

        return (struct user){
                .id = cm_uuid7(now),
                .tenant_id = auth->default_tenant,
                .user_type = USER_TYPE_PATIENT,
                .status = USER_STATUS_ACTIVE,
                .email = in->email,
                .display_name = in->has_display_name ? in->display_name : CM_STR_NONE,
                .has_display_name = in->has_display_name,
                .first_name = in->has_first_name ? in->first_name : CM_STR_NONE,
                .has_first_name = in->has_first_name,
                .language = in->language,
                .time_zone = in->time_zone,
                .preferences = CM_STR("{}"),
                .privacy_settings = CM_STR("{}"),
                .version = 1,
                .created_at = now,
                .updated_at = now,
        };
}

/* ---- at once */

/* A confirmation of the address, which nothing waits for. */
static void ask_for_mail(struct cm_request *request, const struct pending_registration *account,
                         struct cm_pg_params *code_row, struct cm_pg_params *fact)
{
        const struct auth *auth = cm_request_service(request);
        const struct user *user = &account->user;
        uint8_t bound[MAILED_CODE_DIGEST_SIZE];
        struct mailed_code code;

        mailed_code_make(auth->login_limit.secret, CODE_VERIFY_EMAIL, cm_request_arena(request),
                         &code);
        mailed_code_bind(account->email_key, CM_STR(""), bound);
        mailed_code_insert_params(&code, CODE_VERIFY_EMAIL, &user->id, bound,
                                  auth->settings->verification_life_us, code_row);
        mails_params(request,
                     &(const struct mail){
                             .template = MAIL_TEMPLATE_VERIFY_EMAIL,
                             .user = &user->id,
                             .to = user->email,
                             .language = user->language,
                             .time_zone = user->time_zone,
                             .code = code.text,
                             .life_us = auth->settings->verification_life_us,
                     },
                     fact);
}

enum stored { EMAIL_TAKEN = 1, INVITATION_USED };

static int store(struct cm_request *request, const struct pending_registration *account,
                 const struct session_start *start)
{
        struct auth *auth = cm_request_service(request);
        const struct user *user = &account->user;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params use = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params session = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params code = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params mail = { 0 };
        struct cm_pg_flight_item items[7] = {
                { &account_store_insert, &row, NULL },
                { &session_store_insert, &session, NULL },
                { &cm_audit_insert, &audit, NULL },
                { &cm_outbox_insert, &fact, NULL },
        };
        size_t count = 4, failed = 0;
        int r;

        account_store_insert_params(user, account->email_key, account->password_hash, &row);
        session_store_insert_params(start, &session);
        audit_account_created(request, &user->id, &audit);
        user_facts_created(auth, cm_request_arena(request), user, &fact);
        if (auth->verification == VERIFICATION_OPTIONAL) {
                ask_for_mail(request, account, &code, &mail);
                items[count++] = (struct cm_pg_flight_item){ &mailed_code_insert, &code, NULL };
                items[count++] = (struct cm_pg_flight_item){ &cm_outbox_insert, &mail, NULL };
        }
        if (account->is_invited) {
                invitation_store_use_params(&account->invitation, &user->id, &use);
                items[count++] = (struct cm_pg_flight_item){ &invitation_store_use, &use, NULL };
        }
        r = cm_pg_flight(auth->worker->pg, &service_scope, items, count, &failed);
        if (r == CM_PG_DUPLICATE && failed == 0)
                return EMAIL_TAKEN;
        if (r == CM_PG_DUPLICATE && items[failed].statement == &invitation_store_use)
                return INVITATION_USED;
        return r > 0 ? -CM_E_DATABASE : r;
}

static int create(struct cm_request *request, const struct registration *in,
                  struct pending_registration *account)
{
        struct auth *auth = cm_request_service(request);
        struct sign_in sign_in;
        int r;

        r = passwords_hash(auth->passwords, cm_request_arena(request), in->password,
                           &account->password_hash);
        if (r)
                return r;
        sign_in_prepare(request, &account->user, account->password_hash,
                        in->has_device_name ? in->device_name : CM_STR_NONE, &sign_in);
        r = store(request, account, &sign_in.start);
        if (r == EMAIL_TAKEN)
                return email_taken(request);
        if (r == INVITATION_USED)
                return not_allowed(request, CM_CODE_INVITATION_INVALID);
        return r ? r : sign_in_reply(request, 201, &sign_in, &account->user);
}

/* ---- who may */

/* 0, INVITATION_INVALID or an error. One that is given counts where none is needed too: it may make
 * another kind of account. */
static int look_at_invitation(struct cm_request *request, const struct registration *in,
                              struct pending_registration *account)
{
        struct auth *auth = cm_request_service(request);
        uint8_t digest[MAILED_CODE_DIGEST_SIZE];

        if (!in->has_invitation)
                return auth->registration == REGISTRATION_OPEN ? 0 : INVITATION_INVALID;
        mailed_code_digest(auth->login_limit.secret, CODE_INVITATION, in->invitation, digest);
        return invitation_store_find(auth->worker->pg, digest, account->email_key, account);
}

int auth_register(struct cm_request *request, const struct registration *in)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct password_owner owner = {
                .email = in->email,
                .display_name = in->has_display_name ? in->display_name : CM_STR_NONE,
        };
        struct pending_registration account = { 0 };
        int r;

        r = password_rules_check(arena, auth->common, in->password, &owner);
        if (r)
                return cm_reply_invalid(request, "/password", "%s", password_rules_detail(r));
        if (auth->registration == REGISTRATION_CLOSED)
                return not_allowed(request, CM_CODE_REGISTRATION_CLOSED);
        r = route_limit_network(request, "auth_register", auth->settings->register_limit);
        if (r)
                return r < 0 ? r : 0;
        account.user = new_account(request, in);
        account.email_key = cm_email_canonical(arena, in->email);
        r = look_at_invitation(request, in, &account);
        if (r == INVITATION_INVALID)
                return not_allowed(request, CM_CODE_INVITATION_INVALID);
        if (r)
                return r;
        return auth->verification == VERIFICATION_REQUIRED
                       ? register_by_mail(request, &account, in->password)
                       : create(request, in, &account);
}
