#include "store/answers.h"

#include <string.h>

#include "base/error.h"
#include "codec/digest.h"

_Static_assert(CM_ANSWER_DIGEST == CM_SHA256_SIZE, "digest size");

void cm_answer_digest(uint8_t out[CM_ANSWER_DIGEST], const struct cm_str *parts, size_t count)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf all = { 0 };

        for (size_t i = 0; i < count; i++) {
                uint64_t len = parts[i].len;

                cm_buf_add(&all, &len, sizeof(len));
                cm_buf_add_str(&all, parts[i]);
        }
        cm_sha256(all.data, all.len, out);
}

static struct cm_str bytes_of(const uint8_t digest[CM_ANSWER_DIGEST])
{
        return (struct cm_str){ (const char *)digest, CM_ANSWER_DIGEST };
}

static const struct cm_pg_statement lock_statement = {
        .name = "idempotency_lock",
        .sql = "SELECT pg_try_advisory_xact_lock($1::int8)",
};

static int take_lock(struct cm_pg_tx *tx, const struct cm_answer_key *key, bool *locked_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        char name[sizeof(key->user.bytes) + CM_ANSWER_DIGEST];
        const struct cm_str part = { name, sizeof(name) };
        uint8_t hash[CM_ANSWER_DIGEST];
        int64_t number;
        int r;

        memcpy(name, key->user.bytes, sizeof(key->user.bytes));
        memcpy(name + sizeof(key->user.bytes), key->key, CM_ANSWER_DIGEST);
        cm_answer_digest(hash, &part, 1);
        memcpy(&number, hash, sizeof(number));
        cm_pg_put_int8(&params, number);
        r = cm_pg_tx_query(tx, &lock_statement, &params, &result);
        *locked_r = r == 0 && cm_pg_bool(&result, 0, 0);
        return r;
}

static const struct cm_pg_statement find_statement = {
        .name = "idempotency_find",
        .sql = "SELECT request, status, content_type, headers, body FROM idempotency_key"
               " WHERE user_id = $1::uuid AND key = $2::bytea",
};

static int find(struct cm_pg_tx *tx, const struct cm_answer_key *key, struct cm_arena *arena,
                struct cm_answer *answer_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, &key->user);
        cm_pg_put_bytes(&params, bytes_of(key->key));
        r = cm_pg_tx_query(tx, &find_statement, &params, &result);
        if (r || !result.rows)
                return r;
        if (!cm_str_equal(cm_pg_text(&result, 0, 0), bytes_of(key->request)))
                return CM_ANSWER_OTHER;
        *answer_r = (struct cm_answer){
                .status = (int)cm_pg_int(&result, 0, 1),
                .content_type = cm_arena_str(arena, cm_pg_text(&result, 0, 2)),
                .headers = cm_arena_str(arena, cm_pg_text(&result, 0, 3)),
                .body = cm_arena_str(arena, cm_pg_text(&result, 0, 4)),
        };
        return CM_ANSWER_FOUND;
}

int cm_answer_claim(struct cm_pg_tx *tx, const struct cm_answer_key *key, struct cm_arena *arena,
                    struct cm_answer *answer_r)
{
        bool locked;
        int r = take_lock(tx, key, &locked);

        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        /* Without the lock too: whoever has it may only be giving a stored answer again. */
        r = find(tx, key, arena, answer_r);
        return r || locked ? r : CM_ANSWER_RUNNING;
}

static const struct cm_pg_statement store_statement = {
        .name = "idempotency_store",
        .sql = "INSERT INTO idempotency_key (user_id, key, request, status, content_type, headers,"
               " body) VALUES ($1::uuid, $2::bytea, $3::bytea, $4::int2, $5::text, $6::text,"
               " $7::bytea)",
        .writes = true,
};

int cm_answer_store(struct cm_pg_tx *tx, const struct cm_answer_key *key,
                    const struct cm_answer *answer)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &key->user);
        cm_pg_put_bytes(&params, bytes_of(key->key));
        cm_pg_put_bytes(&params, bytes_of(key->request));
        cm_pg_put_int2(&params, (int16_t)answer->status);
        cm_pg_put_text(&params, answer->content_type);
        cm_pg_put_text(&params, answer->headers.data ? answer->headers : CM_STR(""));
        cm_pg_put_bytes(&params, answer->body.data ? answer->body : CM_STR(""));
        r = cm_pg_tx_query(tx, &store_statement, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
