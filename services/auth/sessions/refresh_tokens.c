#include "announcements.h"
#include "errors.h"
#include "mails/security_notice.h"
#include "session_store.h"
#include "session_store_refresh.h"
#include "sign_in/refusals.h"
#include "token_reply.h"

/*
 * Rotation. The database decides by the generation; see session_store_refresh.c for the statement
 * and token_chain.c for what a token is.
 */

/* The family was ended in the statement that found out; its access tokens end now. */
static int reused(struct cm_request *request, const struct chain_link *presented,
                  const struct refresh_result *result)
{
        struct auth *auth = cm_request_service(request);
        struct ended_session ended = { presented->session_id, cm_request_now(request) };

        announce_ended_sessions(auth, cm_request_arena(request),
                                &(struct ended_sessions){ &ended, 1 });
        if (result->ended_now)
                security_notice_token_stolen(request, &result->user_id, &presented->session_id);
        return refuse_unauthorized(
                request, CM_CODE_TOKEN_REUSED,
                "This refresh token was used before; the session has been ended");
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

int auth_refresh(struct cm_request *request, const struct refresh *in)
{
        struct auth *auth = cm_request_service(request);
        struct chain_link presented;
        struct chain_link child;
        struct refresh_result result = { 0 };
        int r;

        if (!chain_link_parse(&auth->chain_key, in->refresh_token, &presented))
                return refuse_unauthorized(request, CM_CODE_UNAUTHORIZED,
                                           "Not a refresh token of ours");
        chain_link_make(&child, &presented.session_id, presented.generation + 1);
        r = present(request, &presented, &child, &result);
        switch (r) {
        case REFRESH_ROTATED:
                return granted(request, &child, &result);
        case REFRESH_SAME_CHILD:
                chain_link_wrap(&presented, result.wrapped_child, child.secret);
                return granted(request, &child, &result);
        case REFRESH_REUSED:
                return reused(request, &presented, &result);
        case REFRESH_OVER:
                return refuse_unauthorized(request, CM_CODE_TOKEN_EXPIRED, "This session is over");
        default:
                return r;
        }
}
