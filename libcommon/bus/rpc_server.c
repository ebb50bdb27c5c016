#include "bus/rpc_server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/rpc_server_internal.h"
#include "errors.h"
#include "keys.h"
#include "sys/log.h"

/*
 * One fiber reads the stream and starts a fiber for each request. It reads on when all places are
 * taken, because a caller is better off with `overloaded` at once than with silence. A second fiber
 * keeps house (rpc_keep.c).
 */
#define MAX_RUNNING 200
#define MAX_DATA    (1024 * 1024)
#define LEASE_US    (2 * CM_SECOND)
#define READ_COUNT  64
#define BLOCK_US    (250 * CM_MILLISECOND)
#define PAUSE_US    (100 * CM_MILLISECOND)
#define PATIENCE_US (5 * CM_SECOND) /* with Redis, for one step */
#define ARENA_BLOCK 8192
#define JOB_BLOCK   4096

static struct cm_metric requests =
        CM_COUNTER("salus_rpc_requests_total", "Requests that were run, by how they ended");
static struct cm_metric durations =
        CM_HISTOGRAM("salus_rpc_request_seconds", "Time from taking a request to its answer");
static struct cm_metric not_run =
        CM_COUNTER("salus_rpc_requests_not_run_total", "Requests that were not run, by reason");

/* ---- refusing */

int cm_rpc_refuse(struct cm_rpc_request *call, const char *code, const char *detail, ...)
{
        char text[512];
        va_list args;

        call->problem = (struct cm_rpc_problem){ .code = cm_str_from(code) };
        if (!detail)
                return CM_RPC_REFUSED;
        va_start(args, detail);
        (void)vsnprintf(text, sizeof(text), detail, args);
        va_end(args);
        call->problem.detail = cm_arena_str(call->arena, cm_str_from(text));
        return CM_RPC_REFUSED;
}

int cm_rpc_refuse_invalid(struct cm_rpc_request *call, const struct cm_faults *faults)
{
        call->problem =
                (struct cm_rpc_problem){ .code = CM_STR(CM_CODE_INVALID), .faults = *faults };
        return CM_RPC_REFUSED;
}

int cm_rpc_refuse_at_work(struct cm_rpc_request *call)
{
        call->problem = (struct cm_rpc_problem){ .code = CM_STR(CM_CODE_IDEMPOTENCY_IN_PROGRESS),
                                                 .retry_after_s = 1 };
        return CM_RPC_REFUSED;
}

/* ---- taking */

void rpc_count_not_run(const char *labels)
{
        cm_counter_add(cm_metric_labeled(&not_run, labels), 1);
}

/* How long its caller still waits, by the one clock that both can see. */
static int64_t time_left_us(const struct cm_rpc_server *server, struct cm_str entry,
                            int64_t timeout_us)
{
        struct cm_str rest = entry, ms;
        int64_t added_ms, age_us;

        if (!cm_str_split(&rest, '-', &ms) || !cm_str_to_int(ms, &added_ms) || added_ms < 0 ||
            added_ms > INT64_MAX / CM_MILLISECOND)
                return 0;
        age_us = server->clock_us + cm_monotonic_us() - added_ms * CM_MILLISECOND;
        return age_us < 0 ? timeout_us : timeout_us - age_us;
}

static bool may_call(const struct cm_rpc_methods *methods, struct cm_str caller)
{
        for (const char *const *it = methods->callers; it && *it; it++)
                if (cm_str_equal(cm_str_from(*it), caller))
                        return true;
        return false;
}

static const struct cm_rpc_handler *find_handler(const struct cm_rpc_methods *methods,
                                                 struct cm_str type)
{
        for (size_t i = 0; i < methods->count; i++)
                if (cm_str_equal(cm_str_from(methods->items[i].method->type), type))
                        return &methods->items[i];
        return NULL;
}

/* The code for what cannot be run, and why; NULL when it can. */
static const char *objection(const struct cm_rpc_server *server,
                             const struct rpc_envelope *envelope,
                             const struct cm_rpc_handler *handler, const char **detail_r)
{
        *detail_r = NULL;
        if (!handler)
                return CM_CODE_NOT_IMPLEMENTED;
        *detail_r = "idempotency_key";
        if (handler->method->idempotent && !envelope->key.data)
                return CM_CODE_BAD_REQUEST;
        *detail_r = NULL;
        return server->running >= server->config.max_running ? CM_CODE_OVERLOADED : NULL;
}

static struct cm_str copy(struct cm_arena *arena, struct cm_str text)
{
        return cm_arena_str(arena, text);
}

