#include "default_admin.h"

#include <string.h>

#include "admin/admin_facts.h"
#include "admin/admin_store.h"
#include "audit/audit_rows.h"
#include "base/error.h"
#include "codec/text.h"
#include "sys/log.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

static bool is_shipped(const struct auth_settings *settings)
{
        for (const struct cm_setting *setting = auth_setting_table; setting->key; setting++)
                if (strcmp(setting->key, "ADMIN_PASSWORD") == 0)
                        return strcmp(settings->admin_password, setting->initial) == 0;
        return false;
}

int default_admin_check(const struct auth_settings *settings)
{
        bool development = strcmp(settings->environment, "development") == 0;

        if (!development && strcmp(settings->environment, "production") != 0) {
                cm_log(CM_LOG_ERROR, "must be production or development",
                       CM_F_TEXT("setting", "SALUS_ENVIRONMENT"));
                return -CM_E_CONFIG;
        }
        if (!cm_email_is_valid(cm_str_from(settings->admin_email))) {
                cm_log(CM_LOG_ERROR, "is no e-mail address", CM_F_TEXT("setting", "ADMIN_EMAIL"));
                return -CM_E_CONFIG;
        }
        if (development || !is_shipped(settings))
                return 0;
        cm_log(CM_LOG_ERROR, "has the password that everybody knows: refusing to run",
               CM_F_TEXT("setting", "ADMIN_PASSWORD"));
        return -CM_E_CONFIG;
}

/* The number is ours alone: advisory locks share one space a database. */
static const struct cm_pg_statement admin_lock = {
        .name = "admin_lock",
        .sql = "SELECT 1 FROM pg_advisory_xact_lock(5104772)",
};

static const struct cm_pg_statement admin_find = {
        .name = "admin_find",
        .sql = "SELECT 1 FROM users WHERE tenant_id = $1::uuid AND user_type = 3 AND status <> 3"
               " LIMIT 1",
};

enum { THERE_IS_ONE = 1 };

static int find(struct cm_pg_tx *tx, const struct cm_uuid *tenant)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &admin_lock, NULL, NULL);

        cm_pg_put_uuid(&params, tenant);
        if (!r)
                r = cm_pg_tx_query(tx, &admin_find, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return rows.rows ? THERE_IS_ONE : 0;
}

static int make(struct auth *auth, struct cm_pg_tx *tx, struct cm_arena *arena)
{
        struct cm_str email = cm_str_from(auth->settings->admin_email), hash = CM_STR_NONE;
        cm_time now = cm_now(&cm_clock_system);
        const struct account account = {
                .id = cm_uuid7(now),
                .tenant_id = auth->default_tenant,
                .user_type = USER_TYPE_ADMIN,
                .status = USER_STATUS_ACTIVE,
                .email = email,
                .language = CM_STR("en"),
                .time_zone = CM_STR("UTC"),
                .password_must_change = true,
                .version = 1,
                .created_at = now,
                .updated_at = now,
        };
        const struct cm_audit_entry made = { .user = &account.id,
                                             .action = "account.create",
                                             .method = "settings",
                                             .reason = "first_admin" };
        int r = passwords_hash(auth->passwords, arena, cm_str_from(auth->settings->admin_password),
                               &hash);

        if (!r)
                r = admin_store_insert(tx, &account, cm_email_canonical(arena, email), hash);
        if (!r)
                r = audit_own(tx, arena, &made, &account.id, now);
        return r ? r : admin_facts_created(auth, tx, arena, &account);
}

int default_admin_ensure(struct auth *auth)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r;

        cm_arena_init(&arena, 4096);
        r = cm_pg_begin(auth->worker->pg, &service_scope, &tx);
        if (!r)
                r = find(tx, &auth->default_tenant);
        if (r)
                return r == THERE_IS_ONE ? 0 : r;
        r = make(auth, tx, &arena);
        if (r == ADMIN_EMAIL_TAKEN) {
                cm_log(CM_LOG_ERROR, "there is no admin: the address is of another account",
                       CM_F_TEXT("setting", "ADMIN_EMAIL"));
                return 0;
        }
        if (!r)
                r = cm_pg_commit(&tx);
        if (!r)
                cm_log(CM_LOG_INFO, "the first admin was made");
        return r > 0 ? -CM_E_DATABASE : r;
}
