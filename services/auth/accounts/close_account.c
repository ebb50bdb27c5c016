#include "account_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "auth_api.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "errors.h"
#include "events.h"
#include "service/audit.h"
#include "sign_in/refusals.h"
#include "sign_in/step_up.h"
#include "sys/fiber.h"
#include "user_facts.h"

/*
 * The end of an account by its owner: deactivated, or deleted. The account's state, the ends of all
 * its sessions, the audit rows and the facts for the other services commit together.
 */

/* Deleted: what is left is an id that other facts may name. */
static void empty(struct user *user)
{
        *user = (struct user){
                .id = user->id,
                .tenant_id = user->tenant_id,
                .user_type = user->user_type,
                .status = USER_STATUS_DELETED,
                .language = CM_STR("en"),
                .time_zone = CM_STR("UTC"),
                .version = user->version,
                .updated_at = user->updated_at,
        };
}

static void put_facts(struct cm_request *request, const struct user *user,
                      struct cm_pg_params *params)
{
        struct cm_arena *arena = cm_request_arena(request);
        const struct user_erased erased = { .user_id = user->id, .erased_at = user->updated_at };
        struct cm_event events[2];
        struct user_ref ref;
        size_t count = 1;

        user_facts_ref(cm_request_service(request), arena, user, &ref);
        event_user_updated(&events[0], arena, cm_fiber_context(), user->updated_at, &user->id,
                           &ref);
        events[0].tenant = user->tenant_id;
        if (user->status == USER_STATUS_DELETED) {
                event_user_erased(&events[1], arena, cm_fiber_context(), user->updated_at,
                                  &user->id, &erased);
                events[1].tenant = user->tenant_id;
                count = 2;
        }
        cm_outbox_params(events, count, params);
}

static int write_down(struct cm_request *request, struct cm_pg_tx *tx, const struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params facts = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        bool deleted = user->status == USER_STATUS_DELETED;
        int r;

        put_facts(request, user, &facts);
        audit_account_closed(request, &user->id, deleted ? "account.delete" : "account.deactivate",
                             &audit);
        r = deleted ? account_store_erase(tx, user) : account_store_set_status(tx, user);
        if (!r && deleted)
                r = session_store_forget_devices(tx, &user->id);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_outbox_insert, &facts, NULL);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* 0, ACCOUNT_NOT_FOUND when it is not active any more, or an error. */
static int close_in(struct cm_request *request, struct cm_pg_tx *tx, int32_t status,
                    struct ended_sessions *ended_r)
{
        const struct cm_uuid *user_id = &cm_request_claims(request)->sub;
        const struct session_end end = { .user_id = user_id, .reason = SESSION_END_ACCOUNT };
        cm_time now = cm_request_now(request);
        struct user user = { 0 };
        int r;

        r = account_store_lock_to_close(tx, cm_request_arena(request), user_id, &user);
        if (r)
                return r;
        user.status = status;
        user.version++;
        user.updated_at = now > user.updated_at ? now : user.updated_at;
        if (status == USER_STATUS_DELETED)
                empty(&user);
        r = session_store_end_in(tx, request, &end, ended_r);
        return r ? r : write_down(request, tx, &user);
}

static int close_account(struct cm_request *request, struct cm_str password, int32_t status)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_pg_scope scope = { .users = &cm_request_claims(request)->sub, .count = 1 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct ended_sessions ended;
        int r;

        r = step_up_password(request, password);
        if (r)
                return r < 0 ? r : 0;
        r = cm_pg_begin(auth->worker->pg, &scope, &tx);
        if (!r)
                r = close_in(request, tx, status, &ended);
        if (r == ACCOUNT_NOT_FOUND)
                return refuse_unauthorized(request, CM_CODE_UNAUTHORIZED,
                                           "This account is not active");
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        announce_ended_sessions(auth, cm_request_arena(request), &ended);
        return cm_reply_empty(request, 204);
}

int auth_me_deactivate(struct cm_request *request, const struct password_proof *in)
{
        return close_account(request, in->password, USER_STATUS_INACTIVE);
}

int auth_me_delete(struct cm_request *request, const struct password_proof *in)
{
        return close_account(request, in->password, USER_STATUS_DELETED);
}
