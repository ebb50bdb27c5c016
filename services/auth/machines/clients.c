#include "admin/admin_facts.h"
#include "admin/admin_store.h"
#include "announcements.h"
#include "audit/audit_rows.h"
#include "auth.h"
#include "base/error.h"
#include "client_secret.h"
#include "client_store.h"
#include "errors.h"
#include "http/request.h"
#include "service/audit.h"

/* Machines as admins let them in, give them secrets and shut them out. A secret that ends takes
 * the tokens that it brought with it, as the end of a session does. */

static struct cm_pg *pg_of(struct cm_request *request)
{
        const struct auth *auth = cm_request_service(request);

        return auth->worker->pg;
}

static int conflict(struct cm_request *request, const char *title)
{
        const struct cm_problem problem = { .status = 409,
                                            .code = CM_CODE_CONFLICT,
                                            .title = title };

        return cm_reply_problem(request, &problem);
}

static int refuse(struct cm_request *request, int outcome)
{
        switch (outcome) {
        case CLIENT_NOT_FOUND:
                return cm_reply_not_found(request);
        case CLIENT_NAME_TAKEN:
                return conflict(request, "There is a machine of this name");
        case CLIENT_HAS_TWO_SECRETS:
                return conflict(request, "It has two secrets already: end one first");
        default:
                return conflict(request, "The machine is shut out");
        }
}

/* ---- reading */

int auth_admin_clients_list(struct cm_request *request)
{
        struct client_list list = { 0 };
        int r = client_store_list(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)),
                                  cm_request_arena(request), NULL, &list);

        return r ? r : cm_reply_json(request, 200, &client_list_schema, &list);
}

int auth_admin_client_read(struct cm_request *request,
                           const struct auth_admin_client_read_params *params)
{
        struct client_list list = { 0 };
        int r = client_store_list(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)),
                                  cm_request_arena(request), &params->id, &list);

        if (r)
                return r;
        if (!list.items.count)
                return cm_reply_not_found(request);
        return cm_reply_json(request, 200, &client_schema, &list.items.items[0]);
}

/* ---- secrets */

struct fresh_secret {
        struct client_secret_record record;
        char text[CLIENT_SECRET_SIZE];
};

static void make_secret(struct cm_request *request, const struct cm_uuid *client,
                        struct fresh_secret *secret_r)
{
        const struct auth *auth = cm_request_service(request);

        secret_r->record.id = cm_uuid7(cm_request_now(request));
        secret_r->record.client_id = *client;
        client_secret_digest(cm_str_from(auth->settings->password_pepper),
                             cm_str_from(client_secret_make(secret_r->text)),
                             secret_r->record.digest);
}

static int show_secret(struct cm_request *request, const struct fresh_secret *secret)
{
        const struct client_secret reply = {
                .client_id = secret->record.client_id,
                .secret_id = secret->record.id,
                .client_secret = cm_str_from(secret->text),
        };

        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 201, &client_secret_schema, &reply);
}

/* The last of an act: its row of the audit log, and the commit. */
static int finish(struct cm_request *request, struct cm_pg_tx **tx, const char *action,
                  const struct cm_uuid *target)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r;

        audit_admin(request, action, NULL, target, CM_STR_NONE, &audit);
        r = cm_pg_tx_query(*tx, &cm_audit_insert, &audit, NULL);
        if (!r)
                r = cm_pg_commit(tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

int auth_admin_client_create(struct cm_request *request, const struct new_client *in)
{
        struct cm_uuid id = cm_uuid7(cm_request_now(request)), tenant;
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct fresh_secret secret;
        int r = cm_pg_begin(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)), &tx);

        if (!r)
                r = admin_store_tenant(tx, &tenant);
        if (r)
                return r < 0 ? r : admin_no_longer(request);
        make_secret(request, &id, &secret);
        r = client_store_insert(tx, &tenant, &id, in);
        if (!r)
                r = client_store_add_secret(tx, &secret.record);
        if (r)
                return r < 0 ? r : refuse(request, r);
        r = finish(request, &tx, "client.create", &id);
        return r ? r : show_secret(request, &secret);
}

int auth_admin_client_secret_add(struct cm_request *request,
                                 const struct auth_admin_client_secret_add_params *params)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct fresh_secret secret;
        int r = cm_pg_begin(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)), &tx);

        if (!r)
                r = client_store_lock(tx, &params->id);
        make_secret(request, &params->id, &secret);
        if (!r)
                r = client_store_add_secret(tx, &secret.record);
        if (r)
                return r < 0 ? r : refuse(request, r);
        r = finish(request, &tx, "client.add_secret", &params->id);
        return r ? r : show_secret(request, &secret);
}

/* ---- ends */

/* Ends one secret, or all (NULL) and with them the machine's right to have any. */
static int end(struct cm_request *request, const struct cm_uuid *client,
               const struct cm_uuid *secret, const char *action)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        struct ended_sessions ended = { 0 };
        int r = cm_pg_begin(pg_of(request), ADMIN_SCOPE(cm_request_claims(request)), &tx);

        if (!r)
                r = client_store_lock(tx, client);
        if (r == CLIENT_DISABLED)
                return cm_reply_empty(request, 204);
        if (!r)
                r = client_store_end_secrets(tx, cm_request_arena(request), client, secret, &ended);
        if (!r && secret && !ended.count)
                r = CLIENT_NOT_FOUND;
        if (!r && !secret)
                r = client_store_disable(tx, client);
        if (r)
                return r < 0 ? r : refuse(request, r);
        r = finish(request, &tx, action, secret ? secret : client);
        if (!r)
                announce_ended_sessions(cm_request_service(request), cm_request_arena(request),
                                        &ended);
        return r ? r : cm_reply_empty(request, 204);
}

int auth_admin_client_secret_end(struct cm_request *request,
                                 const struct auth_admin_client_secret_end_params *params)
{
        return end(request, &params->id, &params->secret_id, "client.end_secret");
}

int auth_admin_client_disable(struct cm_request *request,
                              const struct auth_admin_client_disable_params *params)
{
        return end(request, &params->id, NULL, "client.disable");
}
