#include "sign_in.h"

#include "codec/text.h"
#include "device_token.h"
#include "sessions/session_rules.h"

void sign_in_prepare(struct cm_request *request, const struct user *user,
                     struct cm_str password_hash, struct cm_str device_name,
                     struct sign_in *sign_in_r)
{
        const struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_uuid session_id = cm_uuid7(cm_request_now(request));

        chain_link_make(&sign_in_r->link, &session_id, 1);
        sign_in_r->start = (struct session_start){
                .id = session_id,
                .user_id = user->id,
                .password_hash = password_hash,
                .device_name = device_name,
                .ip = cm_request_peer(request),
                .user_agent =
                        session_rules_user_agent(arena, cm_request_header(request, "user-agent")),
                .idle_us = auth->settings->refresh_token_life_us,
                .life_us = auth->settings->session_life_us,
        };
        chain_link_digest(&sign_in_r->link, sign_in_r->start.digest);
}

int sign_in_reply(struct cm_request *request, int status, const struct sign_in *sign_in,
                  const struct user *user)
{
        const struct auth *auth = cm_request_service(request);
        const struct session_start *start = &sign_in->start;
        struct cm_str email_key = cm_email_canonical(cm_request_arena(request), user->email);
        cm_time now = cm_request_now(request);
        char device_token[DEVICE_TOKEN_SIZE];
        int64_t life_us = start->idle_us < start->life_us ? start->idle_us : start->life_us;
        const struct token_grant grant = {
                .user_id = user->id,
                .tenant_id = user->tenant_id,
                .user_type = user->user_type,
                .must_change = user->password_must_change,
                .refresh = &sign_in->link,
                .refresh_expires_at = now + life_us,
                .user = user,
                .device_token = cm_str_from(
                        device_token_make(auth->login_limit.secret, email_key, now, device_token)),
        };

        return token_reply(request, status, &grant);
}
