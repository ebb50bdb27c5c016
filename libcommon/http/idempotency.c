#include "http/idempotency.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "errors.h"
#include "http/server_internal.h"

#define MAX_KEY 255

/* False when it has not the form of one. Absent stays absent. */
static bool read_key(const struct cm_request *request, struct cm_str *key_r)
{
        struct cm_str key = cm_request_header(request, "idempotency-key");
        bool good = true;

        *key_r = key;
        if (!key.data)
                return true;
        if (key.len >= 2 && key.data[0] == '"' && key.data[key.len - 1] == '"')
                key = (struct cm_str){ key.data + 1, key.len - 2 };
        for (size_t i = 0; i < key.len; i++)
                good = good && key.data[i] > ' ' && key.data[i] <= '~' && key.data[i] != '"';
        *key_r = key;
        return good && key.len > 0 && key.len <= MAX_KEY;
}

int cm_idempotency_key(struct cm_request *request, struct cm_str *key_r)
{
        if (read_key(request, key_r))
                return 0;
        (void)cm_reply_invalid(request, "/header/idempotency-key",
                               "must be 1 to %d visible ASCII characters", MAX_KEY);
        return 1;
}

/* ---- who is at a key in this worker: a client that sends the same request twenty times takes one
 * connection of the database, not twenty */

int cm_idempotency_reply_running(struct cm_request *request)
{
        return cm_reply_problem(request, &(struct cm_problem){
                                                 .status = 409,
                                                 .code = CM_CODE_IDEMPOTENCY_IN_PROGRESS,
                                                 .retry_after_s = 1,
                                         });
}

int cm_attempt_enter(struct cm_request *request)
{
        struct cm_map *attempts = request->server->attempts;
        struct cm_uuid user;
        struct cm_str key;
        char *name;

        if (!request->has_claims || !read_key(request, &key) || !key.data)
                return 0; /* a bad one is the handler's to refuse */
        user = cm_request_claims(request)->sub;
        name = cm_arena_alloc(&request->arena, sizeof(user) + key.len);
        memcpy(name, user.bytes, sizeof(user));
        memcpy(name + sizeof(user), key.data, key.len);
        if (cm_map_get(attempts, (struct cm_str){ name, sizeof(user) + key.len })) {
                (void)cm_idempotency_reply_running(request);
                return 1;
        }
        request->attempt = (struct cm_str){ name, sizeof(user) + key.len };
        (void)cm_map_put(attempts, request->attempt, request);
        return 0;
}

void cm_attempt_leave(struct cm_request *request)
{
        if (request->attempt.data)
                (void)cm_map_remove(request->server->attempts, request->attempt);
        request->attempt = CM_STR_NONE;
}

int cm_idempotency_init(struct cm_idempotency *attempt, struct cm_request *request)
{
        const struct cm_str parts[] = { request->head.method, request->target.path,
                                        request->target.query, request->body };
        struct cm_str key;
        int r;

        *attempt = (struct cm_idempotency){ .request = request };
        r = cm_idempotency_key(request, &key);
        if (r || !key.data)
                return r;
        attempt->key.user = cm_request_claims(request)->sub;
        cm_answer_digest(attempt->key.key, &key, 1);
        cm_answer_digest(attempt->key.request, parts, CM_COUNT(parts));
        attempt->is_keyed = true;
        return 0;
}

/* ---- in the transaction */

/* Gives a stored answer again. */
static void replay(struct cm_request *request, const struct cm_answer *answer)
{
        struct cm_str lines = answer->headers, line, name;

        while (cm_str_split(&lines, '\n', &line))
                if (cm_str_split(&line, ':', &name) && line.data)
                        cm_reply_header(request, cm_arena_str(&request->arena, name).data,
                                        cm_str_trim(line));
        cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
        (void)cm_reply_body(request, answer->status, answer->content_type.data, answer->body);
}

int cm_idempotency_claim(struct cm_idempotency *attempt, struct cm_pg_tx *tx)
{
        struct cm_answer answer;
        int r;

        if (!attempt->is_keyed)
                return 0;
        r = cm_answer_claim(tx, &attempt->key, &attempt->request->arena, &answer);
        if (r == CM_ANSWER_FOUND)
                replay(attempt->request, &answer);
        else if (r == CM_ANSWER_RUNNING)
                (void)cm_idempotency_reply_running(attempt->request);
        else if (r == CM_ANSWER_OTHER)
                (void)cm_reply_problem(
                        attempt->request,
                        &(struct cm_problem){ .status = 422,
                                              .code = CM_CODE_IDEMPOTENCY_CONFLICT });
        return r;
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

static int store_answer(const struct cm_idempotency *attempt, struct cm_pg_tx *tx, int status,
                        const char *content_type, struct cm_str body)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf headers = { 0 };

        keep_headers(attempt->request, &headers);
        return cm_answer_store(tx, &attempt->key,
                               &(struct cm_answer){ .status = status,
                                                    .content_type = cm_str_from(content_type),
                                                    .headers = cm_buf_str(&headers),
                                                    .body = body });
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
