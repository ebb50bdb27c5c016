#include "bus/rpc_client.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "bus/rpc_wire.h"
#include "errors.h"
#include "keys.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * A call is registered under an id, sent, and waits. The reply may be heard before Redis has
 * confirmed the request, because the two come by different connections.
 *
 * The id is 8 random bytes and a hash of them under a key that only this process knows: nobody can
 * guess one, and a reply that is not waited for tells whether its call was ours (late, or answered
 * twice) or never was (foreign).
 */
#define MAX_WAITING  1000
#define MAX_BACKLOG  "10000" /* requests in a stream that nobody reads */
#define RANDOM_TEXT  16
#define INSTANCE_LEN 16
#define HEAD_TEXTS   7 /* of XADD, before the fields */

static struct cm_metric calls =
        CM_COUNTER("salus_rpc_calls_total", "Calls of other services, by how they ended");
static struct cm_metric durations =
        CM_HISTOGRAM("salus_rpc_call_seconds", "Time from a call to its end");
static struct cm_metric dropped =
        CM_COUNTER("salus_rpc_replies_dropped_total", "Replies that nobody waits for");
static struct cm_metric waiting_gauge = CM_GAUGE("salus_rpc_waiting", "Calls without a reply yet");

struct cm_rpc {
        struct cm_rpc_config config;
        struct cm_arena names;
        struct cm_str source;  /* "/salus/chat" */
        struct cm_str channel; /* "s1:reply:chat.<instance>" */
        bool is_listening;
        struct cm_map *waiting; /* id -> struct waiting */
};

/* A call that waits; on the stack of its fiber. */
struct waiting {
        struct cm_wait wait;
        struct cm_arena *arena;
        struct cm_str message; /* the reply, in the arena */
};

/* ---- ids */

static void seal_id(const char random[RANDOM_TEXT], char out[CM_RPC_ID_SIZE])
{
        uint64_t hash = cm_hash(random, RANDOM_TEXT);

        memmove(out, random, RANDOM_TEXT);
        cm_hex_encode(&hash, sizeof(hash), out + RANDOM_TEXT);
}

static struct cm_str new_id(char out[CM_RPC_ID_SIZE])
{
        uint8_t random[RANDOM_TEXT / 2];

        cm_random(random, sizeof(random));
        cm_hex_encode(random, sizeof(random), out);
        seal_id(out, out);
        return (struct cm_str){ out, CM_RPC_ID_SIZE - 1 };
}

static bool is_ours(struct cm_str id)
{
        char expected[CM_RPC_ID_SIZE];

        seal_id(id.data, expected);
        return cm_equal_secret(expected, id.data, CM_RPC_ID_SIZE - 1);
}

/* ---- replies */

static void drop(const char *labels)
{
        cm_counter_add(cm_metric_labeled(&dropped, labels), 1);
}

static void take_reply(struct cm_rpc *rpc, struct cm_str message)
{
        struct rpc_answer answer;
        struct waiting *waiting;

        if (!rpc_answer_parse(message, &answer)) {
                drop("reason=\"malformed\"");
                return;
        }
        waiting = cm_map_get(rpc->waiting, answer.id);
        if (!waiting) {
                drop(is_ours(answer.id) ? "reason=\"late\"" : "reason=\"foreign\"");
                return;
        }
        (void)cm_map_remove(rpc->waiting, answer.id);
        waiting->message = cm_arena_str(waiting->arena, message);
        cm_wait_done(&waiting->wait, 0);
}

static void on_message(void *arg, struct cm_str channel CM_UNUSED, struct cm_str message)
{
        struct cm_rpc *rpc = arg;

        if (message.data)
                take_reply(rpc, message);
        else
                rpc->is_listening = true;
}

/* Replies that are on their way now will never be heard: nobody waits for them in vain. */
static void on_lost(void *arg)
{
        struct cm_rpc *rpc = arg;
        size_t position = 0;
        struct cm_str id;
        void *value;

        rpc->is_listening = false;
        while (cm_map_next(rpc->waiting, &position, &id, &value))
                cm_wait_done(&((struct waiting *)value)->wait, -CM_E_UNAVAILABLE);
        cm_map_free(&rpc->waiting, NULL);
        rpc->waiting = cm_map_new();
}

/* ---- one call */

