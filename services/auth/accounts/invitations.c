#include "admin/admin_facts.h"
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

static int mail(struct cm_request *request, struct cm_pg_tx *tx,
                const struct invitation *invitation, struct cm_str code, struct cm_str language)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct mail mail = {
                .template = MAIL_TEMPLATE_INVITATION,
                .to = invitation->email,
                .language = language,
                .time_zone = CM_STR("UTC"),
                .code = code,
                .life_us = invitation->expires_at - invitation->created_at,
        };

        if (!invitation->has_email)
                return 0;
        mails_params(request, &mail, &fact);
        return cm_pg_tx_query(tx, &cm_outbox_insert, &fact, NULL);
}

/* 0, INVITATION_INVALID when who invites is no admin any more, or an error. */
static int store(struct cm_request *request, const struct invitation *invitation,
                 const struct mailed_code *code, struct cm_str language)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_uuid *actor = &cm_request_claims(request)->sub;
        const struct cm_pg_scope scope = { .users = actor, .count = 1, .role = "service" };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct cm_str email_key = CM_STR_NONE;
        int r = cm_pg_begin(auth->worker->pg, &scope, &tx);

        if (invitation->has_email)
                email_key = cm_email_canonical(cm_request_arena(request), invitation->email);
        if (!r)
                r = invitation_store_insert(tx, invitation, email_key, actor, code->digest);
        if (r)
                return r;
        audit_invited(request, &invitation->id, &audit);
        r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = mail(request, tx, invitation, code->text, language);
        if (!r)
                r = cm_pg_commit(&tx);
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
        if (r == INVITATION_INVALID)
                return admin_no_longer(request);
        if (r)
                return r;
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 201, &invitation_schema, &invitation);
}
