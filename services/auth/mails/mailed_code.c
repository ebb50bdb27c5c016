#include "mailed_code.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "codec/digest.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

static struct cm_str bytes_of(const uint8_t *bytes)
{
        return (struct cm_str){ (const char *)bytes, MAILED_CODE_DIGEST_SIZE };
}

void mailed_code_digest(struct cm_str secret, enum mailed_code_purpose purpose, struct cm_str text,
                        uint8_t digest_r[MAILED_CODE_DIGEST_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf named = { 0 };

        cm_buf_printf(&named, "mailed code %d ", purpose);
        cm_buf_add_str(&named, text);
        cm_hmac_sha256(secret, named.data, named.len, digest_r);
        cm_wipe(named.data, named.len);
}

void mailed_code_make(struct cm_str secret, enum mailed_code_purpose purpose,
                      struct cm_arena *arena, struct mailed_code *code_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        uint8_t bytes[32];

        cm_random(bytes, sizeof(bytes));
        cm_base64url_encode(bytes, sizeof(bytes), &text);
        code_r->text = cm_arena_str(arena, cm_buf_str(&text));
        mailed_code_digest(secret, purpose, code_r->text, code_r->digest);
        cm_wipe(bytes, sizeof(bytes));
        cm_wipe(text.data, text.len);
}

void mailed_code_bind(struct cm_str email_key, struct cm_str password_hash,
                      uint8_t bound_r[MAILED_CODE_DIGEST_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf both = { 0 };

        cm_buf_add_str(&both, email_key);
        cm_buf_add_char(&both, '\n');
        cm_buf_add_str(&both, password_hash);
        cm_sha256(both.data, both.len, bound_r);
}

/* ---- the table */

const struct cm_pg_statement mailed_code_insert = {
        .name = "mailed_code_insert",
        .writes = true,
        .sql = "WITH over AS (DELETE FROM mailed_codes WHERE digest IN (SELECT digest"
               "   FROM mailed_codes WHERE expires_at < now() ORDER BY expires_at LIMIT 4"
               "   FOR UPDATE SKIP LOCKED))"
               " INSERT INTO mailed_codes (digest, purpose, subject, bound_to, expires_at)"
               " VALUES ($1::bytea, $2::int2, $3::uuid, $4::bytea,"
               "         now() + $5::int8 * interval '1 microsecond')",
};

void mailed_code_insert_params(const struct mailed_code *code, enum mailed_code_purpose purpose,
                               const struct cm_uuid *subject, const uint8_t *bound, int64_t life_us,
                               struct cm_pg_params *params)
{
        cm_pg_put_bytes(params, bytes_of(code->digest));
        cm_pg_put_int2(params, (int16_t)purpose);
        cm_pg_put_uuid(params, subject);
        cm_pg_put_bytes(params, bytes_of(bound));
        cm_pg_put_int8(params, life_us);
}

static void put_code(enum mailed_code_purpose purpose, const uint8_t *digest,
                     struct cm_pg_params *params)
{
        cm_pg_put_bytes(params, bytes_of(digest));
        cm_pg_put_int2(params, (int16_t)purpose);
}

static const struct cm_pg_statement look = {
        .name = "mailed_code_look",
        .sql = "SELECT subject FROM mailed_codes"
               " WHERE digest = $1::bytea AND purpose = $2::int2 AND expires_at > now()",
};

int mailed_code_look(struct cm_pg *pg, enum mailed_code_purpose purpose, const uint8_t *digest,
                     struct cm_uuid *subject_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        put_code(purpose, digest, &params);
        r = cm_pg_query(pg, &service_scope, &look, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (!rows.rows)
                return CODE_INVALID;
        *subject_r = cm_pg_uuid(&rows, 0, 0);
        return 0;
}

static const struct cm_pg_statement use = {
        .name = "mailed_code_use",
        .writes = true,
        .sql = "DELETE FROM mailed_codes"
               " WHERE digest = $1::bytea AND purpose = $2::int2 AND expires_at > now()"
               " RETURNING subject, bound_to",
};

int mailed_code_use(struct cm_pg_tx *tx, enum mailed_code_purpose purpose, const uint8_t *digest,
                    struct cm_uuid *subject_r, uint8_t bound_r[MAILED_CODE_DIGEST_SIZE])
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct cm_str bound;
        int r;

        put_code(purpose, digest, &params);
        r = cm_pg_tx_query(tx, &use, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (!rows.rows)
                return CODE_INVALID;
        *subject_r = cm_pg_uuid(&rows, 0, 0);
        bound = cm_pg_text(&rows, 0, 1);
        if (bound.len != MAILED_CODE_DIGEST_SIZE)
                return -CM_E_DATABASE;
        memcpy(bound_r, bound.data, bound.len);
        return 0;
}

static const struct cm_pg_statement void_all = {
        .name = "mailed_code_void",
        .writes = true,
        .sql = "DELETE FROM mailed_codes WHERE subject = $1::uuid AND purpose = $2::int2",
};

int mailed_code_void(struct cm_pg_tx *tx, enum mailed_code_purpose purpose,
                     const struct cm_uuid *subject)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, subject);
        cm_pg_put_int2(&params, (int16_t)purpose);
        r = cm_pg_tx_query(tx, &void_all, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
