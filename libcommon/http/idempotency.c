#include "http/idempotency.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "codec/digest.h"
#include "errors.h"
#include "http/server_internal.h"

/*
 * Who else is at the same key? Within this worker a list knows, so that a client that sends the
 * same request twenty times does not take twenty connections; between workers and replicas an
 * advisory lock of the transaction. It is taken before the table is read, in a statement of its
 * own: a statement sees what was committed before it began, and so the row of whoever held the
 * lock.
 */
#define MAX_KEY 255

_Static_assert(CM_IDEMPOTENCY_DIGEST == CM_SHA256_SIZE, "digest size");

int cm_idempotency_key(struct cm_request *request, struct cm_str *key_r)
{
        struct cm_str key = cm_request_header(request, "idempotency-key");
        bool good = true;

        *key_r = key;
        if (!key.data)
                return 0;
        if (key.len >= 2 && key.data[0] == '"' && key.data[key.len - 1] == '"')
                key = (struct cm_str){ key.data + 1, key.len - 2 };
        for (size_t i = 0; i < key.len; i++)
                good = good && key.data[i] > ' ' && key.data[i] <= '~' && key.data[i] != '"';
        *key_r = key;
        if (good && key.len > 0 && key.len <= MAX_KEY)
                return 0;
        (void)cm_reply_invalid(request, "/header/idempotency-key",
                               "must be 1 to %d visible ASCII characters", MAX_KEY);
        return 1;
}

/* Each part with its length before it, so that none can run into the next. */
static void digest(uint8_t out[CM_IDEMPOTENCY_DIGEST], const struct cm_str *parts, size_t count)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf all = { 0 };

        for (size_t i = 0; i < count; i++) {
                uint64_t len = parts[i].len;

                cm_buf_add(&all, &len, sizeof(len));
                cm_buf_add_str(&all, parts[i]);
        }
        cm_sha256(all.data, all.len, out);
}

static const struct cm_uuid *user_of(const struct cm_idempotency *attempt)
{
        return &cm_request_claims(attempt->request)->sub;
}

/* What names an attempt: user and key. */
static struct cm_str name_of(const struct cm_idempotency *attempt,
                             char out[16 + CM_IDEMPOTENCY_DIGEST])
{
        memcpy(out, user_of(attempt)->bytes, 16);
        memcpy(out + 16, attempt->key, CM_IDEMPOTENCY_DIGEST);
        return (struct cm_str){ out, 16 + CM_IDEMPOTENCY_DIGEST };
}

static int reply_running(struct cm_request *request)
{
        (void)cm_reply_problem(request, &(struct cm_problem){
                                                .status = 409,
                                                .code = CM_CODE_IDEMPOTENCY_IN_PROGRESS,
                                                .retry_after_s = 1,
                                        });
        return 1;
}

int cm_idempotency_init(struct cm_idempotency *attempt, struct cm_request *request)
{
        const struct cm_str parts[] = { request->head.method, request->target.path,
                                        request->target.query, request->body };
        struct cm_map *running = request->server->attempts;
        char name[16 + CM_IDEMPOTENCY_DIGEST];
        struct cm_str key;
        int r;

        *attempt = (struct cm_idempotency){ .request = request };
        r = cm_idempotency_key(request, &key);
        if (r || !key.data)
                return r;
        digest(attempt->key, &key, 1);
        digest(attempt->digest, parts, CM_COUNT(parts));
        attempt->is_keyed = true;
        if (cm_map_get(running, name_of(attempt, name)))
                return reply_running(request);
        (void)cm_map_put(running, name_of(attempt, name), attempt);
        attempt->is_noted = true;
        return 0;
}

void cm_idempotency_deinit(struct cm_idempotency *attempt)
{
        char name[16 + CM_IDEMPOTENCY_DIGEST];

        if (attempt->is_noted)
                (void)cm_map_remove(attempt->request->server->attempts, name_of(attempt, name));
        attempt->is_noted = false;
}

/* ---- in the transaction */

static const struct cm_pg_statement lock_statement = {
        .name = "idempotency_lock",
        .sql = "SELECT pg_try_advisory_xact_lock($1::int8)",
};

static int take_lock(const struct cm_idempotency *attempt, struct cm_pg_tx *tx, bool *locked_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        char name[16 + CM_IDEMPOTENCY_DIGEST];
        uint8_t hash[CM_IDEMPOTENCY_DIGEST];
        struct cm_str part = name_of(attempt, name);
        int64_t number;
        int r;

        digest(hash, &part, 1);
        memcpy(&number, hash, sizeof(number));
        cm_pg_put_int8(&params, number);
        r = cm_pg_tx_query(tx, &lock_statement, &params, &result);
        *locked_r = r == 0 && cm_pg_bool(&result, 0, 0);
        return r;
}

