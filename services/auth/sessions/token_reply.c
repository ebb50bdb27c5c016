#include "token_reply.h"

#include <stdio.h>

#include "base/error.h"
#include "keys/key_keeper.h"
#include "session_rules.h"

static int sign_access_token(const struct auth *auth, const struct token_grant *grant, cm_time now,
                             struct cm_buf *token)
{
        const struct cm_signing_key *key = key_keeper_active(auth);
        struct cm_claims claims = {
                .sub = grant->user_id,
                .sid = grant->refresh->session_id,
                .tenant = grant->tenant_id,
                .jti = cm_uuid7(now),
                .type = grant->user_type,
                .issued_at = now,
                .expires_at = now + auth->settings->access_token_life_us,
        };

        snprintf(claims.scope, sizeof(claims.scope), "%s",
                 session_rules_scope(grant->user_type, grant->must_change));
        return key ? cm_token_sign(key, &auth->policy, &claims, token) : -CM_E_UNAVAILABLE;
}

int token_reply(struct cm_request *request, int status, const struct token_grant *grant)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf access = { 0 };
        char refresh[CHAIN_TEXT_SIZE];
        cm_time now = cm_request_now(request);
        struct tokens tokens;
        int r;

        r = sign_access_token(auth, grant, now, &access);
        if (r)
                return r;
        tokens = (struct tokens){
                .access_token = cm_buf_str(&access),
                .token_type = TOKENS_TOKEN_TYPE_BEARER,
                .expires_in = auth->settings->access_token_life_us / CM_SECOND,
                .refresh_token =
                        cm_str_from(chain_link_format(&auth->chain_key, grant->refresh, refresh)),
                .refresh_expires_in = session_rules_seconds_left(now, grant->refresh_expires_at),
                .scope = cm_str_from(session_rules_scope(grant->user_type, grant->must_change)),
                .session_id = grant->refresh->session_id,
        };
        if (grant->user) {
                tokens.user = *grant->user;
                tokens.has_user = CM_PRESENT;
        }
        if (grant->device_token.data) {
                tokens.device_token = grant->device_token;
                tokens.has_device_token = CM_PRESENT;
        }
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, status, &tokens_schema, &tokens);
}
