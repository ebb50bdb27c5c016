#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/rpc_server_internal.h"
#include "errors.h"
#include "sys/log.h"

/*
 * One request: decoded, run with the time that its caller has left, answered, removed. When the
 * time is over nobody listens any more: the handler's waits end, and no answer is sent. An answer
 * that is lost leaves the entry to be taken over (rpc_keep.c), and its idempotency key makes that
 * harmless.
 */
#define ANSWER_US CM_SECOND

/* ---- answers */

void rpc_entry_finish(struct cm_rpc_server *server, struct cm_arena *arena, struct cm_str entry,
                      struct cm_str channel, struct cm_str message)
{
        const struct cm_str publish[] = { CM_STR("PUBLISH"), channel, message };
        const struct cm_str ack[] = { CM_STR("XACK"), server->stream, CM_STR("rpc"), entry };
        const struct cm_str del[] = { CM_STR("XDEL"), server->stream, entry };
        const struct cm_redis_command_line commands[] = {
                { publish, CM_COUNT(publish) },
                { ack, CM_COUNT(ack) },
                { del, CM_COUNT(del) },
        };
        struct cm_redis_reply replies[CM_COUNT(commands)] = { 0 };
        size_t first = channel.data ? 0 : 1;
        int r = cm_redis_flight(server->config.redis, arena, commands + first,
                                CM_COUNT(commands) - first, replies + first);

        if (r == CM_REDIS_REFUSED)
                cm_log(CM_LOG_ERROR, "answer refused by redis", CM_F_STR("channel", channel),
                       CM_F_STR("reply", replies[first].text));
        else if (r)
                cm_log(CM_LOG_WARN, "answer lost", CM_F_ERROR(r));
        else if (channel.data && replies[0].integer == 0)
                rpc_count_not_run("reason=\"unheard\"");
}

static void write_problem(struct cm_buf *out, struct cm_str id,
                          const struct cm_rpc_problem *problem)
{
        cm_buf_reset(out);
        rpc_answer_begin(out, id, problem->code);
        rpc_problem_write(out, problem);
}

void rpc_entry_refuse(struct cm_rpc_server *server, struct cm_arena *arena, struct cm_str entry,
                      const struct rpc_envelope *envelope, const char *code, const char *detail)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf message = { 0 };
        const struct cm_rpc_problem problem = {
                .code = cm_str_from(code),
                .detail = cm_str_from(detail),
                .retry_after_s = strcmp(code, CM_CODE_OVERLOADED) == 0,
        };

        write_problem(&message, envelope->id, &problem);
        rpc_entry_finish(server, arena, entry, envelope->reply, cm_buf_str(&message));
}

/* ---- running */

/* The one place where machinery that failed becomes a code. */
static struct cm_rpc_problem problem_of(int error)
{
        static const struct {
                int error;
                const char *code;
                int retry_after_s;
        } codes[] = {
                { -CM_E_DEADLINE, CM_CODE_TIMEOUT, 0 },
                { -CM_E_CANCELLED, CM_CODE_UNAVAILABLE, 1 },
                { -CM_E_UNAVAILABLE, CM_CODE_UNAVAILABLE, 2 },
                { -CM_E_UNCERTAIN, CM_CODE_UNCERTAIN, 2 },
                { -CM_E_OVERLOAD, CM_CODE_OVERLOADED, 1 },
                { -CM_E_TOO_LARGE, CM_CODE_TOO_LARGE, 0 },
        };

        for (size_t i = 0; i < CM_COUNT(codes); i++)
                if (codes[i].error == error)
                        return (struct cm_rpc_problem){ .code = cm_str_from(codes[i].code),
                                                        .retry_after_s = codes[i].retry_after_s };
        cm_log(CM_LOG_ERROR, "request failed", CM_F_ERROR(error));
        return (struct cm_rpc_problem){ .code = CM_STR(CM_CODE_INTERNAL) };
}

