#include "account_store.h"

#include "base/error.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

#define USER_COLUMNS                                                                               \
        "id, tenant_id, user_type, status, email, display_name, first_name, full_name, bio,"       \
        " avatar_url, language, time_zone, preferences, version, created_at, updated_at,"          \
        " email_verified_at, username, phone_number, reference_id, privacy_settings,"              \
        " password_must_change, phone_confirmed_at"
enum { USER_COLUMN_COUNT = 23 };

static struct cm_str text_at(const struct cm_pg_result *rows, struct cm_arena *arena, int column)
{
        return cm_arena_str(arena, cm_pg_text(rows, 0, column));
}

/* An optional text: the member and its presence. */
static void read_optional(const struct cm_pg_result *rows, struct cm_arena *arena, int column,
                          struct cm_str *text_r, uint8_t *has_r)
{
        *text_r = text_at(rows, arena, column);
        *has_r = text_r->data ? CM_PRESENT : CM_ABSENT;
}

static void read_user(const struct cm_pg_result *rows, struct cm_arena *arena, struct user *user_r)
{
        *user_r = (struct user){
                .id = cm_pg_uuid(rows, 0, 0),
                .tenant_id = cm_pg_uuid(rows, 0, 1),
                .user_type = (int32_t)cm_pg_int(rows, 0, 2),
                .status = (int32_t)cm_pg_int(rows, 0, 3),
                .email = text_at(rows, arena, 4),
                .language = text_at(rows, arena, 10),
                .time_zone = text_at(rows, arena, 11),
                .preferences = cm_arena_str(arena, cm_pg_jsonb(rows, 0, 12)),
                .version = cm_pg_int(rows, 0, 13),
                .created_at = cm_pg_time(rows, 0, 14),
                .updated_at = cm_pg_time(rows, 0, 15),
                .reference_id = cm_pg_uuid(rows, 0, 19),
                .has_reference_id = cm_pg_is_null(rows, 0, 19) ? CM_ABSENT : CM_PRESENT,
                .privacy_settings = cm_arena_str(arena, cm_pg_jsonb(rows, 0, 20)),
                .password_must_change = cm_pg_bool(rows, 0, 21),
                .has_password_must_change = cm_pg_bool(rows, 0, 21) ? CM_PRESENT : CM_ABSENT,
                .phone_confirmed_at = cm_pg_time(rows, 0, 22),
                .has_phone_confirmed_at = cm_pg_is_null(rows, 0, 22) ? CM_ABSENT : CM_PRESENT,
        };
        read_optional(rows, arena, 5, &user_r->display_name, &user_r->has_display_name);
        read_optional(rows, arena, 6, &user_r->first_name, &user_r->has_first_name);
        read_optional(rows, arena, 7, &user_r->full_name, &user_r->has_full_name);
        read_optional(rows, arena, 8, &user_r->bio, &user_r->has_bio);
        read_optional(rows, arena, 9, &user_r->avatar_url, &user_r->has_avatar_url);
        read_optional(rows, arena, 17, &user_r->username, &user_r->has_username);
        read_optional(rows, arena, 18, &user_r->phone_number, &user_r->has_phone_number);
        if (cm_pg_is_null(rows, 0, 16))
                return;
        user_r->email_verified_at = cm_pg_time(rows, 0, 16);
        user_r->has_email_verified_at = CM_PRESENT;
}

/* An outcome that these statements cannot have is our own fault. */
static int no_outcome(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

static void put_time(struct cm_pg_params *params, uint8_t has, cm_time time)
{
        if (has == CM_PRESENT)
                cm_pg_put_time(params, time);
        else
                cm_pg_put_null(params);
}

const struct cm_pg_statement account_store_insert = {
        .name = "account_insert",
        .writes = true,
        .sql = "INSERT INTO users (id, tenant_id, user_type, status, email, email_key, "
               "password_hash,"
               "   display_name, first_name, language, time_zone, version, created_at, updated_at,"
               "   email_verified_at)"
               " VALUES ($1::uuid, $2::uuid, $3::int2, $4::int2, $5::text, $6::text, $7::text,"
               "   $8::text, $9::text, $10::text, $11::text, $12::int8, $13::timestamptz,"
               "   $14::timestamptz, $15::timestamptz)",
};

void account_store_insert_params(const struct user *user, struct cm_str email_key,
                                 struct cm_str password_hash, struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, &user->id);
        cm_pg_put_uuid(params, &user->tenant_id);
        cm_pg_put_int2(params, (int16_t)user->user_type);
        cm_pg_put_int2(params, (int16_t)user->status);
        cm_pg_put_text(params, user->email);
        cm_pg_put_text(params, email_key);
        cm_pg_put_text(params, password_hash);
        cm_pg_put_text(params, user->display_name);
        cm_pg_put_text(params, user->first_name);
        cm_pg_put_text(params, user->language);
        cm_pg_put_text(params, user->time_zone);
        cm_pg_put_int8(params, user->version);
        cm_pg_put_time(params, user->created_at);
        cm_pg_put_time(params, user->updated_at);
        put_time(params, user->has_email_verified_at, user->email_verified_at);
}

