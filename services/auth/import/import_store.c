#include "import_store.h"

#include <string.h>

#include "base/error.h"

/* Each that is added has its row of the audit log. */
static const struct cm_pg_statement import_add = {
        .name = "import_add",
        .writes = true,
        .sql = "WITH added AS (INSERT INTO users (id, tenant_id, user_type, status, email, "
               "email_key,"
               "   password_hash, display_name, first_name, full_name, avatar_url, language,"
               "   time_zone, created_at, updated_at, email_verified_at,"
               "   phone_number, phone_confirmed_at)"
               " SELECT i.id, $1::uuid, $2::int2, i.status, i.email, i.email_key,"
               "   i.password_hash, i.display_name, i.first_name, i.full_name, i.avatar_url,"
               "   i.language, i.time_zone, i.created_at, i.updated_at, i.verified_at,"
               "   i.phone_number, i.phone_confirmed_at"
               " FROM unnest($3::uuid[], $4::int2[], $5::text[], $6::text[], $7::text[],"
               "   $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],"
               "   $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[], "
               "$18::timestamptz[]) AS i (id, status, "
               "email, email_key,"
               "   password_hash, display_name, first_name, full_name, avatar_url, language,"
               "   time_zone, created_at, updated_at, verified_at,"
               "   phone_number, phone_confirmed_at)"
               " ON CONFLICT DO NOTHING RETURNING id, email_key"
               "), logged AS ("
               " INSERT INTO audit_log (user_id, action, target, outcome, method, at, ip,"
               "   user_agent, request_id)"
               " SELECT id, 'account.import', id::text, 'done', 'command', now(), '', '', '' FROM "
               "added)"
               " SELECT id, email_key FROM added",
};

/* A column of the accounts: an array of one text, number or id of each. */
static void put_texts(struct cm_pg_params *params, const struct imported_account *accounts,
                      size_t count, size_t offset)
{
        cm_pg_array_begin(params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < count; i++) {
                const struct cm_str *text = (const void *)((const char *)&accounts[i] + offset);

                if (text->data)
                        cm_pg_array_text(params, *text);
                else
                        cm_pg_array_null(params);
        }
        cm_pg_array_end(params);
}

static void put_ids(struct cm_pg_params *params, const struct imported_account *accounts,
                    size_t count)
{
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(params, &accounts[i].user.id);
        cm_pg_array_end(params);
}

/* 0: not known. */
static void put_times(struct cm_pg_params *params, const struct imported_account *accounts,
                      size_t count, size_t offset)
{
        cm_pg_array_begin(params, CM_PG_TIME_ARRAY);
        for (size_t i = 0; i < count; i++) {
                const cm_time *time = (const void *)((const char *)&accounts[i] + offset);

                if (*time)
                        cm_pg_array_int(params, *time);
                else
                        cm_pg_array_null(params);
        }
        cm_pg_array_end(params);
}

#define TEXTS(member) put_texts(params, accounts, count, offsetof(struct imported_account, member))
#define TIMES(member) put_times(params, accounts, count, offsetof(struct imported_account, member))

static void add_params(const struct imported_account *accounts, size_t count,
                       struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, &accounts[0].user.tenant_id);
        cm_pg_put_int2(params, (int16_t)accounts[0].user.user_type);
        put_ids(params, accounts, count);
        cm_pg_array_begin(params, CM_PG_INT2_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(params, accounts[i].user.status);
        cm_pg_array_end(params);
        TEXTS(user.email);
        TEXTS(email_key);
        TEXTS(password_hash);
        TEXTS(user.display_name);
        TEXTS(user.first_name);
        TEXTS(user.full_name);
        TEXTS(user.avatar_url);
        TEXTS(user.language);
        TEXTS(user.time_zone);
        TIMES(user.created_at);
        TIMES(user.updated_at);
        TIMES(verified_at);
        TEXTS(user.phone_number);
        TIMES(user.phone_confirmed_at);
}

static bool is_row_of(const struct cm_pg_result *rows, int row,
                      const struct imported_account *account)
{
        struct cm_uuid id = cm_pg_uuid(rows, row, 0);

        return memcmp(&id, &account->user.id, sizeof(id)) == 0 &&
               cm_str_equal(cm_pg_text(rows, row, 1), account->email_key);
}

/* Rows come back in the order of the arrays. Returns how many were not taken. */
static size_t mark_taken(const struct cm_pg_result *rows, const struct imported_account *accounts,
                         size_t count, enum import_fate *fates_r)
{
        int next = 0;

        for (size_t i = 0; i < count; i++) {
                bool taken = next < rows->rows && is_row_of(rows, next, &accounts[i]);

                fates_r[i] = taken ? IMPORT_TAKEN : IMPORT_DUPLICATE;
                next += taken;
        }
        return count - (size_t)next;
}

static const struct cm_pg_statement import_here = {
        .name = "import_here",
        .sql = "SELECT i.at FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY"
               "   AS i (id, email_key, at)"
               " WHERE EXISTS (SELECT FROM users u WHERE u.id = i.id AND u.email_key = "
               "i.email_key)",
};

static int mark_here(struct cm_pg_tx *tx, const struct imported_account *accounts, size_t count,
                     enum import_fate *fates_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params lookup = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct cm_pg_params *params = &lookup;
        int r;

        put_ids(params, accounts, count);
        TEXTS(email_key);
        r = cm_pg_tx_query(tx, &import_here, params, &rows);
        for (int i = 0; !r && i < rows.rows; i++) {
                enum import_fate *fate = &fates_r[cm_pg_int(&rows, i, 0) - 1];

                *fate = *fate == IMPORT_TAKEN ? IMPORT_TAKEN : IMPORT_HERE;
        }
        return r > 0 ? -CM_E_DATABASE : r;
}

int import_store_add(struct cm_pg_tx *tx, const struct imported_account *accounts, size_t count,
                     enum import_fate *fates_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        size_t rest;
        int r;

        add_params(accounts, count, &params);
        r = cm_pg_tx_query(tx, &import_add, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        rest = mark_taken(&rows, accounts, count, fates_r);
        if (rest != count - (size_t)rows.rows)
                return -CM_E_DATABASE;
        return rest ? mark_here(tx, accounts, count, fates_r) : 0;
}

static const struct cm_pg_statement import_publish = {
        .name = "import_publish",
        .writes = true,
        .sql = "INSERT INTO outbox (payload, event_count)"
               " SELECT * FROM unnest($1::text[], $2::int4[])",
};

int import_store_publish(struct cm_pg_tx *tx, const struct cm_str *payloads, const int32_t *counts,
                         size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_array_begin(&params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_text(&params, payloads[i]);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_INT4_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(&params, counts[i]);
        cm_pg_array_end(&params);
        r = cm_pg_tx_query(tx, &import_publish, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