/* 0 once the request is in the stream. A stream that is not there has no readers either. */
static int send(struct cm_rpc *rpc, struct cm_arena *arena, const char *service,
                const struct rpc_envelope *envelope)
{
        struct cm_str line[HEAD_TEXTS + RPC_ENVELOPE_TEXTS] = {
                CM_STR("XADD"),       key_rpc(arena, cm_str_from(service)),
                CM_STR("NOMKSTREAM"), CM_STR("MAXLEN"),
                CM_STR("~"),          CM_STR(MAX_BACKLOG),
                CM_STR("*"),
        };
        size_t count = rpc_envelope_fields(envelope, arena, line + HEAD_TEXTS);
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_command(rpc->config.redis, arena, line, HEAD_TEXTS + count, &reply);

        if (r == CM_REDIS_REFUSED)
                cm_log(CM_LOG_WARN, "call refused by redis", CM_F_TEXT("service", service),
                       CM_F_STR("reply", reply.text));
        if (r > 0 || (r == 0 && reply.kind == CM_REDIS_NIL))
                return -CM_E_UNAVAILABLE;
        return r;
}

/* The reply's message, in the arena. `sent_r`: it may have been taken. */
static int exchange(struct cm_rpc *rpc, struct cm_arena *arena, const char *service,
                    const struct rpc_envelope *envelope, struct cm_str *message_r, bool *sent_r)
{
        struct waiting waiting = { .arena = arena };
        int r;

        cm_wait_init(&waiting.wait);
        (void)cm_map_put(rpc->waiting, envelope->id, &waiting);
        r = send(rpc, arena, service, envelope);
        *sent_r = r == 0 || r == -CM_E_UNCERTAIN || r == -CM_E_CANCELLED;
        if (r == 0)
                r = cm_wait_for(&waiting.wait);
        if (waiting.message.data)
                r = 0;
        else
                (void)cm_map_remove(rpc->waiting, envelope->id);
        *message_r = waiting.message;
        return r;
}

/* What was sent and not answered: of a method that only reads it does not matter whether it was
 * served. */
static int unanswered(const struct cm_rpc_method *method, int r, bool sent)
{
        if (sent && method->idempotent && r != -CM_E_CANCELLED)
                return -CM_E_UNCERTAIN;
        if (cm_monotonic_us() >= cm_fiber_deadline_us())
                return -CM_E_DEADLINE;
        return r == -CM_E_UNCERTAIN ? -CM_E_UNAVAILABLE : r;
}

/* Codes for machinery that failed over there are machinery that failed here. */
static int error_of(struct cm_str code)
{
        static const struct {
                const char *code;
                int error;
        } errors[] = {
                { CM_CODE_UNAVAILABLE, -CM_E_UNAVAILABLE },
                { CM_CODE_OVERLOADED, -CM_E_OVERLOAD },
                { CM_CODE_TIMEOUT, -CM_E_DEADLINE },
                { CM_CODE_UNCERTAIN, -CM_E_UNCERTAIN },
                { CM_CODE_INTERNAL, -CM_E_PROTOCOL },
                { CM_CODE_NOT_IMPLEMENTED, -CM_E_PROTOCOL },
        };

        for (size_t i = 0; i < CM_COUNT(errors); i++)
                if (cm_str_equal(code, cm_str_from(errors[i].code)))
                        return errors[i].error;
        return CM_RPC_REFUSED;
}

static int read_answer(const struct cm_rpc_method *method, struct cm_arena *arena,
                       struct cm_str message, void *reply_r, struct cm_rpc_problem *problem_r)
{
        struct cm_faults faults = { .count = 0 };
        struct cm_rpc_problem problem = { .retry_after_s = 0 };
        struct rpc_answer answer;
        int r;

        if (!rpc_answer_parse(message, &answer))
                return -CM_E_PROTOCOL;
        if (cm_str_equal(answer.code, RPC_OK)) {
                r = cm_schema_decode(method->reply, answer.json, arena, reply_r, &faults);
                if (r)
                        cm_log(CM_LOG_ERROR, "reply is not what the contract says",
                               CM_F_TEXT("method", method->type),
                               CM_F_STR("pointer", faults.items[0].pointer),
                               CM_F_STR("detail", faults.items[0].detail));
                return r ? -CM_E_PROTOCOL : 0;
        }
        r = rpc_problem_read(answer.json, arena, &problem);
        problem.code = answer.code;
        if (problem_r)
                *problem_r = problem;
        return r ? r : error_of(answer.code);
}

