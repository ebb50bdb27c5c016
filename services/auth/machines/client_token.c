#include <stdio.h>

#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "client_secret.h"
#include "client_store.h"
#include "http/request.h"
#include "keys.h"
#include "keys/key_keeper.h"
#include "service/audit.h"
#include "sign_in/refusals.h"
#include "store/ratelimit.h"

/*
 * Access tokens for machines: OAuth 2.0 client credentials (RFC 6749 section 4.4). A request is
 * counted for the client that it names before the secret is looked at; what is wrong with id or
 * secret is not told.
 */

enum { CLAIM_TYPE_CLIENT = 5, REPLIED = 1 }; /* codec/token.h */

static int oauth_error(struct cm_request *request, int status, int32_t error, const char *why)
{
        const struct oauth_error body = { .error = error, .error_description = cm_str_from(why) };

        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        if (status == 401)
                cm_reply_header(request, "WWW-Authenticate", CM_STR("Basic realm=\"salus\""));
        return cm_reply_json(request, status, &oauth_error_schema, &body);
}

static int invalid_client(struct cm_request *request)
{
        return oauth_error(request, 401, OAUTH_ERROR_ERROR_INVALID_CLIENT,
                           "no such client, or not its secret");
}

/* ---- who asks */

/* 0, REPLIED or an error. */
static int identify(struct cm_request *request, const struct token_request *in, struct cm_str *id_r,
                    struct cm_str *secret_r)
{
        struct cm_str header = cm_request_header(request, "authorization");
        int r;

        *id_r = in->has_client_id == CM_PRESENT ? in->client_id : CM_STR_NONE;
        *secret_r = in->has_client_secret == CM_PRESENT ? in->client_secret : CM_STR_NONE;
        if (header.data && secret_r->data) {
                r = oauth_error(request, 400, OAUTH_ERROR_ERROR_INVALID_REQUEST,
                                "show the secret in one way");
                return r ? r : REPLIED;
        }
        if (header.data ? client_basic_parse(cm_request_arena(request), header, id_r, secret_r)
                        : id_r->data && secret_r->data)
                return 0;
        r = invalid_client(request);
        return r ? r : REPLIED;
}

static int count(struct cm_request *request, const struct cm_uuid *client)
{
        struct auth *auth = cm_request_service(request);
        struct cm_rate_decision decision = { 0 };
        char id[CM_UUID_TEXT_SIZE];
        struct cm_str key =
                key_rate_limit(cm_request_arena(request), cm_str_from(cm_uuid_format(client, id)),
                               CM_STR("auth_client_token"));
        int r = cm_rate_limit(auth->worker->bus, key, auth->settings->client_token_limit, CM_MINUTE,
                              &decision);

        if (r)
                return r == -CM_E_UNCERTAIN ? -CM_E_UNAVAILABLE : r;
        if (decision.allowed)
                return 0;
        refused_request_note_on(request, "token.client_credentials", "limit", client);
        return refuse_too_many(request, "Too many tokens for this client", decision.reset_us)
                       ?: REPLIED;
}

/* 0, CLIENT_NOT_FOUND or an error. A grant's row of the audit log is in its transaction; who is
 * refused has no effect, and may name as many clients as they like. */
static int take(struct cm_request *request, const struct cm_uuid *client, struct cm_str secret,
                struct client_grant *grant_r)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        uint8_t digest[CM_SHA256_SIZE];
        int found, r;

        client_secret_digest(cm_str_from(auth->settings->password_pepper), secret, digest);
        r = cm_pg_begin(auth->worker->pg, &service_scope, &tx);
        if (r)
                return r;
        found = client_store_take(tx, cm_request_arena(request), client, digest, grant_r);
        if (found > 0) {
                cm_pg_rollback(&tx);
                refused_request_note_on(request, "token.client_credentials", "wrong_secret",
                                        client);
        }
        if (found)
                return found;
        audit_client_token(request, client, &audit);
        r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return 0;
}

/* ---- the token */

static int reply_token(struct cm_request *request, const struct cm_uuid *client,
                       const struct client_grant *grant, struct cm_str scope)
{
        struct auth *auth = cm_request_service(request);
        const struct cm_signing_key *key = key_keeper_active(auth);
        cm_time now = cm_request_now(request);
        const struct cm_token_policy policy = {
                .issuer = auth->policy.issuer,
                .audience = grant->audience.data ? grant->audience.data : auth->policy.audience,
        };
        struct cm_claims claims = {
                .sub = *client,
                .sid = grant->secret_id,
                .tenant = grant->tenant_id,
                .jti = cm_uuid7(now),
                .type = CLAIM_TYPE_CLIENT,
                .issued_at = now,
                .expires_at = now + auth->settings->access_token_life_us,
        };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf token = { 0 };
        struct machine_token reply;
        int r;

        (void)snprintf(claims.scope, sizeof(claims.scope), "%.*s", (int)scope.len, scope.data);
        r = key ? cm_token_sign(key, &policy, &claims, &token) : -CM_E_UNAVAILABLE;
        if (r)
                return r;
        reply = (struct machine_token){
                .access_token = cm_buf_str(&token),
                .token_type = MACHINE_TOKEN_TOKEN_TYPE_BEARER,
                .expires_in = auth->settings->access_token_life_us / CM_SECOND,
                .scope = scope,
        };
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 200, &machine_token_schema, &reply);
}

static bool is_client_credentials(const struct token_request *in)
{
        return in->has_grant_type == CM_PRESENT &&
               cm_str_equal(in->grant_type, CM_STR("client_credentials"));
}

int auth_client_token(struct cm_request *request, const struct token_request *in)
{
        struct cm_str id_text, secret, scope;
        struct client_grant grant = { 0 };
        struct cm_uuid client;
        int r;

        if (in->has_grant_type != CM_PRESENT)
                return oauth_error(request, 400, OAUTH_ERROR_ERROR_INVALID_REQUEST,
                                   "grant_type is missing");
        if (!is_client_credentials(in))
                return oauth_error(request, 400, OAUTH_ERROR_ERROR_UNSUPPORTED_GRANT_TYPE,
                                   "only client_credentials is supported");
        r = identify(request, in, &id_text, &secret);
        if (r)
                return r < 0 ? r : 0;
        if (!cm_uuid_parse(id_text, &client))
                return invalid_client(request);
        r = count(request, &client);
        if (r)
                return r < 0 ? r : 0;
        r = take(request, &client, secret, &grant);
        if (r)
                return r < 0 ? r : invalid_client(request);
        scope = client_scope_text(cm_request_arena(request), grant.scopes, grant.scope_count,
                                  in->has_scope == CM_PRESENT ? in->scope : CM_STR_NONE);
        if (!scope.data)
                return oauth_error(request, 400, OAUTH_ERROR_ERROR_INVALID_SCOPE,
                                   "the client does not have this scope");
        return reply_token(request, &client, &grant, scope);
}