/*
 * For an address without an account there is a row as well, made with as much work: the limit is
 * reached before it when there is an account, and otherwise it passes what the policies of users
 * ask of a row that is found. So time does not tell. The row also has what does not depend on the
 * account: whether hashes are left whose check takes another time than ours. That predicate is that
 * of the index users_imported, which is empty when all have been replaced.
 */
#define IMPORTED_LEFT                                                                              \
        "EXISTS (SELECT FROM users i WHERE i.password_hash NOT LIKE '$s1$%'"                       \
        "         AND i.password_hash NOT LIKE '$2%' AND i.password_hash <> '!')"
#define NOBODY_ID "'00000000-0000-7000-8000-000000000000'::uuid"
#define NOBODY                                                                                     \
        NOBODY_ID ", " NOBODY_ID ", 1::int2, 1::int2, 'somebody@example.org', 'Somebody', NULL,"   \
                  " NULL, NULL, NULL, 'en', 'Europe/Lisbon', '{}', 1, now(), now(), now(), NULL, " \
                  "NULL,"                                                                          \
                  " NULL, '{}', false, NULL, repeat('-', 73)"
#define POLICIES_PASS                                                                              \
        NOBODY_ID " = ANY ((SELECT NULLIF(current_setting('app.users', true), '')::uuid[])"        \
                  "::uuid[]) OR (SELECT current_setting('app.role', true)) = 'service'"

static const struct cm_pg_statement account_credentials = {
        .name = "account_credentials",
        .sql = "SELECT " USER_COLUMNS ", password_hash, EXISTS (SELECT FROM second_factors f"
               "   WHERE f.user_id = a.id AND f.confirmed_at IS NOT NULL), imported, is_known"
               " FROM (SELECT " IMPORTED_LEFT " AS imported) i,"
               " (SELECT " USER_COLUMNS ", password_hash, true AS is_known FROM users"
               "   WHERE email_key = $1::text"
               "   UNION ALL SELECT " NOBODY ", false WHERE " POLICIES_PASS " LIMIT 1) a",
};

int account_store_credentials(struct cm_pg *pg, struct cm_arena *arena, struct cm_str email_key,
                              struct credentials *credentials_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct credentials read = { 0 };
        int r;

        cm_pg_put_text(&params, email_key);
        r = cm_pg_query(pg, &service_scope, &account_credentials, &params, &rows);
        if (r || !rows.rows)
                return r < 0 ? r : -CM_E_DATABASE;
        read_user(&rows, arena, &read.user);
        read.password_hash = text_at(&rows, arena, USER_COLUMN_COUNT);
        read.second_factor = cm_pg_bool(&rows, 0, USER_COLUMN_COUNT + 1);
        read.imported_left = cm_pg_bool(&rows, 0, USER_COLUMN_COUNT + 2);
        if (!cm_pg_bool(&rows, 0, USER_COLUMN_COUNT + 3)) {
                *credentials_r = (struct credentials){ .imported_left = read.imported_left };
                return ACCOUNT_NOT_FOUND;
        }
        *credentials_r = read;
        return 0;
}

static const struct cm_pg_statement account_read = {
        .name = "account_read",
        .sql = "SELECT " USER_COLUMNS " FROM users WHERE id = $1::uuid AND status = 1",
};

int account_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user_id,
                       struct user *user_r)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_query(pg, &scope, &account_read, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return ACCOUNT_NOT_FOUND;
        read_user(&rows, arena, user_r);
        return 0;
}

