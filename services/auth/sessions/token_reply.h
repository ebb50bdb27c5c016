#pragma once
#include "auth.h"
#include "auth_api.h"
#include "http/request.h"

/* The reply that carries tokens: to a registration, a login, a refresh. */
struct token_grant {
        struct cm_uuid user_id;
        struct cm_uuid tenant_id;
        int32_t user_type;
        bool must_change;
        const struct chain_link *refresh;
        cm_time refresh_expires_at;
        const struct user *user;    /* NULL: not part of the reply */
        struct cm_str device_token; /* absent: likewise */
};

/* Signs an access token and replies. */
int token_reply(struct cm_request *request, int status, const struct token_grant *grant);
