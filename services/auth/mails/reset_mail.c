#include "reset_mail.h"

#include "accounts/account_store.h"
#include "admin/admin_store.h"
#include "auth.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "mailed_code.h"
#include "mails.h"

static int add(struct cm_request *request, struct cm_pg_tx *tx, const struct credentials *account)
{
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params code_row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct user *user = &account->user;
        uint8_t bound[MAILED_CODE_DIGEST_SIZE];
        struct mailed_code code;
        int r;

        mailed_code_make(auth->login_limit.secret, CODE_RESET_PASSWORD, arena, &code);
        mailed_code_bind(cm_email_canonical(arena, user->email), account->password_hash, bound);
        mailed_code_insert_params(&code, CODE_RESET_PASSWORD, &user->id, bound,
                                  auth->settings->reset_life_us, &code_row);
        mails_params(request,
                     &(const struct mail){ .template = MAIL_TEMPLATE_RESET_PASSWORD,
                                           .user = &user->id,
                                           .to = user->email,
                                           .language = user->language,
                                           .time_zone = user->time_zone,
                                           .code = code.text,
                                           .life_us = auth->settings->reset_life_us },
                     &fact);
        r = cm_pg_tx_query(tx, &mailed_code_insert, &code_row, NULL);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_outbox_insert, &fact, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int reset_mail_add(struct cm_request *request, struct cm_pg_tx *tx, const struct cm_uuid *user_id)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct credentials account = { 0 };
        int r;

        if (!mails_are_possible(cm_request_service(request)))
                return 0;
        r = cm_pg_tx_scope(tx, &service_scope);
        if (!r)
                r = account_store_lock_credentials(tx, cm_request_arena(request), user_id,
                                                   &account);
        if (!r)
                r = add(request, tx, &account);
        if (r < 0)
                return r;
        return cm_pg_tx_scope(tx, ADMIN_SCOPE(cm_request_claims(request)));
}
