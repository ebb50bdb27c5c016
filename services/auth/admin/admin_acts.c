#include "admin_facts.h"
#include "admin_rules.h"
#include "admin_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "errors.h"
#include "mails/reset_mail.h"
#include "service/audit.h"

/*
 * What admins do with an account. An act is one transaction: the account under its lock, its new
 * state, the end of its sessions, the fact for the other services and the row of the audit log.
 * Then the ended sessions are told over Redis, so their access tokens are refused within a second.
 */

static int end_all(struct cm_request *request, struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                   struct ended_sessions *ended_r)
{
        const struct session_end end = { .user_id = user_id,
                                         .actor = &cm_request_claims(request)->sub,
                                         .reason = SESSION_END_ADMIN };

        return session_store_end_in(tx, request, &end, ended_r);
}

/* Why nothing is done. */
enum refusal_of_act {
        NOT_THERE = 1,
        OWN_ACCOUNT,
        OTHER_PHONE,
        DELETED,
        STANDS_FOR_NOBODY,
        REFERENCE_TAKEN,
        UNCHANGED
};

/* Its parts in their order. 0, REFERENCE_TAKEN or an error. */
static int write_act(struct cm_request *request, struct cm_pg_tx *tx, const struct admin_act *act,
                     struct cm_str reason, const struct account *account,
                     struct ended_sessions *ended_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r = admin_store_update(tx, account);

        if (r == ADMIN_REFERENCE_TAKEN)
                return REFERENCE_TAKEN;
        if (!r && act->ends_sessions)
                r = end_all(request, tx, &account->id, ended_r);
        if (!r && act->is_fact)
                r = admin_facts_updated(cm_request_service(request), tx, cm_request_arena(request),
                                        account);
        if (!r && act->must_change)
                r = reset_mail_add(request, tx, &account->id);
        audit_admin(request, act->name, &account->id, &account->id, reason, &audit);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* The account under its lock, as it is to become. 0, an enum refusal_of_act, or an error. */
static int prepare(struct cm_request *request, struct cm_pg_tx *tx, const struct cm_uuid *id,
                   const struct admin_act *act, struct account *account_r)
{
        int r = admin_store_lock(tx, cm_request_arena(request), id, account_r);

        if (r)
                return r < 0 ? r : NOT_THERE;
        if (cm_uuid_equal(id, &cm_request_claims(request)->sub))
                return OWN_ACCOUNT;
        if (act->phone.data)
                r = admin_store_has_phone(tx, id, act->phone);
        if (r)
                return r < 0 ? r : OTHER_PHONE;
        switch (admin_rules_apply(act, cm_request_now(request), account_r)) {
        case ADMIN_DELETED:
                return DELETED;
        case ADMIN_STANDS_FOR_NOBODY:
                return STANDS_FOR_NOBODY;
        case ADMIN_UNCHANGED:
                return UNCHANGED;
        default:
                return 0;
        }
}

static int reply_conflict(struct cm_request *request, const char *code, const char *title)
{
        const struct cm_problem problem = { .status = 409, .code = code, .title = title };

        return cm_reply_problem(request, &problem);
}

static int refuse(struct cm_request *request, const struct admin_act *act, const struct cm_uuid *id,
                  enum refusal_of_act refusal)
{
        static const char *const reasons[] = { [NOT_THERE] = "not_found",
                                               [OWN_ACCOUNT] = "own_account",
                                               [OTHER_PHONE] = "other_phone",
                                               [DELETED] = "deleted",
                                               [STANDS_FOR_NOBODY] = "stands_for_nobody",
                                               [REFERENCE_TAKEN] = "reference_taken" };

        refused_request_note_on(request, act->name, reasons[refusal], id);
        switch (refusal) {
        case OWN_ACCOUNT:
                return reply_conflict(request, CM_CODE_OWN_ACCOUNT,
                                      "One's own account is not changed this way");
        case OTHER_PHONE:
                return reply_conflict(request, CM_CODE_CONFLICT, "The account has not this number");
        case STANDS_FOR_NOBODY:
                return cm_reply_invalid(request, "/reference_id", "an admin stands for nobody");
        case REFERENCE_TAKEN:
                return reply_conflict(request, CM_CODE_CONFLICT, "Another account stands for it");
        case DELETED:
                return reply_conflict(request, CM_CODE_CONFLICT, "The account is deleted");
        default:
                return cm_reply_not_found(request);
        }
}

static int act_on(struct cm_request *request, const struct cm_uuid *id, const struct admin_act *act,
                  struct cm_str reason)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct ended_sessions ended = { 0 };
        struct account account;
        int r = cm_pg_begin(auth->worker->pg, ADMIN_SCOPE(cm_request_claims(request)), &tx);

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        r = prepare(request, tx, id, act, &account);
        if (r < 0)
                return r;
        if (r == UNCHANGED)
                return cm_reply_json(request, 200, &account_schema, &account);
        if (r) {
                cm_pg_rollback(&tx);
                return refuse(request, act, id, (enum refusal_of_act)r);
        }
        r = write_act(request, tx, act, reason, &account, &ended);
        if (r == REFERENCE_TAKEN) {
                cm_pg_rollback(&tx);
                return refuse(request, act, id, REFERENCE_TAKEN);
        }
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        cm_worker_wake_relay(auth->worker);
        announce_ended_sessions(auth, cm_request_arena(request), &ended);
        return cm_reply_json(request, 200, &account_schema, &account);
}

