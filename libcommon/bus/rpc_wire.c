#include "bus/rpc_wire.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/time.h"
#include "keys.h"
#include "schemas.h"

#define SPEC_VERSION    "1.0"
#define MEDIA_TYPE      "application/json"
#define MAX_NAME        200
#define TRACEPARENT_LEN 55

/* ---- requests */

size_t rpc_envelope_fields(const struct rpc_envelope *envelope, struct cm_arena *arena,
                           struct cm_str fields_r[RPC_ENVELOPE_TEXTS])
{
        const struct cm_str pairs[][2] = {
                { CM_STR("ce_specversion"), CM_STR(SPEC_VERSION) },
                { CM_STR("ce_id"), envelope->id },
                { CM_STR("ce_source"), envelope->source },
                { CM_STR("ce_type"), envelope->type },
                { CM_STR("ce_datacontenttype"), CM_STR(MEDIA_TYPE) },
                { CM_STR("ce_traceparent"), envelope->traceparent },
                { CM_STR("reply"), envelope->reply },
                { CM_STR("timeout_ms"),
                  cm_arena_printf(arena, "%" PRId64, envelope->timeout_us / CM_MILLISECOND) },
                { CM_STR("idempotency_key"), envelope->key },
                { CM_STR("data"), envelope->data },
        };
        size_t count = 0;

        _Static_assert(2 * CM_COUNT(pairs) == RPC_ENVELOPE_TEXTS, "room for each pair");
        for (size_t i = 0; i < CM_COUNT(pairs); i++) {
                if (!pairs[i][1].data)
                        continue;
                fields_r[count++] = pairs[i][0];
                fields_r[count++] = pairs[i][1];
        }
        return count;
}

/* Visible ASCII. */
static bool is_name(struct cm_str value)
{
        for (size_t i = 0; i < value.len; i++)
                if (value.data[i] <= ' ' || value.data[i] > '~')
                        return false;
        return value.len > 0 && value.len <= MAX_NAME;
}

static bool is_id(struct cm_str value)
{
        for (size_t i = 0; i < value.len; i++) {
                char c = value.data[i];

                if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
                        return false;
        }
        return value.len == CM_RPC_ID_SIZE - 1;
}

struct cm_str rpc_reply_owner(struct cm_str channel)
{
        struct cm_str owner;

        if (!is_name(channel) || !cm_str_starts(channel, CM_STR(KEY_REPLY_PREFIX)))
                return CM_STR_NONE;
        channel.data += sizeof(KEY_REPLY_PREFIX) - 1;
        channel.len -= sizeof(KEY_REPLY_PREFIX) - 1;
        if (!cm_str_split(&channel, '.', &owner) || !channel.len || !owner.len)
                return CM_STR_NONE;
        return owner;
}

static struct cm_str find(const struct cm_str *fields, size_t count, const char *name)
{
        for (size_t i = 0; i + 1 < count; i += 2)
                if (cm_str_equal(fields[i], cm_str_from(name)))
                        return fields[i + 1];
        return CM_STR_NONE;
}

static bool read_timeout(struct cm_str text, int64_t *timeout_us_r)
{
        int64_t ms;

        if (!cm_str_to_int(text, &ms) || ms < 1 || ms > CM_RPC_MAX_TIMEOUT_US / CM_MILLISECOND)
                return false;
        *timeout_us_r = ms * CM_MILLISECOND;
        return true;
}

static bool is_key(struct cm_str key)
{
        if (!key.data)
                return true;
        for (size_t i = 0; i < key.len; i++)
                if (key.data[i] <= ' ' || key.data[i] > '~')
                        return false;
        return key.len > 0 && key.len <= CM_RPC_MAX_KEY;
}