static int run(struct cm_rpc_server *server, struct cm_str entry,
               const struct rpc_envelope *envelope, const struct cm_rpc_handler *handler,
               int64_t left_us)
{
        struct rpc_job *job = CM_NEW(struct rpc_job);
        int r;

        cm_arena_init(&job->arena, JOB_BLOCK);
        cm_list_init(&job->node);
        job->server = server;
        job->handler = handler;
        job->meter = &server->meters[handler - server->config.methods->items];
        job->began_us = cm_monotonic_us();
        job->deadline_us = job->began_us + left_us;
        job->entry = copy(&job->arena, entry);
        job->envelope = (struct rpc_envelope){
                .id = copy(&job->arena, envelope->id),
                .source = copy(&job->arena, envelope->source),
                .type = copy(&job->arena, envelope->type),
                .traceparent = copy(&job->arena, envelope->traceparent),
                .reply = copy(&job->arena, envelope->reply),
                .key = copy(&job->arena, envelope->key),
                .data = copy(&job->arena, envelope->data),
        };
        r = rpc_job_start(job);
        if (r)
                rpc_job_free(&job);
        return r;
}

static void take_envelope(struct cm_rpc_server *server, struct cm_arena *arena, struct cm_str entry,
                          const struct rpc_envelope *envelope)
{
        const struct cm_rpc_handler *handler = find_handler(server->config.methods, envelope->type);
        int64_t left_us = time_left_us(server, entry, envelope->timeout_us);
        const char *detail, *code;

        if (left_us <= 0 || !may_call(server->config.methods, rpc_reply_owner(envelope->reply))) {
                rpc_count_not_run(left_us <= 0 ? "reason=\"expired\"" : "reason=\"forbidden\"");
                rpc_entry_finish(server, arena, entry, CM_STR_NONE, CM_STR_NONE);
                return;
        }
        code = objection(server, envelope, handler, &detail);
        if (!code && run(server, entry, envelope, handler, left_us))
                code = CM_CODE_OVERLOADED;
        if (!code)
                return;
        rpc_count_not_run(strcmp(code, CM_CODE_OVERLOADED) == 0 ? "reason=\"overloaded\""
                                                                : "reason=\"refused\"");
        rpc_entry_refuse(server, arena, entry, envelope, code, detail);
}

void rpc_server_take(struct cm_rpc_server *server, struct cm_arena *arena,
                     const struct cm_redis_reply *entry)
{
        const struct cm_redis_reply *pairs = &entry->items[1];
        struct rpc_envelope envelope;
        struct cm_str *fields;
        const char *what;
        int r;

        if (entry->count != 2 || !entry->items[0].text.data)
                return;
        fields = cm_arena_array(arena, pairs->count + 1, sizeof(*fields));
        for (size_t i = 0; i < pairs->count; i++)
                fields[i] = pairs->items[i].text;
        r = rpc_envelope_parse(fields, pairs->count, server->config.max_data, &envelope, &what);
        if (r == 0) {
                take_envelope(server, arena, entry->items[0].text, &envelope);
                return;
        }
        rpc_count_not_run("reason=\"malformed\"");
        cm_log(CM_LOG_WARN, "request is malformed", CM_F_TEXT("field", what ? what : "data"),
               CM_F_STR("entry", entry->items[0].text));
        if (r == RPC_UNANSWERABLE)
                rpc_entry_finish(server, arena, entry->items[0].text, CM_STR_NONE, CM_STR_NONE);
        else
                rpc_entry_refuse(server, arena, entry->items[0].text, &envelope,
                                 r == RPC_TOO_LARGE ? CM_CODE_TOO_LARGE : CM_CODE_BAD_REQUEST,
                                 what);
}

/* ---- reading */

static int read_once(struct cm_rpc_server *server)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(
                server->reader, &server->arena, &reply, CM_STR("XREADGROUP"), CM_STR("GROUP"),
                CM_STR("rpc"), server->consumer, CM_STR("COUNT"),
                cm_arena_printf(&server->arena, "%d", READ_COUNT), CM_STR("BLOCK"),
                cm_arena_printf(&server->arena, "%" PRId64, BLOCK_US / CM_MILLISECOND),
                CM_STR("STREAMS"), server->stream, CM_STR(">"), CM_STR_NONE);

        if (r == CM_REDIS_REFUSED) {
                cm_log(CM_LOG_WARN, "requests not readable", CM_F_STR("reply", reply.text));
                return -CM_E_UNAVAILABLE;
        }
        if (r || !reply.count || reply.items[0].count != 2)
                return r;
        for (size_t i = 0; i < reply.items[0].items[1].count; i++)
                rpc_server_take(server, &server->arena, &reply.items[0].items[1].items[i]);
        return 0;
}

static int pause_a_little(void)
{
        (void)cm_fiber_set_deadline(CM_NEVER);
        return cm_fiber_sleep(PAUSE_US);
}

static void read_fiber(void *arg)
{
        struct cm_rpc_server *server = arg;
        int r = 0;

        server->reading = cm_fiber_self();
        while (!server->is_stopping && r != -CM_E_CANCELLED) {
                (void)cm_fiber_set_deadline(cm_monotonic_us() + PATIENCE_US);
                if (!server->has_group)
                        r = rpc_keep_open(server);
                server->has_group = server->has_group || r == 0;
                if (r == 0)
                        r = read_once(server);
                cm_arena_reset(&server->arena);
                if (r == 0)
                        continue;
                server->has_group = false;
                r = pause_a_little() == -CM_E_CANCELLED ? -CM_E_CANCELLED : 0;
        }
        server->reading = NULL;
        server->fibers--;
        cm_cond_broadcast(&server->changed);
}

