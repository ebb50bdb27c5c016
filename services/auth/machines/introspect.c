#include <string.h>

#include "auth.h"
#include "auth_api.h"
#include "base/error.h"
#include "errors.h"
#include "http/request.h"
#include "http/target.h"
#include "service/tokens.h"
#include "token_subject.h"

/*
 * For gateways that cannot verify tokens, or must know at once that a session is over. A token is
 * verified as everywhere, and then the tables are asked whether its session and account still are
 * what they were.
 */

/* 0, an enum cm_token_outcome or an error. */
static int check(struct cm_request *request, struct cm_str token, struct cm_claims *claims_r)
{
        struct auth *auth = cm_request_service(request);
        int r = cm_token_check(request, token, claims_r);

        if (r)
                return r;
        r = token_subject_check(auth->worker->pg, claims_r);
        return r == TOKEN_SUBJECT_CHANGED ? CM_TOKEN_REVOKED : r;
}

/* ---- RFC 7662 */

static int read_body(struct cm_request *request, struct cm_buf *body)
{
        struct cm_str piece;
        int r;

        do {
                r = cm_request_read(request, &piece);
                if (r)
                        return r;
                cm_buf_add_str(body, piece);
        } while (piece.len);
        return 0;
}

/* The value of `token`; absent when it is not there exactly once. */
static struct cm_str token_of(struct cm_arena *arena, struct cm_str form)
{
        struct cm_str name, value, token = CM_STR_NONE;

        while (cm_query_next(&form, &name, &value)) {
                if (!cm_str_equal(cm_percent_decode(arena, name, true), CM_STR("token")))
                        continue;
                if (token.data)
                        return CM_STR_NONE;
                token = cm_percent_decode(arena, value, true);
                if (!token.data)
                        return CM_STR_NONE;
        }
        return token;
}

static int reply(struct cm_request *request, const struct cm_claims *claims)
{
        const struct auth *auth = cm_request_service(request);
        struct introspection out = { .active = claims != NULL };

        if (claims) {
                out.has_token_type = out.has_scope = out.has_sub = out.has_sid = out.has_tenant =
                        out.has_type = out.has_jti = out.has_iss = out.has_aud = out.has_iat =
                                out.has_exp = CM_PRESENT;
                out.token_type = INTROSPECTION_TOKEN_TYPE_BEARER;
                out.scope = cm_str_from(claims->scope);
                out.sub = claims->sub;
                out.sid = claims->sid;
                out.tenant = claims->tenant;
                out.type = cm_str_from(cm_claims_type_name(claims->type));
                out.jti = claims->jti;
                out.iss = cm_str_from(auth->policy.issuer);
                out.aud = cm_str_from(auth->policy.audience);
                out.iat = claims->issued_at / CM_SECOND;
                out.exp = claims->expires_at / CM_SECOND;
        }
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 200, &introspection_schema, &out);
}

int auth_introspect(struct cm_request *request)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf body = { 0 };
        struct cm_claims claims;
        struct cm_str token;
        int r = read_body(request, &body);

        if (r)
                return r;
        token = token_of(cm_request_arena(request), cm_buf_str(&body));
        if (!token.data)
                return cm_reply_invalid(request, "/token", "is needed, once");
        r = check(request, token, &claims);
        return r < 0 ? r : reply(request, r ? NULL : &claims);
}

/* ---- auth_request of nginx */

static void add_id(struct cm_request *request, const char *name, const struct cm_uuid *id)
{
        char text[CM_UUID_TEXT_SIZE];

        cm_reply_header(request, name, cm_str_from(cm_uuid_format(id, text)));
}

static int pass(struct cm_request *request, const struct cm_claims *claims)
{
        add_id(request, "X-Salus-User", &claims->sub);
        add_id(request, "X-Salus-Session", &claims->sid);
        add_id(request, "X-Salus-Tenant", &claims->tenant);
        cm_reply_header(request, "X-Salus-User-Type",
                        cm_str_from(cm_claims_type_name(claims->type)));
        cm_reply_header(request, "X-Salus-Scope", cm_str_from(claims->scope));
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_empty(request, 204);
}

/* It goes into a header of the reply. */
static bool is_scope(struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz_:", text.data[i]))
                        return false;
        return text.len > 0;
}

int auth_verify(struct cm_request *request, const struct auth_verify_params *params)
{
        struct cm_str token = cm_bearer_token(request);
        struct cm_claims claims;
        const char *scope = NULL;
        int r;

        if (params->has_scope) {
                if (!is_scope(params->scope))
                        return cm_reply_invalid(request, "/query/scope", "is no scope");
                scope = cm_arena_str(cm_request_arena(request), params->scope).data;
        }
        if (!token.data)
                return cm_token_refuse(request, 0);
        r = check(request, token, &claims);
        if (r)
                return r < 0 ? r : cm_token_refuse(request, r);
        if (scope && !cm_claims_allow(&claims, scope))
                return cm_scope_refuse(request, scope);
        return pass(request, &claims);
}
