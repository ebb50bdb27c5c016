#include "accounts/account_rules.h"
#include "admin_facts.h"
#include "admin_store.h"
#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "codec/text.h"
#include "errors.h"
#include "http/cursor.h"
#include "http/idempotency.h"
#include "mails/reset_mail.h"
#include "service/audit.h"

/* Accounts as admins find, read and make them. */

enum { DEFAULT_LIMIT = 50, REPLIED = 1 };

/* ---- finding */

static struct account_filter filter_of(struct cm_request *request,
                                       const struct auth_admin_users_list_params *params)
{
        int32_t limit = params->has_limit == CM_PRESENT ? (int32_t)params->limit : DEFAULT_LIMIT;

        return (struct account_filter){
                .email = params->has_email == CM_PRESENT
                                 ? cm_text_fold(cm_request_arena(request), params->email)
                                 : CM_STR(""),
                .after = CM_STR(""),
                .user_type = params->has_user_type == CM_PRESENT ? params->user_type : 0,
                .status = params->has_status == CM_PRESENT ? params->status : 0,
                .tenant = params->has_tenant_id == CM_PRESENT ? &params->tenant_id : NULL,
                .limit = limit + 1,
        };
}

/* What a cursor belongs to beside who asks. */
static struct cm_str binding_of(struct cm_request *request, const struct account_filter *filter)
{
        char tenant[CM_UUID_TEXT_SIZE] = "";

        if (filter->tenant)
                (void)cm_uuid_format(filter->tenant, tenant);
        return cm_arena_printf(cm_request_arena(request), "%d %d %s %.*s", filter->user_type,
                               filter->status, tenant, (int)filter->email.len, filter->email.data);
}

int auth_admin_users_list(struct cm_request *request,
                          const struct auth_admin_users_list_params *params)
{
        struct auth *auth = cm_request_service(request);
        struct account_filter filter = filter_of(request, params);
        struct cm_str binding = binding_of(request, &filter);
        size_t limit = (size_t)filter.limit - 1;
        struct account_rows rows = { 0 };
        struct account_page page = { 0 };
        int r = 0;

        if (params->has_cursor == CM_PRESENT)
                r = cm_request_cursor_open(request, binding, params->cursor, &filter.after);
        if (r)
                return r < 0 ? r : 0;
        r = admin_store_list(auth->worker->pg, ADMIN_SCOPE(cm_request_claims(request)),
                             cm_request_arena(request), &filter, &rows);
        if (r)
                return r;
        page.items.items = rows.items;
        page.items.count = rows.count > limit ? limit : rows.count;
        if (rows.count > limit) {
                page.next_cursor =
                        cm_request_cursor_seal(request, binding, rows.email_keys[limit - 1]);
                page.has_next_cursor = CM_PRESENT;
        }
        return cm_reply_json(request, 200, &account_page_schema, &page);
}

int auth_admin_user_read(struct cm_request *request,
                         const struct auth_admin_user_read_params *params)
{
        struct auth *auth = cm_request_service(request);
        struct account account;
        int r = admin_store_read(auth->worker->pg, ADMIN_SCOPE(cm_request_claims(request)),
                                 cm_request_arena(request), &params->id, &account);

        if (r == ADMIN_NOT_FOUND) {
                refused_request_note_on(request, "account.read", "not_found", &params->id);
                return cm_reply_not_found(request);
        }
        return r ? r : cm_reply_json(request, 200, &account_schema, &account);
}

/* ---- making */

static struct account new_account(struct cm_request *request, const struct new_account *in)
{
        cm_time now = cm_request_now(request);

        return (struct account){
                .id = cm_uuid7(now),
                .user_type = in->user_type,
                .status = USER_STATUS_ACTIVE,
                .email = in->email,
                .display_name = in->has_display_name ? in->display_name : CM_STR_NONE,
                .has_display_name = in->has_display_name,
                .full_name = in->has_full_name ? in->full_name : CM_STR_NONE,
                .has_full_name = in->has_full_name,
                .language = in->language,
                .time_zone = in->time_zone,
                .version = 1,
                .created_at = now,
                .updated_at = now,
        };
}

/* A password that nobody knows: the account is entered by way of a reset. */
static int hash_of_nobody(struct auth *auth, struct cm_arena *arena, struct cm_str *hash_r)
{
        char secret[32];

        cm_random(secret, sizeof(secret));
        return passwords_hash(auth->passwords, arena, (struct cm_str){ secret, sizeof(secret) },
                              hash_r);
}

static int email_taken(struct cm_request *request)
{
        const struct cm_problem problem = {
                .status = 409,
                .code = CM_CODE_EMAIL_TAKEN,
                .title = "There is an account with this e-mail address",
        };

        return cm_reply_problem(request, &problem) ?: REPLIED;
}

/* 0, REPLIED or an error. */
static int store_new(struct cm_request *request, struct cm_pg_tx *tx, struct account *account,
                     struct cm_str hash)
{
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        int r = admin_store_tenant(tx, &account->tenant_id);

        if (r == ADMIN_NOT_FOUND)
                return admin_no_longer(request) ?: REPLIED;
        if (!r)
                r = admin_store_insert(tx, account, cm_email_canonical(arena, account->email),
                                       hash);
        if (r == ADMIN_EMAIL_TAKEN)
                return email_taken(request);
        if (!r)
                r = admin_facts_created(cm_request_service(request), tx, cm_request_arena(request),
                                        account);
        if (!r)
                r = reset_mail_add(request, tx, &account->id);
        audit_admin(request, "account.create", &account->id, &account->id, CM_STR_NONE, &audit);
        if (!r)
                r = cm_pg_tx_query(tx, &cm_audit_insert, &audit, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int auth_admin_user_create(struct cm_request *request,
                           const struct auth_admin_user_create_params *params CM_UNUSED,
                           const struct new_account *in)
{
        struct auth *auth = cm_request_service(request);
        struct account account = new_account(request, in);
        struct cm_str hash = CM_STR_NONE;
        struct cm_idempotency attempt;
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_idempotency_init(&attempt, request);

        if (r)
                return r < 0 ? r : 0;
        r = hash_of_nobody(auth, cm_request_arena(request), &hash);
        if (!r)
                r = cm_pg_begin(auth->worker->pg, ADMIN_SCOPE(cm_request_claims(request)), &tx);
        if (!r)
                r = cm_idempotency_claim(&attempt, tx);
        if (!r)
                r = store_new(request, tx, &account, hash);
        if (r)
                return r < 0 ? r : 0;
        r = cm_idempotency_commit_json(&attempt, &tx, 201, &account_schema, &account);
        if (!r)
                cm_worker_wake_relay(auth->worker);
        return r;
}