static void set_context(const struct rpc_job *job, const struct cm_uuid *user)
{
        struct cm_context *context = cm_fiber_context();

        *context = (struct cm_context){ .has_user = user != NULL,
                                        .operation = job->handler->method->type };
        if (user)
                context->user_id = *user;
        if (job->envelope.traceparent.data)
                (void)snprintf(context->traceparent, sizeof(context->traceparent), "%.*s",
                               CM_STR_ARG(job->envelope.traceparent));
}

/* What the handler returns; it has written `out` or the problem. */
static int serve(struct rpc_job *job, struct cm_rpc_request *call, void *out)
{
        const struct cm_rpc_method *method = job->handler->method;
        void *in = cm_arena_alloc(&job->arena, method->request->size);
        struct cm_faults faults = { .count = 0 };

        set_context(job, NULL);
        if (cm_schema_decode(method->request, job->envelope.data, &job->arena, in, &faults))
                return cm_rpc_refuse_invalid(call, &faults);
        memcpy(&call->user, (const char *)in + method->user_offset, sizeof(call->user));
        set_context(job, &call->user);
        return job->handler->serve(call, in, out);
}

static void write_answer(struct rpc_job *job, const struct cm_rpc_request *call, int r,
                         const void *out, struct cm_buf *message)
{
        struct cm_rpc_problem problem = call->problem;

        if (r == 0) {
                rpc_answer_begin(message, job->envelope.id, RPC_OK);
                if (call->replay.data)
                        cm_buf_add_str(message, call->replay);
                else
                        cm_schema_encode(job->handler->method->reply, out, message);
        }
        if (r == 0 && message->len <= job->server->config.max_data)
                return;
        if (r <= 0)
                problem = problem_of(r ? r : -CM_E_TOO_LARGE);
        write_problem(message, job->envelope.id, &problem);
}

static void run(struct rpc_job *job, struct cm_buf *message)
{
        const struct cm_rpc_method *method = job->handler->method;
        void *out = cm_arena_alloc(&job->arena, method->reply->size);
        struct cm_rpc_request call = {
                .method = method,
                .service = job->server->config.service,
                .arena = &job->arena,
                .now = cm_now(&cm_clock_system),
                .caller = rpc_reply_owner(job->envelope.reply),
                .key = job->envelope.key,
                .body = job->envelope.data,
        };
        int r = serve(job, &call, out);

        r = r == CM_RPC_REPLAYED ? 0 : r;
        write_answer(job, &call, r, out, message);
        cm_counter_add(r == 0  ? job->meter->served
                       : r > 0 ? job->meter->refused
                               : job->meter->failed,
                       1);
}

static void job_fiber(void *arg)
{
        struct rpc_job *job = arg;
        struct cm_rpc_server *server = job->server;
        struct cm_buf message = { 0 };
        struct cm_str channel = job->envelope.reply;

        job->fiber = cm_fiber_self();
        (void)cm_fiber_set_deadline(job->deadline_us);
        run(job, &message);
        cm_fiber_shield();
        if (cm_monotonic_us() >= job->deadline_us) {
                rpc_count_not_run("reason=\"expired\"");
                channel = CM_STR_NONE;
        }
        (void)cm_fiber_set_deadline(cm_monotonic_us() + ANSWER_US);
        rpc_entry_finish(server, &job->arena, job->entry, channel, cm_buf_str(&message));
        cm_buf_deinit(&message);
        cm_histogram_observe_us(job->meter->duration, cm_monotonic_us() - job->began_us);
        cm_list_remove(&job->node);
        server->running--;
        rpc_job_free(&job);
        cm_cond_broadcast(&server->changed);
}

int rpc_job_start(struct rpc_job *job)
{
        int r = cm_fiber_start("rpc", job_fiber, job, CM_NEVER);

        if (r)
                return r;
        cm_list_append(&job->server->jobs, &job->node);
        job->server->running++;
        return 0;
}

void rpc_job_free(struct rpc_job **job)
{
        if (!*job)
                return;
        cm_arena_deinit(&(*job)->arena);
        cm_free(*job);
        *job = NULL;
}