static const struct cm_pg_statement account_lock = {
        .name = "account_lock",
        .sql = "SELECT " USER_COLUMNS ", CASE WHEN $2::jsonb IS NULL THEN preferences"
               "   ELSE json_merge_patch(preferences, $2::jsonb) END,"
               " CASE WHEN $3::jsonb IS NULL THEN privacy_settings"
               "   ELSE json_merge_patch(privacy_settings, $3::jsonb) END"
               " FROM users WHERE id = $1::uuid AND status = 1 FOR NO KEY UPDATE",
};

static void put_patch(struct cm_pg_params *params, struct cm_str patch)
{
        if (patch.data)
                cm_pg_put_jsonb(params, patch);
        else
                cm_pg_put_null(params);
}

int account_store_lock(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *user_id,
                       const struct account_merge *patches, struct user *user_r,
                       struct account_merge *merged_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        put_patch(&params, patches->preferences);
        put_patch(&params, patches->privacy_settings);
        r = cm_pg_tx_query(tx, &account_lock, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return ACCOUNT_NOT_FOUND;
        read_user(&rows, arena, user_r);
        merged_r->preferences = cm_arena_str(arena, cm_pg_jsonb(&rows, 0, USER_COLUMN_COUNT));
        merged_r->privacy_settings =
                cm_arena_str(arena, cm_pg_jsonb(&rows, 0, USER_COLUMN_COUNT + 1));
        return 0;
}

static const struct cm_pg_statement account_update = {
        .name = "account_update",
        .writes = true,
        .sql = "UPDATE users SET display_name = $2::text, first_name = $3::text, full_name = "
               "$4::text,"
               "   bio = $5::text, avatar_url = $6::text, language = $7::text, time_zone = "
               "$8::text,"
               "   preferences = $9::jsonb, version = $10::int8, updated_at = $11::timestamptz,"
               "   username = $12::text, phone_number = $13::text, privacy_settings = $14::jsonb,"
               "   phone_confirmed_at = $15::timestamptz"
               " WHERE id = $1::uuid",
};

int account_store_update(struct cm_pg_tx *tx, const struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &user->id);
        cm_pg_put_text(&params, user->display_name);
        cm_pg_put_text(&params, user->first_name);
        cm_pg_put_text(&params, user->full_name);
        cm_pg_put_text(&params, user->bio);
        cm_pg_put_text(&params, user->avatar_url);
        cm_pg_put_text(&params, user->language);
        cm_pg_put_text(&params, user->time_zone);
        cm_pg_put_jsonb(&params, user->preferences);
        cm_pg_put_int8(&params, user->version);
        cm_pg_put_time(&params, user->updated_at);
        cm_pg_put_text(&params, user->username);
        cm_pg_put_text(&params, user->phone_number);
        cm_pg_put_jsonb(&params, user->privacy_settings);
        put_time(&params, user->has_phone_confirmed_at, user->phone_confirmed_at);
        r = cm_pg_tx_query(tx, &account_update, &params, NULL);
        return r == CM_PG_DUPLICATE ? ACCOUNT_USERNAME_TAKEN : no_outcome(r);
}

static const struct cm_pg_statement account_verified = {
        .name = "account_verified",
        .writes = true,
        .sql = "UPDATE users SET email_verified_at = $2::timestamptz, version = $3::int8,"
               " updated_at = $4::timestamptz WHERE id = $1::uuid",
};

int account_store_verified(struct cm_pg_tx *tx, const struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &user->id);
        cm_pg_put_time(&params, user->email_verified_at);
        cm_pg_put_int8(&params, user->version);
        cm_pg_put_time(&params, user->updated_at);
        return no_outcome(cm_pg_tx_query(tx, &account_verified, &params, NULL));
}

static const struct cm_pg_statement account_lock_credentials = {
        .name = "account_lock_credentials",
        .sql = "SELECT " USER_COLUMNS ", password_hash FROM users"
               " WHERE id = $1::uuid AND status = 1 FOR NO KEY UPDATE",
};

/* The active account by a statement that locks it. *rows: what else the statement gives. */
static int lock_account(struct cm_pg_tx *tx, const struct cm_pg_statement *statement,
                        struct cm_arena *arena, const struct cm_uuid *user_id, struct user *user_r,
                        struct cm_pg_result *rows)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_tx_query(tx, statement, &params, rows);
        if (r)
                return no_outcome(r);
        if (!rows->rows)
                return ACCOUNT_NOT_FOUND;
        read_user(rows, arena, user_r);
        return 0;
}