/* ---- life */

static struct cm_metric *meter(const struct cm_metric *base, struct cm_arena *arena,
                               const char *method, const char *outcome)
{
        struct cm_str labels =
                outcome ? cm_arena_printf(arena, "method=\"%s\",outcome=\"%s\"", method, outcome)
                        : cm_arena_printf(arena, "method=\"%s\"", method);

        return cm_metric_labeled(base, labels.data);
}

static void make_meters(struct cm_rpc_server *server)
{
        const struct cm_rpc_methods *methods = server->config.methods;
        struct cm_arena *arena = &server->names;

        server->meters = cm_arena_array(arena, methods->count + 1, sizeof(*server->meters));
        for (size_t i = 0; i < methods->count; i++) {
                const char *type = methods->items[i].method->type;

                server->meters[i] = (struct rpc_meter){
                        .duration = meter(&durations, arena, type, NULL),
                        .served = meter(&requests, arena, type, "ok"),
                        .refused = meter(&requests, arena, type, "refused"),
                        .failed = meter(&requests, arena, type, "failed"),
                };
        }
}

static void complete(struct cm_rpc_server_config *config)
{
        if (!config->max_running)
                config->max_running = MAX_RUNNING;
        if (!config->max_data)
                config->max_data = MAX_DATA;
        if (!config->lease_us)
                config->lease_us = LEASE_US;
}

static void server_free(struct cm_rpc_server **server)
{
        struct cm_rpc_server *it = *server;

        cm_redis_free(&it->reader);
        cm_arena_deinit(&it->arena);
        cm_arena_deinit(&it->keeping);
        cm_arena_deinit(&it->names);
        cm_free(it);
        *server = NULL;
}

static struct cm_rpc_server *server_new(struct cm_loop *loop,
                                        const struct cm_rpc_server_config *config)
{
        struct cm_rpc_server *server = CM_NEW(struct cm_rpc_server);
        char random_text[17];
        uint8_t random[8];

        server->loop = loop;
        server->config = *config;
        complete(&server->config);
        cm_list_init(&server->jobs);
        cm_cond_init(&server->changed);
        cm_cond_init(&server->stopping);
        cm_arena_init(&server->names, 1024);
        cm_arena_init(&server->arena, ARENA_BLOCK);
        cm_arena_init(&server->keeping, ARENA_BLOCK);
        cm_random(random, sizeof(random));
        cm_hex_encode(random, sizeof(random), random_text);
        server->stream = key_rpc(&server->names, cm_str_from(config->methods->service));
        server->consumer = cm_arena_printf(&server->names, "%s", random_text);
        make_meters(server);
        return server;
}

int cm_rpc_server_start(struct cm_loop *loop, const struct cm_rpc_server_config *config,
                        struct cm_rpc_server **server_r)
{
        struct cm_rpc_server *server = server_new(loop, config);
        int r = cm_redis_new(loop, &(struct cm_redis_config){ .url = config->redis_url },
                             &server->reader);

        if (r == 0)
                r = cm_fiber_start("rpc-keep", rpc_keep_fiber, server, CM_NEVER);
        if (r) {
                server_free(&server);
                return r;
        }
        server->fibers++;
        if (cm_fiber_start("rpc-read", read_fiber, server, CM_NEVER) == 0)
                server->fibers++;
        else
                server->is_stopping = true;
        *server_r = server;
        return 0;
}

static void cancel_jobs(struct cm_rpc_server *server)
{
        CM_LIST_EACH (node, &server->jobs) {
                struct rpc_job *job = CM_CONTAINER(node, struct rpc_job, node);

                if (job->fiber)
                        cm_fiber_cancel(job->fiber);
        }
}

void cm_rpc_server_stop(struct cm_rpc_server **server)
{
        struct cm_rpc_server *it = *server;
        int64_t deadline = cm_fiber_deadline_us();

        if (!it)
                return;
        it->is_stopping = true;
        cm_cond_broadcast(&it->stopping);
        while (it->fibers || it->running) {
                int r = cm_cond_wait(&it->changed);

                if (r == 0)
                        continue;
                cancel_jobs(it);
                if (it->reading)
                        cm_fiber_cancel(it->reading);
                (void)cm_fiber_set_deadline(CM_NEVER);
        }
        (void)cm_fiber_set_deadline(cm_monotonic_us() + CM_SECOND);
        rpc_keep_leave(it);
        (void)cm_fiber_set_deadline(deadline);
        server_free(server);
}

size_t cm_rpc_server_running(const struct cm_rpc_server *server)
{
        return server->running;
}