static int64_t min(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

static int call_until(struct cm_rpc *rpc, const struct cm_rpc_method *method,
                      struct cm_arena *arena, struct rpc_envelope *envelope, void *reply_r,
                      struct cm_rpc_problem *problem_r)
{
        struct cm_str message;
        bool sent;
        int r;

        envelope->timeout_us = cm_fiber_deadline_us() - cm_monotonic_us();
        if (envelope->timeout_us < CM_MILLISECOND)
                return -CM_E_DEADLINE;
        if (!cm_rpc_is_ready(rpc))
                return -CM_E_UNAVAILABLE;
        if (cm_map_count(rpc->waiting) >= rpc->config.max_waiting)
                return -CM_E_OVERLOAD;
        r = exchange(rpc, arena, method->service, envelope, &message, &sent);
        return r ? unanswered(method, r, sent)
                 : read_answer(method, arena, message, reply_r, problem_r);
}

static void count(const struct cm_rpc_method *method, int r, int64_t began_us)
{
        char labels[128];

        (void)snprintf(labels, sizeof(labels), "method=\"%s\"", method->type);
        cm_histogram_observe_us(cm_metric_labeled(&durations, labels),
                                cm_monotonic_us() - began_us);
        (void)snprintf(labels, sizeof(labels), "method=\"%s\",outcome=\"%s\"", method->type,
                       r == 0  ? "ok"
                       : r > 0 ? "refused"
                               : cm_error_name(r));
        cm_counter_add(cm_metric_labeled(&calls, labels), 1);
}

int cm_rpc_call(struct cm_rpc *rpc, const struct cm_rpc_method *method, struct cm_arena *arena,
                struct cm_str idempotency_key, const void *request, void *reply_r,
                struct cm_rpc_problem *problem_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf data = { 0 };
        int64_t began_us = cm_monotonic_us(), deadline = cm_fiber_deadline_us();
        const struct cm_context *context = cm_fiber_context();
        char id[CM_RPC_ID_SIZE];
        struct rpc_envelope envelope = {
                .id = new_id(id),
                .source = rpc->source,
                .type = cm_str_from(method->type),
                .reply = rpc->channel,
                .key = idempotency_key,
        };
        int r;

        if (method->idempotent && !idempotency_key.len)
                return -CM_E_INTERNAL;
        if (context->traceparent[0])
                envelope.traceparent = cm_str_from(context->traceparent);
        cm_schema_encode(method->request, request, &data);
        envelope.data = cm_buf_str(&data);
        (void)cm_fiber_set_deadline(min(deadline, began_us + method->timeout_us));
        cm_gauge_add(&waiting_gauge, 1);
        r = call_until(rpc, method, arena, &envelope, reply_r, problem_r);
        cm_gauge_add(&waiting_gauge, -1);
        (void)cm_fiber_set_deadline(deadline);
        count(method, r, began_us);
        return r;
}

/* ---- life */

int cm_rpc_new(const struct cm_rpc_config *config, struct cm_rpc **rpc_r)
{
        struct cm_rpc *rpc = CM_NEW(struct cm_rpc);
        uint8_t random[INSTANCE_LEN / 2];
        char instance[INSTANCE_LEN + 1];
        int r;

        rpc->config = *config;
        if (!rpc->config.max_waiting)
                rpc->config.max_waiting = MAX_WAITING;
        cm_arena_init(&rpc->names, 512);
        cm_random(random, sizeof(random));
        cm_hex_encode(random, sizeof(random), instance);
        rpc->source = cm_arena_printf(&rpc->names, "/salus/%s", config->service);
        rpc->channel = key_reply(&rpc->names, cm_str_from(config->service), cm_str_from(instance));
        rpc->waiting = cm_map_new();
        cm_redis_on_loss(config->signals, on_lost, rpc);
        r = cm_redis_subscribe(config->signals, rpc->channel, on_message, rpc);
        *rpc_r = rpc;
        if (r)
                cm_rpc_free(rpc_r);
        return r;
}

void cm_rpc_free(struct cm_rpc **rpc)
{
        struct cm_rpc *it = *rpc;

        if (!it)
                return;
        cm_map_free(&it->waiting, NULL);
        cm_arena_deinit(&it->names);
        cm_free(it);
        *rpc = NULL;
}

bool cm_rpc_is_ready(const struct cm_rpc *rpc)
{
        return rpc->is_listening && cm_redis_is_ready(rpc->config.redis);
}
