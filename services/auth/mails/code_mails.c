#include "code_mails.h"

#include "audit/audit_rows.h"
#include "auth_api.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "errors.h"
#include "mails.h"
#include "service/audit.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

int code_mail_send(struct cm_request *request, const struct code_mail *mail)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params code_row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &mailed_code_insert, &code_row, NULL },
                { &cm_audit_insert, &audit, NULL },
                { &cm_outbox_insert, &fact, NULL },
        };
        const struct user *user = mail->reason ? NULL : mail->user;
        const struct cm_uuid nobody = cm_uuid7(cm_request_now(request));
        const struct cm_uuid *subject = mail->subject ? mail->subject : user ? &user->id : &nobody;
        struct mailed_code code;
        int r;

        if (!mails_are_possible(auth))
                return 0;
        mailed_code_make(auth->login_limit.secret, mail->purpose, cm_request_arena(request), &code);
        mailed_code_insert_params(&code, mail->purpose, subject, mail->bound, mail->life_us,
                                  &code_row);
        audit_code_mail(request, mail->action,
                        cm_uuid_is_nil(&mail->user->id) ? subject : &mail->user->id, mail->reason,
                        &audit);
        mails_params(request,
                     &(const struct mail){
                             .template = mail->template,
                             .user = subject,
                             .to = user ? user->email : CM_STR_NONE,
                             .language = user ? user->language : CM_STR("en"),
                             .time_zone = user ? user->time_zone : CM_STR("UTC"),
                             .code = code.text,
                             .life_us = mail->life_us,
                     },
                     &fact);
        r = cm_pg_flight(auth->worker->pg, &service_scope, items, CM_COUNT(items), NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int code_mail_accepted(struct cm_request *request)
{
        const struct accepted accepted = { .status = ACCEPTED_STATUS_ACCEPTED };

        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 202, &accepted_schema, &accepted);
}

int code_mail_invalid(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 400,
                .code = CM_CODE_CODE_INVALID,
                .title = "The code is wrong, too old, or was used before",
        };

        return cm_reply_problem(request, &problem);
}
