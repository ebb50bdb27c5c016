#include "bus/rpc_once.h"

#include "base/error.h"
#include "errors.h"
#include "store/answers.h"

#define STATUS_OK 200

/* The method is part of the key: a caller may use one key for all that one message asks for. And it
 * tells these keys from those of HTTP. */
static struct cm_answer_key key_of(const struct cm_rpc_request *call)
{
        const struct cm_str name[] = { CM_STR("rpc"), cm_str_from(call->method->type), call->key };
        struct cm_answer_key key = { .user = call->user };

        cm_answer_digest(key.key, name, CM_COUNT(name));
        cm_answer_digest(key.request, &call->body, 1);
        return key;
}

int cm_rpc_claim(struct cm_rpc_request *call, struct cm_pg_tx *tx)
{
        const struct cm_answer_key key = key_of(call);
        struct cm_answer answer;
        int r = cm_answer_claim(tx, &key, call->arena, &answer);

        switch (r) {
        case CM_ANSWER_FOUND:
                call->replay = answer.body;
                return CM_RPC_REPLAYED;
        case CM_ANSWER_OTHER:
                return cm_rpc_refuse(call, CM_CODE_IDEMPOTENCY_CONFLICT, NULL);
        case CM_ANSWER_RUNNING:
                return cm_rpc_refuse_at_work(call);
        default:
                return r;
        }
}

int cm_rpc_commit(struct cm_rpc_request *call, struct cm_pg_tx **tx, const void *out)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        const struct cm_answer_key key = key_of(call);
        int r;

        cm_schema_encode(call->method->reply, out, &json);
        call->replay = cm_arena_str(call->arena, cm_buf_str(&json));
        r = cm_answer_store(*tx, &key,
                            &(struct cm_answer){ .status = STATUS_OK,
                                                 .content_type = CM_STR("application/json"),
                                                 .body = call->replay });
        if (r == 0)
                r = cm_pg_commit(tx);
        return r > 0 ? -CM_E_DATABASE : r;
}