static struct cm_str reason_of(const struct act_reason *in)
{
        return in && in->has_reason == CM_PRESENT ? in->reason : CM_STR_NONE;
}

int auth_admin_user_change(struct cm_request *request,
                           const struct auth_admin_user_change_params *params,
                           const struct account_patch *in)
{
        const struct admin_act act = {
                .name = "account.change",
                .user_type = in->has_user_type == CM_PRESENT ? in->user_type : 0,
                .has_reference = in->has_reference_id,
                .reference_id = in->reference_id,
                .ends_sessions = in->has_user_type == CM_PRESENT,
                .is_fact = true,
        };

        return act_on(request, &params->id, &act, CM_STR_NONE);
}

int auth_admin_user_suspend(struct cm_request *request,
                            const struct auth_admin_user_suspend_params *params,
                            const struct act_reason *in)
{
        static const struct admin_act act = {
                .name = "account.suspend",
                .status = USER_STATUS_INACTIVE,
                .ends_sessions = true,
                .is_fact = true,
        };

        return act_on(request, &params->id, &act, reason_of(in));
}

int auth_admin_user_reactivate(struct cm_request *request,
                               const struct auth_admin_user_reactivate_params *params,
                               const struct act_reason *in)
{
        static const struct admin_act act = {
                .name = "account.reactivate",
                .status = USER_STATUS_ACTIVE,
                .is_fact = true,
        };

        return act_on(request, &params->id, &act, reason_of(in));
}

int auth_admin_password_reset(struct cm_request *request,
                              const struct auth_admin_password_reset_params *params,
                              const struct act_reason *in)
{
        static const struct admin_act act = {
                .name = "account.force_password_reset",
                .must_change = true,
                .ends_sessions = true,
        };

        return act_on(request, &params->id, &act, reason_of(in));
}

int auth_admin_phone_confirm(struct cm_request *request,
                             const struct auth_admin_phone_confirm_params *params,
                             const struct confirmed_phone *in)
{
        const struct admin_act act = {
                .name = "account.confirm_phone",
                .phone = in->phone_number,
                .is_fact = true,
        };

        return act_on(request, &params->id, &act,
                      in->has_reason == CM_PRESENT ? in->reason : CM_STR_NONE);
}

/* ---- sessions */

static int end_sessions(struct cm_request *request, struct cm_pg_tx *tx,
                        const struct account *account, struct ended_sessions *ended_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r = end_all(request, tx, &account->id, ended_r);

        audit_admin(request, "account.end_sessions", &account->id, &account->id, CM_STR_NONE,
                    &audit);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int auth_admin_sessions_end(struct cm_request *request,
                            const struct auth_admin_sessions_end_params *params)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct ended_sessions ended = { 0 };
        struct account account;
        int r = cm_pg_begin(auth->worker->pg, ADMIN_SCOPE(cm_request_claims(request)), &tx);

        if (!r)
                r = admin_store_lock(tx, cm_request_arena(request), &params->id, &account);
        if (r < 0)
                return r;
        if (r) {
                cm_pg_rollback(&tx);
                refused_request_note_on(request, "account.end_sessions", "not_found", &params->id);
                return cm_reply_not_found(request);
        }
        r = end_sessions(request, tx, &account, &ended);
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        announce_ended_sessions(auth, cm_request_arena(request), &ended);
        return cm_reply_json(request, 200, &account_sessions_ended_schema,
                             &(struct account_sessions_ended){ (int64_t)ended.count });
}
