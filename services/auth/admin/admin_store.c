#include "admin_store.h"

#include "base/error.h"

#define COLUMNS                                                                                    \
        "u.id, u.tenant_id, u.user_type, u.status, u.email, u.username, u.display_name,"           \
        " u.full_name, u.language, u.time_zone, u.reference_id, u.password_must_change, "          \
        "u.version,"                                                                               \
        " u.created_at, u.updated_at, u.phone_confirmed_at, u.deleted_at,"                         \
        " (SELECT max(s.created_at) FROM sessions s WHERE s.user_id = u.id),"                      \
        " (SELECT max(s.last_used_at) FROM sessions s WHERE s.user_id = u.id), u.email_key"
enum { EMAIL_KEY_COLUMN = 19 };

/* ---- rows */

static uint8_t presence(const struct cm_pg_result *rows, int row, int column)
{
        return cm_pg_is_null(rows, row, column) ? CM_ABSENT : CM_PRESENT;
}

static void read_account(const struct cm_pg_result *rows, int row, struct cm_arena *arena,
                         struct account *account_r)
{
        *account_r = (struct account){
                .id = cm_pg_uuid(rows, row, 0),
                .tenant_id = cm_pg_uuid(rows, row, 1),
                .user_type = (int32_t)cm_pg_int(rows, row, 2),
                .status = (int32_t)cm_pg_int(rows, row, 3),
                .email = cm_arena_str(arena, cm_pg_text(rows, row, 4)),
                .username = cm_arena_str(arena, cm_pg_text(rows, row, 5)),
                .has_username = presence(rows, row, 5),
                .display_name = cm_arena_str(arena, cm_pg_text(rows, row, 6)),
                .has_display_name = presence(rows, row, 6),
                .full_name = cm_arena_str(arena, cm_pg_text(rows, row, 7)),
                .has_full_name = presence(rows, row, 7),
                .language = cm_arena_str(arena, cm_pg_text(rows, row, 8)),
                .time_zone = cm_arena_str(arena, cm_pg_text(rows, row, 9)),
                .reference_id = cm_pg_uuid(rows, row, 10),
                .has_reference_id = presence(rows, row, 10),
                .password_must_change = cm_pg_bool(rows, row, 11),
                .version = cm_pg_int(rows, row, 12),
                .created_at = cm_pg_time(rows, row, 13),
                .updated_at = cm_pg_time(rows, row, 14),
                .phone_confirmed_at = cm_pg_time(rows, row, 15),
                .has_phone_confirmed_at = presence(rows, row, 15),
                .deleted_at = cm_pg_time(rows, row, 16),
                .has_deleted_at = presence(rows, row, 16),
                .last_sign_in_at = cm_pg_time(rows, row, 17),
                .has_last_sign_in_at = presence(rows, row, 17),
                .last_active_at = cm_pg_time(rows, row, 18),
                .has_last_active_at = presence(rows, row, 18),
        };
}

static int no_outcome(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- reading */

/* The tenant is named although the policy asks for it: so the index begins with it. */
static const struct cm_pg_statement account_list = {
        .name = "admin_account_list",
        .by_index = true,
        .sql = "SELECT " COLUMNS " FROM users u"
               " WHERE u.tenant_id = (SELECT acting_tenant())"
               " AND u.email_key COLLATE \"C\" >= $1::text"
               " AND u.email_key COLLATE \"C\" < $1::text || U&'\\+10FFFF'"
               " AND u.email_key COLLATE \"C\" > $2::text"
               " AND ($3::int2 IS NULL OR u.user_type = $3::int2)"
               " AND ($4::int2 IS NULL OR u.status = $4::int2)"
               " AND ($5::uuid IS NULL OR u.tenant_id = $5::uuid)"
               " ORDER BY u.email_key COLLATE \"C\" LIMIT $6::int4",
};

static void put_choice(struct cm_pg_params *params, int32_t value)
{
        if (value)
                cm_pg_put_int2(params, (int16_t)value);
        else
                cm_pg_put_null(params);
}

int admin_store_list(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                     const struct account_filter *filter, struct account_rows *rows_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_text(&params, filter->email);
        cm_pg_put_text(&params, filter->after);
        put_choice(&params, filter->user_type);
        put_choice(&params, filter->status);
        cm_pg_put_uuid(&params, filter->tenant);
        cm_pg_put_int4(&params, filter->limit);
        r = cm_pg_query(pg, scope, &account_list, &params, &rows);
        if (r)
                return no_outcome(r);
        rows_r->count = (size_t)rows.rows;
        rows_r->items = cm_arena_array(arena, rows_r->count + 1, sizeof(*rows_r->items));
        rows_r->email_keys = cm_arena_array(arena, rows_r->count + 1, sizeof(*rows_r->email_keys));
        for (int i = 0; i < rows.rows; i++) {
                read_account(&rows, i, arena, &rows_r->items[i]);
                rows_r->email_keys[i] = cm_arena_str(arena, cm_pg_text(&rows, i, EMAIL_KEY_COLUMN));
        }
        return 0;
}

static int take_one(const struct cm_pg_result *rows, struct cm_arena *arena, int r,
                    struct account *account_r)
{
        if (r)
                return no_outcome(r);
        if (!rows->rows)
                return ADMIN_NOT_FOUND;
        read_account(rows, 0, arena, account_r);
        return 0;
}

static const struct cm_pg_statement account_read = {
        .name = "admin_account_read",
        .sql = "SELECT " COLUMNS " FROM users u WHERE u.id = $1::uuid",
};

int admin_store_read(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_arena *arena,
                     const struct cm_uuid *id, struct account *account_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };

        cm_pg_put_uuid(&params, id);
        return take_one(&rows, arena, cm_pg_query(pg, scope, &account_read, &params, &rows),
                        account_r);
}

