#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/rpc_client.h"
#include "bus/rpc_server.h"
#include "sys/fiber.h"
#include "sys/log.h"

/*
 * rpc URL SECONDS RATE CALLERS: what a call costs. Two processes over one Redis: one answers a
 * question with its number, the other asks. RATE calls a second in all, evenly spaced, by CALLERS
 * fibers (0: as fast as they can). A call's time counts from when it was due, so a stall shows in
 * all that it delays. Prints one line of JSON; fails when a reply is not the one to its question.
 */
struct question {
        struct cm_uuid user_id;
        int64_t n;
};

struct reply {
        int64_t n;
};

static const struct cm_schema uuid_schema = { .name = "user_id",
                                              .type = CM_TYPE_UUID,
                                              .size = sizeof(struct cm_uuid) };
static const struct cm_schema number_schema = { .name = "n",
                                                .type = CM_TYPE_INTEGER,
                                                .size = sizeof(int64_t) };
static const struct cm_member question_members[] = {
        { "user_id", &uuid_schema, offsetof(struct question, user_id), CM_NO_OFFSET },
        { "n", &number_schema, offsetof(struct question, n), CM_NO_OFFSET },
};
static const struct cm_member reply_members[] = {
        { "n", &number_schema, offsetof(struct reply, n), CM_NO_OFFSET },
};
static const struct cm_schema question_schema = { .name = "Question",
                                                  .type = CM_TYPE_OBJECT,
                                                  .size = sizeof(struct question),
                                                  .members = question_members,
                                                  .member_count = 2 };
static const struct cm_schema reply_schema = { .name = "Reply",
                                               .type = CM_TYPE_OBJECT,
                                               .size = sizeof(struct reply),
                                               .members = reply_members,
                                               .member_count = 1 };
static const struct cm_rpc_method echo = { .type = "bench.echo.v1",
                                           .service = "bench",
                                           .request = &question_schema,
                                           .reply = &reply_schema,
                                           .user_offset = offsetof(struct question, user_id),
                                           .timeout_us = 5 * CM_SECOND };

static int serve(struct cm_rpc_request *call CM_UNUSED, const void *in, void *out)
{
        ((struct reply *)out)->n = ((const struct question *)in)->n;
        return 0;
}

static const struct cm_rpc_handler handlers[] = { { &echo, serve } };
static const char *const allowed[] = { "chat", NULL };
static const struct cm_rpc_methods methods = { "bench", handlers, 1, allowed };

static struct cm_loop *loop;
static struct cm_redis *redis, *signals;
static const char *url;

static void open_all(void)
{
        const struct cm_fiber_pool_config fibers = { 65536, 4096, 256 };
        const struct cm_redis_config config = { .url = url };

        if (cm_loop_new(&loop) || cm_fiber_pool_init(loop, &fibers) ||
            cm_redis_new(loop, &config, &redis) || cm_redis_new(loop, &config, &signals))
                exit(1);
}

/* ---- who answers */

static void answer(void)
{
        const struct cm_rpc_server_config config = {
                .methods = &methods, .redis = redis, .redis_url = url, .max_running = 2000
        };
        struct cm_rpc_server *server;

        if (cm_rpc_server_start(loop, &config, &server))
                exit(1);
}

static void begin_answering(void *arg CM_UNUSED)
{
        answer();
}

/* ---- who asks */

static struct cm_rpc *rpc;
static int64_t seconds, rate, callers;
static int64_t began_us, asked, failed;
static int64_t *times;
static size_t time_count, time_room;

static void note(int64_t took_us)
{
        if (time_count == time_room) {
                time_room = time_room ? 2 * time_room : 65536;
                times = realloc(times, time_room * sizeof(*times));
                if (!times)
                        exit(1);
        }
        times[time_count++] = took_us;
}

static void ask_once(struct cm_arena *arena, int64_t due_us)
{
        const struct question question = { .user_id = { { 1 } }, .n = asked++ };
        struct reply reply;

        if (cm_rpc_call(rpc, &echo, arena, CM_STR_NONE, &question, &reply, NULL) ||
            reply.n != question.n)
                failed++;
        note(cm_monotonic_us() - due_us);
        cm_arena_reset(arena);
}

static void asker(void *arg)
{
        int64_t every_us = rate ? callers * CM_SECOND / rate : 0;
        int64_t due_us = began_us + (rate ? (intptr_t)arg * CM_SECOND / rate : 0);
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        while (due_us < began_us + seconds * CM_SECOND) {
                if (rate && due_us > cm_monotonic_us())
                        (void)!cm_fiber_sleep(due_us - cm_monotonic_us());
                ask_once(&arena, rate ? due_us : cm_monotonic_us());
                due_us = rate ? due_us + every_us : cm_monotonic_us();
        }
        cm_arena_deinit(&arena);
}

static void ask(void *arg CM_UNUSED)
{
        struct cm_group group;
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        cm_group_init(&group);
        while (cm_monotonic_us() - began_us < 10 * CM_SECOND) {
                const struct question first = { .n = 0 };
                struct reply reply;

                if (cm_rpc_call(rpc, &echo, &arena, CM_STR_NONE, &first, &reply, NULL) == 0)
                        break;
                (void)!cm_fiber_sleep(CM_MILLISECOND);
        }
        began_us = cm_monotonic_us();
        for (intptr_t i = 0; i < callers; i++)
                if (cm_group_start(&group, "asker", asker, (void *)i))
                        exit(1);
        (void)cm_group_join(&group);
        cm_arena_deinit(&arena);
        cm_loop_stop(loop);
}

static void begin_asking(void *arg CM_UNUSED)
{
        began_us = cm_monotonic_us();
        if (cm_rpc_new(&(struct cm_rpc_config){ .service = "chat",
                                                .redis = redis,
                                                .signals = signals,
                                                .max_waiting = 4000 },
                       &rpc) ||
            cm_fiber_start("ask", ask, NULL, CM_NEVER))
                exit(1);
}

static int by_size(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

static void print(void)
{
        double took = (double)(cm_monotonic_us() - began_us) / CM_SECOND;

        qsort(times, time_count, sizeof(*times), by_size);
        printf("{\"calls\": %zu, \"failed\": %" PRId64 ", \"seconds\": %.3f, \"rate\": %.0f, "
               "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
               time_count, failed, took, (double)time_count / took,
               (double)times[time_count / 2] / 1000, (double)times[time_count * 99 / 100] / 1000,
               (double)times[time_count * 999 / 1000] / 1000, (double)times[time_count - 1] / 1000);
}

int main(int argc, char **argv)
{
        pid_t callee;

        if (argc != 5)
                return 2;
        url = argv[1];
        seconds = atoll(argv[2]);
        rate = atoll(argv[3]);
        callers = atoll(argv[4]);
        cm_log_set_level(CM_LOG_WARN);
        callee = fork();
        if (callee == 0)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        open_all();
        cm_loop_defer(loop, callee ? begin_asking : begin_answering, NULL);
        cm_loop_run(loop);
        if (!time_count)
                return 1;
        print();
        kill(callee, SIGKILL);
        waitpid(callee, NULL, 0);
        return failed ? 1 : 0;
}
