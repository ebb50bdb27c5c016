#include "audit/audit_rows.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "mails/mailed_code.h"
#include "mails/mails.h"
#include "registration_store.h"
#include "service/audit.h"

/* An admin invites somebody: the code of an invitation is mailed, or shown once. */

static int32_t user_type_of(const struct new_invitation *in)
{
        switch (in->has_user_type ? in->user_type : NEW_INVITATION_USER_TYPE_PATIENT) {
        case NEW_INVITATION_USER_TYPE_DOCTOR:
                return USER_TYPE_DOCTOR;
        case NEW_INVITATION_USER_TYPE_INSTITUTION:
                return USER_TYPE_INSTITUTION;
        default:
                return USER_TYPE_PATIENT;
        }
}

static int store(struct cm_request *request, const struct invitation *invitation,
                 const struct mailed_code *code, struct cm_str language)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &invitation_store_insert, &row, NULL },
                { &cm_audit_insert, &audit, NULL },
                { &cm_outbox_insert, &fact, NULL },
        };
        size_t count = invitation->has_email ? 3 : 2;
        int r;

        invitation_store_insert_params(
                invitation,
                invitation->has_email ? cm_email_canonical(arena, invitation->email) : CM_STR_NONE,
                &cm_request_claims(request)->sub, code->digest, &row);
        audit_invited(request, &invitation->id, &audit);
        if (invitation->has_email)
                mails_params(request,
                             &(const struct mail){
                                     .template = MAIL_TEMPLATE_INVITATION,
                                     .to = invitation->email,
                                     .language = language,
                                     .time_zone = CM_STR("UTC"),
                                     .code = code->text,
                                     .life_us = invitation->expires_at - invitation->created_at,
                             },
                             &fact);
        r = cm_pg_flight(auth->worker->pg, &service_scope, items, count, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int auth_invite(struct cm_request *request, const struct new_invitation *in)
{
        const struct auth *auth = cm_request_service(request);
        cm_time now = cm_request_now(request);
        struct invitation invitation = {
                .id = cm_uuid7(now),
                .user_type = user_type_of(in),
                .created_at = now,
                .expires_at = now + auth->settings->invitation_life_us,
        };
        struct mailed_code code;
        int r;

        if (in->has_email && !mails_are_possible(auth))
                return cm_reply_invalid(request, "/email",
                                        "no mail can be sent: SALUS_CONTACT_KEYS is not set");
        mailed_code_make(auth->login_limit.secret, CODE_INVITATION, cm_request_arena(request),
                         &code);
        invitation.email = in->has_email ? in->email : CM_STR_NONE;
        invitation.has_email = in->has_email;
        if (!in->has_email) {
                invitation.token = code.text;
                invitation.has_token = CM_PRESENT;
        }
        r = store(request, &invitation, &code, in->has_language ? in->language : CM_STR("en"));
        if (r)
                return r;
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 201, &invitation_schema, &invitation);
}