int account_store_lock_credentials(struct cm_pg_tx *tx, struct cm_arena *arena,
                                   const struct cm_uuid *user_id, struct credentials *credentials_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = lock_account(tx, &account_lock_credentials, arena, user_id, &credentials_r->user,
                             &rows);

        if (!r)
                credentials_r->password_hash = text_at(&rows, arena, USER_COLUMN_COUNT);
        return r;
}

static const struct cm_pg_statement account_set_password = {
        .name = "account_set_password",
        .writes = true,
        .sql = "UPDATE users SET password_hash = $2::text, password_must_change = false"
               " WHERE id = $1::uuid",
};

int account_store_set_password(struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                               struct cm_str password_hash)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_text(&params, password_hash);
        return no_outcome(cm_pg_tx_query(tx, &account_set_password, &params, NULL));
}

static const struct cm_pg_statement account_lock_to_close = {
        .name = "account_lock_to_close",
        .sql = "SELECT " USER_COLUMNS " FROM users"
               " WHERE id = $1::uuid AND status = 1 FOR UPDATE",
};

int account_store_lock_to_close(struct cm_pg_tx *tx, struct cm_arena *arena,
                                const struct cm_uuid *user_id, struct user *user_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };

        return lock_account(tx, &account_lock_to_close, arena, user_id, user_r, &rows);
}

static int set_status(struct cm_pg_tx *tx, const struct cm_pg_statement *statement,
                      const struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &user->id);
        cm_pg_put_int2(&params, (int16_t)user->status);
        cm_pg_put_int8(&params, user->version);
        cm_pg_put_time(&params, user->updated_at);
        return no_outcome(cm_pg_tx_query(tx, statement, &params, NULL));
}

#define STATUS_COLUMNS "status = $2::int2, version = $3::int8, updated_at = $4::timestamptz"

static const struct cm_pg_statement account_set_status = {
        .name = "account_set_status",
        .writes = true,
        .sql = "UPDATE users SET " STATUS_COLUMNS " WHERE id = $1::uuid",
};

int account_store_set_status(struct cm_pg_tx *tx, const struct user *user)
{
        return set_status(tx, &account_set_status, user);
}

/* What has no @ is nobody's address. What else hangs on the account goes with it. */
static const struct cm_pg_statement account_erase = {
        .name = "account_erase",
        .writes = true,
        .sql = "WITH factors AS (DELETE FROM second_factors WHERE user_id = $1::uuid),"
               " profiles AS (DELETE FROM user_service_profiles WHERE user_id = $1)"
               " UPDATE users SET " STATUS_COLUMNS ", email = '', email_key = 'erased ' || id,"
               "   password_hash = '', display_name = NULL, first_name = NULL, full_name = NULL,"
               "   bio = NULL, avatar_url = NULL, language = 'en', time_zone = 'UTC',"
               "   preferences = '{}', privacy_settings = '{}', username = NULL, phone_number = "
               "NULL,"
               "   reference_id = NULL, email_verified_at = NULL, phone_confirmed_at = NULL,"
               "   deleted_at = $4 WHERE id = $1::uuid",
};

static const struct cm_pg_statement account_erase_traces = {
        .name = "account_erase_traces",
        .writes = true,
        .sql = "SELECT account_traces_erase($1::uuid)",
};

int account_store_erase(struct cm_pg_tx *tx, const struct user *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &user->id);
        r = cm_pg_tx_query(tx, &account_erase_traces, &params, NULL);
        return r ? no_outcome(r) : set_status(tx, &account_erase, user);
}

static const struct cm_pg_statement account_rehash = {
        .name = "account_rehash",
        .writes = true,
        .sql = "UPDATE users SET password_hash = $3::text"
               " WHERE id = $1::uuid AND password_hash = $2::text",
};

int account_store_rehash(struct cm_pg *pg, const struct cm_uuid *user_id, struct cm_str old_hash,
                         struct cm_str new_hash)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_text(&params, old_hash);
        cm_pg_put_text(&params, new_hash);
        return no_outcome(cm_pg_query(pg, &service_scope, &account_rehash, &params, NULL));
}

static const struct cm_pg_statement tenant_default = {
        .name = "tenant_default",
        .sql = "SELECT id FROM tenants WHERE is_default",
};

int account_store_default_tenant(struct cm_pg *pg, struct cm_uuid *tenant_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_query(pg, NULL, &tenant_default, NULL, &rows);

        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return -CM_E_DATABASE;
        *tenant_r = cm_pg_uuid(&rows, 0, 0);
        return 0;
}