static const struct cm_pg_statement account_lock = {
        .name = "admin_account_lock",
        .sql = "SELECT " COLUMNS " FROM users u WHERE u.id = $1::uuid FOR NO KEY UPDATE OF u",
};

int admin_store_lock(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *id,
                     struct account *account_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };

        cm_pg_put_uuid(&params, id);
        return take_one(&rows, arena, cm_pg_tx_query(tx, &account_lock, &params, &rows), account_r);
}

static const struct cm_pg_statement has_phone = {
        .name = "admin_account_has_phone",
        .sql = "SELECT 1 FROM users WHERE id = $1::uuid AND phone_number = $2::text",
};

int admin_store_has_phone(struct cm_pg_tx *tx, const struct cm_uuid *id, struct cm_str phone)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, id);
        cm_pg_put_text(&params, phone);
        r = cm_pg_tx_query(tx, &has_phone, &params, &rows);
        if (r)
                return no_outcome(r);
        return rows.rows ? 0 : ADMIN_NOT_FOUND;
}

static const struct cm_pg_statement find_tenant = {
        .name = "admin_tenant",
        .sql = "SELECT t FROM acting_tenant() t WHERE t IS NOT NULL",
};

int admin_store_tenant(struct cm_pg_tx *tx, struct cm_uuid *tenant_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &find_tenant, NULL, &rows);

        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return ADMIN_NOT_FOUND;
        *tenant_r = cm_pg_uuid(&rows, 0, 0);
        return 0;
}

/* ---- writing */

/* Its address counts as confirmed: an admin or the operator vouches for it, and the owner enters by
 * way of a mail there. */
static const struct cm_pg_statement account_insert = {
        .name = "admin_account_insert",
        .writes = true,
        .sql = "INSERT INTO users (id, tenant_id, user_type, status, email, email_key, "
               "password_hash, display_name, full_name, language, time_zone, "
               "password_must_change, version, created_at, updated_at, email_verified_at)"
               " VALUES ($1::uuid, $2::uuid, $3::int2, $4::int2, $5::text, $6::text, $7::text,"
               "   $8::text, $9::text, $10::text, $11::text, $12::bool, $13::int8,"
               "   $14::timestamptz, $15::timestamptz, $14::timestamptz)",
};

int admin_store_insert(struct cm_pg_tx *tx, const struct account *account, struct cm_str email_key,
                       struct cm_str password_hash)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &account->id);
        cm_pg_put_uuid(&params, &account->tenant_id);
        cm_pg_put_int2(&params, (int16_t)account->user_type);
        cm_pg_put_int2(&params, (int16_t)account->status);
        cm_pg_put_text(&params, account->email);
        cm_pg_put_text(&params, email_key);
        cm_pg_put_text(&params, password_hash);
        cm_pg_put_text(&params, account->display_name);
        cm_pg_put_text(&params, account->full_name);
        cm_pg_put_text(&params, account->language);
        cm_pg_put_text(&params, account->time_zone);
        cm_pg_put_bool(&params, account->password_must_change);
        cm_pg_put_int8(&params, account->version);
        cm_pg_put_time(&params, account->created_at);
        cm_pg_put_time(&params, account->updated_at);
        r = cm_pg_tx_query(tx, &account_insert, &params, NULL);
        return r == CM_PG_DUPLICATE ? ADMIN_EMAIL_TAKEN : no_outcome(r);
}

static const struct cm_pg_statement account_update = {
        .name = "admin_account_update",
        .writes = true,
        .sql = "UPDATE users SET user_type = $2::int2, status = $3::int2,"
               " password_must_change = $4::bool, version = $5::int8, updated_at = $6::timestamptz,"
               " reference_id = $7::uuid, phone_confirmed_at = $8::timestamptz"
               " WHERE id = $1::uuid",
};

int admin_store_update(struct cm_pg_tx *tx, const struct account *account)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &account->id);
        cm_pg_put_int2(&params, (int16_t)account->user_type);
        cm_pg_put_int2(&params, (int16_t)account->status);
        cm_pg_put_bool(&params, account->password_must_change);
        cm_pg_put_int8(&params, account->version);
        cm_pg_put_time(&params, account->updated_at);
        cm_pg_put_uuid(&params,
                       account->has_reference_id == CM_PRESENT ? &account->reference_id : NULL);
        if (account->has_phone_confirmed_at == CM_PRESENT)
                cm_pg_put_time(&params, account->phone_confirmed_at);
        else
                cm_pg_put_null(&params);
        r = cm_pg_tx_query(tx, &account_update, &params, NULL);
        return r == CM_PG_DUPLICATE ? ADMIN_REFERENCE_TAKEN : no_outcome(r);
}