/* What is wrong with it, by its name; NULL when nothing is. */
static const char *look_at(const struct cm_str *fields, size_t count, struct rpc_envelope *envelope)
{
        if (!cm_str_equal(find(fields, count, "ce_specversion"), CM_STR(SPEC_VERSION)))
                return "ce_specversion";
        if (!cm_str_equal(find(fields, count, "ce_datacontenttype"), CM_STR(MEDIA_TYPE)))
                return "ce_datacontenttype";
        if (!is_name(envelope->source))
                return "ce_source";
        if (!is_name(envelope->type))
                return "ce_type";
        if (!read_timeout(find(fields, count, "timeout_ms"), &envelope->timeout_us))
                return "timeout_ms";
        if (!is_key(envelope->key))
                return "idempotency_key";
        return envelope->data.data ? NULL : "data";
}

int rpc_envelope_parse(const struct cm_str *fields, size_t count, size_t max_data,
                       struct rpc_envelope *envelope_r, const char **what_r)
{
        struct cm_str trace = find(fields, count, "ce_traceparent");

        *envelope_r = (struct rpc_envelope){
                .id = find(fields, count, "ce_id"),
                .source = find(fields, count, "ce_source"),
                .type = find(fields, count, "ce_type"),
                .reply = find(fields, count, "reply"),
                .key = find(fields, count, "idempotency_key"),
                .data = find(fields, count, "data"),
        };
        *what_r = is_id(envelope_r->id) ? "reply" : "ce_id";
        if (!is_id(envelope_r->id) || !rpc_reply_owner(envelope_r->reply).data)
                return RPC_UNANSWERABLE;
        if (trace.len == TRACEPARENT_LEN && is_name(trace))
                envelope_r->traceparent = trace;
        *what_r = look_at(fields, count, envelope_r);
        if (*what_r)
                return RPC_MALFORMED;
        return envelope_r->data.len > max_data ? RPC_TOO_LARGE : 0;
}

/* ---- replies */

bool rpc_answer_parse(struct cm_str message, struct rpc_answer *answer_r)
{
        struct cm_str line;

        if (!cm_str_split(&message, '\n', &line) || !message.data)
                return false;
        answer_r->json = message;
        return cm_str_split(&line, ' ', &answer_r->id) && is_id(answer_r->id) &&
               is_name(answer_r->code = line);
}

void rpc_answer_begin(struct cm_buf *out, struct cm_str id, struct cm_str code)
{
        cm_buf_printf(out, "%.*s %.*s\n", CM_STR_ARG(id), CM_STR_ARG(code));
}

void rpc_problem_write(struct cm_buf *out, const struct cm_rpc_problem *problem)
{
        struct problem_fault errors[CM_COUNT(problem->faults.items)];
        struct rpc_problem wire = {
                .has_detail = problem->detail.data ? CM_PRESENT : CM_ABSENT,
                .detail = problem->detail,
                .has_errors = problem->faults.count ? CM_PRESENT : CM_ABSENT,
                .errors = { errors, problem->faults.count },
                .has_retry_after_s = problem->retry_after_s ? CM_PRESENT : CM_ABSENT,
                .retry_after_s = problem->retry_after_s,
        };

        for (size_t i = 0; i < problem->faults.count; i++)
                errors[i] = (struct problem_fault){ problem->faults.items[i].pointer,
                                                    problem->faults.items[i].detail };
        cm_schema_encode(&rpc_problem_schema, &wire, out);
}

int rpc_problem_read(struct cm_str json, struct cm_arena *arena, struct cm_rpc_problem *problem_r)
{
        struct cm_faults faults = { .count = 0 };
        struct rpc_problem wire;

        *problem_r = (struct cm_rpc_problem){ .retry_after_s = 0 };
        if (cm_schema_decode(&rpc_problem_schema, json, arena, &wire, &faults))
                return -CM_E_PROTOCOL;
        problem_r->detail = wire.has_detail ? wire.detail : CM_STR_NONE;
        problem_r->retry_after_s = wire.has_retry_after_s ? (int)wire.retry_after_s : 0;
        for (size_t i = 0;
             wire.has_errors && i < wire.errors.count && i < CM_COUNT(problem_r->faults.items); i++)
                problem_r->faults.items[problem_r->faults.count++] =
                        (struct cm_fault){ wire.errors.items[i].pointer,
                                           wire.errors.items[i].detail };
        return 0;
}
