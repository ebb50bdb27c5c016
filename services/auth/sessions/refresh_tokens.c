#include "accounts/account_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "base/error.h"
#include "errors.h"
#include "mails/security_notice.h"
#include "service/audit.h"
#include "session_store.h"
#include "session_store_refresh.h"
#include "sign_in/refusals.h"
#include "token_reply.h"

/*
 * Rotation. The database decides by the generation; see session_store_refresh.c for the statement
 * and token_chain.c for what a token is.
 */

/* Its access tokens end now. */
static int reused(struct cm_request *request, const struct chain_link *presented)
{
        struct auth *auth = cm_request_service(request);
        struct ended_session ended = { presented->session_id, cm_request_now(request) };

        announce_ended_sessions(auth, cm_request_arena(request),
                                &(struct ended_sessions){ &ended, 1 });
        return refuse_unauthorized(
                request, CM_CODE_TOKEN_REUSED,
                "This refresh token was used before; the session has been ended");
}

static int over(struct cm_request *request)
{
        return refuse_unauthorized(request, CM_CODE_TOKEN_EXPIRED, "This session is over");
}

/* The end of the family, its row of the audit log, and the mail that tells its owner. The account
 * is locked before the session, as by whoever closes it. */
static int end_family(struct cm_request *request, struct cm_pg_tx *tx,
                      const struct cm_uuid *session_id, const struct cm_uuid *user_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        struct credentials owner = { 0 };
        int found = account_store_lock_credentials(tx, cm_request_arena(request), user_id, &owner);
        int outcome, r = 0;

        if (found < 0)
                return found;
        outcome = session_store_stolen(tx, session_id);
        if (outcome < 0)
                return outcome;
        audit_refresh_refused(request, user_id, session_id,
                              outcome == REFRESH_OVER ? "session_over" : "token_reused", &audit);
        if (!outcome && !found)
                r = security_notice_token_stolen(request, tx, &owner.user, session_id);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return outcome;
}

static int stolen(struct cm_request *request, const struct chain_link *presented,
                  const struct refresh_result *result)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int outcome, r = cm_pg_begin(auth->worker->pg, &service_scope, &tx);

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        outcome = end_family(request, tx, &presented->session_id, &result->user_id);
        if (outcome < 0)
                return outcome;
        r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        cm_worker_wake_relay(auth->worker);
        return outcome == REFRESH_OVER ? over(request) : reused(request, presented);
}

static int granted(struct cm_request *request, const struct chain_link *child,
                   const struct refresh_result *result)
{
        const struct token_grant grant = {
                .user_id = result->user_id,
                .tenant_id = result->tenant_id,
                .user_type = result->user_type,
                .must_change = result->must_change,
                .refresh = child,
                .refresh_expires_at = result->idle_expires_at,
        };

        return token_reply(request, 200, &grant);
}

static int present(struct cm_request *request, const struct chain_link *presented,
                   const struct chain_link *child, struct refresh_result *result_r)
{
        struct auth *auth = cm_request_service(request);
        const struct refresh_attempt attempt = { .presented = presented, .child = child };

        return session_refresh_present(auth->refreshes, request, &attempt, result_r);
}

static int not_ours(struct cm_request *request)
{
        refused_request_note(request, &(const struct refused_request){ .action = "session.refresh",
                                                                       .reason = "not_ours",
                                                                       .method = "refresh" });
        return refuse_unauthorized(request, CM_CODE_UNAUTHORIZED, "Not a refresh token of ours");
}

int auth_refresh(struct cm_request *request, const struct refresh *in)
{
        struct auth *auth = cm_request_service(request);
        struct chain_link presented;
        struct chain_link child;
        struct refresh_result result = { 0 };
        int r;

        if (!chain_link_parse(&auth->chain_key, in->refresh_token, &presented))
                return not_ours(request);
        chain_link_make(&child, &presented.session_id, presented.generation + 1);
        r = present(request, &presented, &child, &result);
        switch (r) {
        case REFRESH_ROTATED:
                return granted(request, &child, &result);
        case REFRESH_SAME_CHILD:
                chain_link_wrap(&presented, result.wrapped_child, child.secret);
                return granted(request, &child, &result);
        case REFRESH_REUSED:
                return reused(request, &presented);
        case REFRESH_STOLEN:
                return stolen(request, &presented, &result);
        case REFRESH_OVER:
                return over(request);
        default:
                return r;
        }
}
