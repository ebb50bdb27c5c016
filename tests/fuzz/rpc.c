#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "bus/rpc_wire.h"

/*
 * Both directions of a call. Texts that a NUL ends are names and values of a request in turn: what
 * was taken and written out must be taken again and be the same. The whole input is a reply as
 * well, and what follows its first line a problem.
 */
#define MAX_TEXTS 64
#define MAX_DATA  65536

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t split(const char *bytes, size_t size, struct cm_str *texts)
{
        size_t count = 0, start = 0;

        for (size_t i = 0; i < size && count < MAX_TEXTS; i++) {
                if (bytes[i])
                        continue;
                texts[count++] = (struct cm_str){ bytes + start, i - start };
                start = i + 1;
        }
        return count;
}

static void same(const struct rpc_envelope *a, const struct rpc_envelope *b)
{
        CM_ASSERT(cm_str_equal(a->id, b->id) && cm_str_equal(a->source, b->source));
        CM_ASSERT(cm_str_equal(a->type, b->type) && cm_str_equal(a->reply, b->reply));
        CM_ASSERT(cm_str_equal(a->key, b->key) && cm_str_equal(a->data, b->data));
        CM_ASSERT(cm_str_equal(a->traceparent, b->traceparent));
        CM_ASSERT(a->timeout_us == b->timeout_us);
        CM_ASSERT(rpc_reply_owner(a->reply).len > 0);
}

static void try_request(struct cm_str input, struct cm_arena *arena)
{
        struct cm_str texts[MAX_TEXTS], fields[RPC_ENVELOPE_TEXTS];
        struct rpc_envelope envelope, again;
        const char *what;
        size_t count = split(input.data, input.len, texts);
        int r = rpc_envelope_parse(texts, count, MAX_DATA, &envelope, &what);

        if (r) {
                CM_ASSERT(r == RPC_TOO_LARGE || (what && *what));
                return;
        }
        count = rpc_envelope_fields(&envelope, arena, fields);
        CM_ASSERT(rpc_envelope_parse(fields, count, MAX_DATA, &again, &what) == 0);
        same(&envelope, &again);
}

static void try_reply(struct cm_str input, struct cm_arena *arena)
{
        struct cm_rpc_problem problem, again;
        struct cm_buf out = { 0 };
        struct rpc_answer answer;

        if (!rpc_answer_parse(input, &answer) || rpc_problem_read(answer.json, arena, &problem))
                return;
        rpc_problem_write(&out, &problem);
        CM_ASSERT(rpc_problem_read(cm_buf_str(&out), arena, &again) == 0);
        CM_ASSERT(again.faults.count == problem.faults.count);
        CM_ASSERT(cm_str_equal(again.detail, problem.detail));
        cm_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        const struct cm_str input = { (const char *)bytes, size };
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        try_request(input, &arena);
        try_reply(input, &arena);
        cm_arena_deinit(&arena);
        return 0;
}