/* Gives a stored answer again. */
static void replay(struct cm_request *request, const struct cm_pg_result *result)
{
        struct cm_str type = cm_pg_text(result, 0, 2), lines = cm_pg_text(result, 0, 3), line, name;

        while (cm_str_split(&lines, '\n', &line))
                if (cm_str_split(&line, ':', &name) && line.data)
                        cm_reply_header(request, cm_arena_str(&request->arena, name).data,
                                        cm_str_trim(line));
        cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
        (void)cm_reply_body(request, (int)cm_pg_int(result, 0, 1),
                            type.data ? cm_arena_str(&request->arena, type).data : NULL,
                            cm_pg_text(result, 0, 4));
}

static const struct cm_pg_statement find_statement = {
        .name = "idempotency_find",
        .sql = "SELECT request, status, content_type, headers, body FROM idempotency_key"
               " WHERE user_id = $1::uuid AND key = $2::bytea",
};

static int find_answer(const struct cm_idempotency *attempt, struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_str digest_text = { (const char *)attempt->digest, CM_IDEMPOTENCY_DIGEST };
        int r;

        cm_pg_put_uuid(&params, user_of(attempt));
        cm_pg_put_bytes(&params,
                        (struct cm_str){ (const char *)attempt->key, CM_IDEMPOTENCY_DIGEST });
        r = cm_pg_tx_query(tx, &find_statement, &params, &result);
        if (r || !result.rows)
                return r;
        if (cm_str_equal(cm_pg_text(&result, 0, 0), digest_text)) {
                replay(attempt->request, &result);
                return 1;
        }
        (void)cm_reply_problem(
                attempt->request,
                &(struct cm_problem){ .status = 422, .code = CM_CODE_IDEMPOTENCY_CONFLICT });
        return 1;
}

int cm_idempotency_claim(struct cm_idempotency *attempt, struct cm_pg_tx *tx)
{
        bool locked;
        int r;

        if (!attempt->is_keyed)
                return 0;
        r = take_lock(attempt, tx, &locked);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        /* Without the lock too: whoever has it may only be giving a stored answer again. */
        r = find_answer(attempt, tx);
        return r || locked ? r : reply_running(attempt->request);
}

/* Location and ETag belong to the answer; other headers (limits, traces) to the request. */
static void keep_headers(const struct cm_request *request, struct cm_buf *out)
{
        struct cm_str rest = cm_buf_str(&request->headers), line;

        cm_buf_add(out, "", 0);
        while (cm_str_split(&rest, '\n', &line))
                if (cm_str_starts(line, CM_STR("Location:")) ||
                    cm_str_starts(line, CM_STR("ETag:")))
                        cm_buf_printf(out, "%.*s\n", CM_STR_ARG(cm_str_trim(line)));
}

static const struct cm_pg_statement store_statement = {
        .name = "idempotency_store",
        .sql = "INSERT INTO idempotency_key (user_id, key, request, status, content_type, headers,"
               " body) VALUES ($1::uuid, $2::bytea, $3::bytea, $4::int2, $5::text, $6::text,"
               " $7::bytea)",
        .writes = true,
};

static int store_answer(const struct cm_idempotency *attempt, struct cm_pg_tx *tx, int status,
                        const char *content_type, struct cm_str body)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf headers = { 0 };
        int r;

        keep_headers(attempt->request, &headers);
        cm_pg_put_uuid(&params, user_of(attempt));
        cm_pg_put_bytes(&params,
                        (struct cm_str){ (const char *)attempt->key, CM_IDEMPOTENCY_DIGEST });
        cm_pg_put_bytes(&params,
                        (struct cm_str){ (const char *)attempt->digest, CM_IDEMPOTENCY_DIGEST });
        cm_pg_put_int2(&params, (int16_t)status);
        cm_pg_put_text(&params, cm_str_from(content_type));
        cm_pg_put_text(&params, cm_buf_str(&headers));
        cm_pg_put_bytes(&params, body.data ? body : CM_STR(""));
        r = cm_pg_tx_query(tx, &store_statement, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int cm_idempotency_commit(struct cm_idempotency *attempt, struct cm_pg_tx **tx, int status,
                          const char *content_type, struct cm_str body)
{
        int r = 0;

        if (attempt->is_keyed)
                r = store_answer(attempt, *tx, status, content_type, body);
        if (r == 0)
                r = cm_pg_commit(tx);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return cm_reply_body(attempt->request, status, content_type, body);
}

int cm_idempotency_commit_json(struct cm_idempotency *attempt, struct cm_pg_tx **tx, int status,
                               const struct cm_schema *schema, const void *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf body = { 0 };

        cm_schema_encode(schema, value, &body);
        return cm_idempotency_commit(attempt, tx, status, "application/json", cm_buf_str(&body));
}

static const struct cm_pg_statement forget_statement = {
        .name = "idempotency_forget",
        .sql = "DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(SELECT ctid FROM"
               " idempotency_key WHERE created_at < clock_timestamp() - $1::int8 *"
               " interval '1 microsecond' LIMIT 5000))",
        .writes = true,
};

int cm_idempotency_forget(struct cm_pg *pg, int64_t age_us, int64_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { .role = "service" };
        int r;

        *count_r = 0;
        cm_pg_put_int8(&params, age_us);
        r = cm_pg_query(pg, &scope, &forget_statement, &params, &result);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        *count_r = result.affected;
        return 0;
}
