#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/error.h"
#include "bus/rpc_client.h"
#include "bus/rpc_server.h"
#include "errors.h"
#include "store/test_redis.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* Both ends over a real Redis: what a caller gets, and when, whatever happens between. */

#define STREAM   "s1:rpc:test"
#define LEASE_US (200 * CM_MILLISECOND)

static struct test_redis server;
static struct cm_loop *loop;
static struct cm_redis *redis, *signals, *callee_redis;
static struct cm_rpc *rpc;
static struct cm_rpc_server *callee;
static struct cm_arena arena;

/* ---- a method: the handler adds one, or does what the number asks for */

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
        { "user_id", &uuid_schema, offsetof(struct question, user_id), CM_NO_OFFSET,
          .required = true },
        { "n", &number_schema, offsetof(struct question, n), CM_NO_OFFSET, .required = true },
};
static const struct cm_member reply_members[] = {
        { "n", &number_schema, offsetof(struct reply, n), CM_NO_OFFSET, .required = true },
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
static const struct cm_rpc_method read_method = { .type = "test.read.v1",
                                                  .service = "test",
                                                  .request = &question_schema,
                                                  .reply = &reply_schema,
                                                  .user_offset = offsetof(struct question, user_id),
                                                  .timeout_us = 30 * CM_SECOND };
static const struct cm_rpc_method write_method = { .type = "test.write.v1",
                                                   .service = "test",
                                                   .request = &question_schema,
                                                   .reply = &reply_schema,
                                                   .user_offset =
                                                           offsetof(struct question, user_id),
                                                   .timeout_us = 30 * CM_SECOND,
                                                   .idempotent = true };
static const struct cm_rpc_method nobody_method = { .type = "test.read.v1",
                                                    .service = "nobody",
                                                    .request = &question_schema,
                                                    .reply = &reply_schema,
                                                    .timeout_us = 30 * CM_SECOND };

enum { REFUSE = -1, FAIL = -2, WAIT = -3, REPLAY = -4, CONFLICT = -5 };

static int runs, interrupted;
static bool released; /* WAIT goes on */
static struct cm_context seen;

static int serve(struct cm_rpc_request *call, const void *in, void *out)
{
        const struct question *question = in;
        struct reply *reply = out;
        struct cm_faults faults = { .count = 0 };
        int r = 0;

        runs++;
        seen = *cm_fiber_context();
        assert_true(cm_uuid_equal(&call->user, &question->user_id));
        assert_string_equal(cm_arena_str(call->arena, call->caller).data, "chat");
        switch (question->n) {
        case REFUSE:
                cm_fault_add(&faults, call->arena, CM_STR("/n"), "must be nicer");
                return cm_rpc_refuse_invalid(call, &faults);
        case FAIL:
                return -CM_E_UNAVAILABLE;
        case WAIT:
                while (r == 0 && !released)
                        r = cm_fiber_sleep(CM_MILLISECOND);
                interrupted += r != 0;
                return r;
        case REPLAY:
                call->replay = CM_STR("{\"n\":77}");
                return 0;
        case CONFLICT:
                return cm_rpc_refuse(call, CM_CODE_CONFLICT, "no, %s", "never");
        default:
                reply->n = question->n + 1;
                return 0;
        }
}

static const struct cm_rpc_handler handlers[] = { { &read_method, serve },
                                                  { &write_method, serve } };
static const char *const callers[] = { "chat", NULL };
static const struct cm_rpc_methods methods = { "test", handlers, 2, callers };

/* ---- set-up */

static void ignore_log(enum cm_log_level level CM_UNUSED, struct cm_str line, void *arg CM_UNUSED)
{
        if (getenv("VERBOSE"))
                fprintf(stderr, "%.*s", CM_STR_ARG(line));
}

static int set_up(void **state CM_UNUSED)
{
        if (!test_redis_is_installed())
                return 0;
        runs = interrupted = 0;
        released = false;
        cm_log_set_level(CM_LOG_WARN);
        cm_log_set_hook(ignore_log, NULL);
        test_redis_start(&server);
        loop = test_loop_new();
        cm_arena_init(&arena, 65536);
        return cm_redis_new(loop, &(struct cm_redis_config){ .url = server.url }, &redis) ||
                               cm_redis_new(loop, &(struct cm_redis_config){ .url = server.url },
                                            &signals) ||
                               cm_redis_new(loop, &(struct cm_redis_config){ .url = server.url },
                                            &callee_redis) ||
                               cm_rpc_new(&(struct cm_rpc_config){ .service = "chat",
                                                                   .redis = redis,
                                                                   .signals = signals },
                                          &rpc)
                       ? -1
                       : 0;
}

static int tear_down(void **state CM_UNUSED)
{
        if (!test_redis_is_installed())
                return 0;
        cm_rpc_free(&rpc);
        cm_redis_free(&callee_redis);
        cm_redis_free(&signals);
        cm_redis_free(&redis);
        cm_arena_deinit(&arena);
        test_loop_free(&loop);
        test_redis_stop(&server);
        return 0;
}

static void in_fiber(void (*fn)(void))
{
        if (!test_redis_is_installed())
                skip();
        test_run(loop, fn);
}

static void await(bool (*fn)(void))
{
        while (!fn())
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static bool client_is_ready(void)
{
        return cm_rpc_is_ready(rpc);
}

static int64_t command(const char *text)
{
        struct cm_str rest = cm_str_from(text), args[32], arg;
        struct cm_redis_reply reply = { 0 };
        size_t count = 0;

        while (cm_str_split(&rest, ' ', &arg))
                args[count++] = arg;
        assert_int_equal(cm_redis_command(redis, &arena, args, count, &reply), 0);
        return reply.kind == CM_REDIS_ARRAY ? (int64_t)reply.count : reply.integer;
}

static bool group_is_there(void)
{
        return command("EXISTS " STREAM) && command("XINFO GROUPS " STREAM) == 1;
}

static void start_callee_with(size_t max_running)
{
        const struct cm_rpc_server_config config = { .methods = &methods,
                                                     .redis = callee_redis,
                                                     .redis_url = server.url,
                                                     .max_running = max_running,
                                                     .max_data = 300,
                                                     .lease_us = LEASE_US };

        await(client_is_ready);
        assert_int_equal(cm_rpc_server_start(loop, &config, &callee), 0);
        await(group_is_there);
}

static void start_callee(void)
{
        start_callee_with(0);
}

/* ---- words of the tests */

static struct cm_rpc_problem problem;
static int64_t answer;

static int call_with(const struct cm_rpc_method *method, int64_t n, int64_t timeout_us)
{
        const struct question question = { .user_id = { { 1 } }, .n = n };
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + timeout_us);
        struct reply reply = { 0 };
        int r = cm_rpc_call(rpc, method, &arena, method->idempotent ? CM_STR("key") : CM_STR_NONE,
                            &question, &reply, &problem);

        (void)cm_fiber_set_deadline(before);
        answer = reply.n;
        return r;
}

static int call(int64_t n)
{
        return call_with(&read_method, n, 30 * CM_SECOND);
}

static int64_t counted(const char *name, const char *labels)
{
        return cm_metric_labeled(&(struct cm_metric){ .name = name }, labels)->value;
}

static int64_t not_run(const char *labels)
{
        return counted("salus_rpc_requests_not_run_total", labels);
}

static int64_t dropped(const char *labels)
{
        return counted("salus_rpc_replies_dropped_total", labels);
}

static bool stream_is_empty(void)
{
        return command("XLEN " STREAM) == 0 && command("XPENDING " STREAM " rpc - + 10") == 0;
}

/* ---- the usual */

static void replies_come_back(void)
{
        (void)snprintf(cm_fiber_context()->traceparent, 56,
                       "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        start_callee();
        for (int i = 0; i < 100; i++) {
                assert_int_equal(call(i), 0);
                assert_int_equal(answer, i + 1);
        }
        assert_true(seen.has_user);
        assert_int_equal(seen.user_id.bytes[0], 1);
        assert_string_equal(seen.traceparent, cm_fiber_context()->traceparent);
        assert_string_equal(seen.operation, "test.read.v1");
        assert_int_equal(call_with(&write_method, REPLAY, 30 * CM_SECOND), 0);
        assert_int_equal(answer, 77);
        await(stream_is_empty);
        cm_rpc_server_stop(&callee);
        assert_int_equal(command("XINFO CONSUMERS " STREAM " rpc"), 0);
}

static void test_replies_come_back(void **state CM_UNUSED)
{
        in_fiber(replies_come_back);
}

static void refusals_come_back(void)
{
        start_callee();
        assert_int_equal(call(REFUSE), CM_RPC_REFUSED);
        assert_true(cm_str_equal(problem.code, CM_STR(CM_CODE_INVALID)));
        assert_int_equal(problem.faults.count, 1);
        assert_true(cm_str_equal(problem.faults.items[0].pointer, CM_STR("/n")));
        assert_int_equal(call(CONFLICT), CM_RPC_REFUSED);
        assert_true(cm_str_equal(problem.code, CM_STR(CM_CODE_CONFLICT)));
        assert_true(cm_str_equal(problem.detail, CM_STR("no, never")));
        assert_int_equal(call(FAIL), -CM_E_UNAVAILABLE);
        cm_rpc_server_stop(&callee);
}

static void test_refusals_come_back(void **state CM_UNUSED)
{
        in_fiber(refusals_come_back);
}

static void a_callee_that_never_was(void)
{
        int64_t began = cm_monotonic_us();

        await(client_is_ready);
        assert_int_equal(call_with(&nobody_method, 1, 30 * CM_SECOND), -CM_E_UNAVAILABLE);
        assert_true(cm_monotonic_us() - began < 10 * CM_SECOND);
}

static void test_a_callee_that_never_was(void **state CM_UNUSED)
{
        in_fiber(a_callee_that_never_was);
}

/* ---- deadlines */

static void ends_at_its_deadline(void)
{
        int64_t expired = not_run("reason=\"expired\""), late;

        start_callee();
        late = cm_monotonic_us() + 100 * CM_MILLISECOND;
        assert_int_equal(call_with(&read_method, WAIT, 100 * CM_MILLISECOND), -CM_E_DEADLINE);
        assert_true(cm_monotonic_us() >= late);
        assert_true(cm_monotonic_us() < late + 10 * CM_SECOND);
        /* What writes may have been done. */
        assert_int_equal(call_with(&write_method, WAIT, 50 * CM_MILLISECOND), -CM_E_UNCERTAIN);
        await(stream_is_empty);
        assert_int_equal(interrupted, 2);
        assert_int_equal(not_run("reason=\"expired\"") - expired, 2);
        assert_int_equal(call(1), 0);
        cm_rpc_server_stop(&callee);
}

static void test_ends_at_its_deadline(void **state CM_UNUSED)
{
        in_fiber(ends_at_its_deadline);
}

static void what_has_expired_is_not_run(void)
{
        int64_t expired = not_run("reason=\"expired\"");

        await(client_is_ready);
        command("XGROUP CREATE " STREAM " rpc 0 MKSTREAM");
        assert_int_equal(call_with(&read_method, 1, 20 * CM_MILLISECOND), -CM_E_DEADLINE);
        assert_int_equal(command("XLEN " STREAM), 1);
        start_callee();
        await(stream_is_empty);
        assert_int_equal(runs, 0);
        assert_int_equal(not_run("reason=\"expired\"") - expired, 1);
        cm_rpc_server_stop(&callee);
}

static void test_what_has_expired_is_not_run(void **state CM_UNUSED)
{
        in_fiber(what_has_expired_is_not_run);
}

/* ---- replies that nobody waits for */

static char channel[64], last_id[64];

static void spy(void *arg CM_UNUSED, struct cm_str from CM_UNUSED, struct cm_str message)
{
        if (message.data)
                (void)snprintf(last_id, sizeof(last_id), "%.*s", 32, message.data);
}

static int64_t publish(const char *message)
{
        struct cm_redis_reply reply;

        assert_int_equal(cm_redis_call(redis, &arena, &reply, CM_STR("PUBLISH"),
                                       cm_str_from(channel), cm_str_from(message), CM_STR_NONE),
                         0);
        return reply.integer;
}

static void find_channel(void)
{
        struct cm_redis_reply reply;

        assert_int_equal(cm_redis_call(redis, &arena, &reply, CM_STR("PUBSUB"), CM_STR("CHANNELS"),
                                       CM_STR("s1:reply:chat.*"), CM_STR_NONE),
                         0);
        assert_int_equal(reply.count, 1);
        (void)snprintf(channel, sizeof(channel), "%.*s", CM_STR_ARG(reply.items[0].text));
}

static void nobody_is_told_what_is_not_for_them(void)
{
        int64_t late = dropped("reason=\"late\""), foreign = dropped("reason=\"foreign\"");
        int64_t malformed = dropped("reason=\"malformed\"");
        char again[80];

        start_callee();
        find_channel();
        assert_int_equal(cm_redis_subscribe(signals, cm_str_from(channel), spy, NULL), 0);
        assert_int_equal(call(1), 0);
        (void)snprintf(again, sizeof(again), "%s ok\n{\"n\":5}", last_id);
        assert_int_equal(publish(again), 1);
        assert_int_equal(publish("0123456789abcdef0123456789abcdef ok\n{\"n\":5}"), 1);
        assert_int_equal(publish("hello"), 1);
        assert_int_equal(call(2), 0);
        assert_int_equal(answer, 3);
        assert_int_equal(dropped("reason=\"late\"") - late, 1);
        assert_int_equal(dropped("reason=\"foreign\"") - foreign, 1);
        assert_int_equal(dropped("reason=\"malformed\"") - malformed, 1);
        cm_rpc_server_stop(&callee);
}

static void test_nobody_is_told_what_is_not_for_them(void **state CM_UNUSED)
{
        in_fiber(nobody_is_told_what_is_not_for_them);
}

/* ---- losses */

struct job {
        const struct cm_rpc_method *method;
        int64_t n;
        int64_t timeout_us;
        int result;
        int64_t took_us;
};
#define PATIENT (30 * CM_SECOND)

static void job_body(void *arg)
{
        struct job *job = arg;
        int64_t began = cm_monotonic_us();

        job->result = call_with(job->method, job->n, job->timeout_us);
        job->took_us = cm_monotonic_us() - began;
}

static int wanted_runs;

static bool all_run(void)
{
        return runs >= wanted_runs;
}

static void a_lost_redis_ends_calls_at_once(void)
{
        struct job jobs[] = { { &read_method, WAIT, PATIENT, 99, 0 },
                              { &write_method, WAIT, PATIENT, 99, 0 } };
        struct cm_group group;

        start_callee();
        cm_group_init(&group);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(cm_group_start(&group, "call", job_body, &jobs[i]), 0);
        wanted_runs = 2;
        await(all_run);
        test_redis_kill(&server);
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(jobs[0].result, -CM_E_UNAVAILABLE);
        assert_int_equal(jobs[1].result, -CM_E_UNCERTAIN);
        assert_true(jobs[0].took_us < PATIENT / 2 && jobs[1].took_us < PATIENT / 2);
        assert_int_equal(call(1), -CM_E_UNAVAILABLE);
        /* It comes back empty, and all is well again by itself. */
        test_redis_boot(&server);
        await(client_is_ready);
        await(group_is_there);
        while (call(1) != 0)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        cm_rpc_server_stop(&callee);
}

static void test_a_lost_redis_ends_calls_at_once(void **state CM_UNUSED)
{
        in_fiber(a_lost_redis_ends_calls_at_once);
}

/* ---- many */

static void beyond_the_limit_is_said_at_once(void)
{
        struct job slow = { &read_method, WAIT, PATIENT, 99, 0 };
        int64_t overloaded = not_run("reason=\"overloaded\"");
        struct cm_group group;

        start_callee_with(1);
        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "call", job_body, &slow), 0);
        wanted_runs = 1;
        await(all_run);
        assert_int_equal(call(1), -CM_E_OVERLOAD);
        assert_int_equal(not_run("reason=\"overloaded\"") - overloaded, 1);
        assert_int_equal(cm_rpc_server_running(callee), 1);
        released = true;
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(slow.result, 0);
        assert_int_equal(call(1), 0);
        cm_rpc_server_stop(&callee);
}

static void test_beyond_the_limit_is_said_at_once(void **state CM_UNUSED)
{
        in_fiber(beyond_the_limit_is_said_at_once);
}

static void what_runs_at_the_end_is_finished(void)
{
        struct job slow = { &read_method, WAIT, PATIENT, 99, 0 };
        struct cm_group group;

        start_callee();
        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "call", job_body, &slow), 0);
        wanted_runs = 1;
        await(all_run);
        (void)cm_fiber_set_deadline(cm_monotonic_us() + 50 * CM_MILLISECOND);
        cm_rpc_server_stop(&callee);
        (void)cm_fiber_set_deadline(CM_NEVER);
        /* It was cancelled in time, and the caller told. */
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(slow.result, -CM_E_UNAVAILABLE);
        assert_true(stream_is_empty());
}

static void test_what_runs_at_the_end_is_finished(void **state CM_UNUSED)
{
        in_fiber(what_runs_at_the_end_is_finished);
}

/* ---- what the dead leave */

static bool is_delivered(void)
{
        return command("XREADGROUP GROUP rpc dead COUNT 1 STREAMS " STREAM " >") == 1;
}

static void the_dead_are_replaced_once(void)
{
        int64_t given_up = not_run("reason=\"given_up\"");
        struct job job = { &read_method, 1, PATIENT, 99, 0 };
        struct cm_group group;

        await(client_is_ready);
        command("XGROUP CREATE " STREAM " rpc 0 MKSTREAM");
        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "call", job_body, &job), 0);
        await(is_delivered);
        start_callee();
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(job.result, 0);
        assert_true(job.took_us >= LEASE_US);
        assert_int_equal(runs, 1);
        await(stream_is_empty);
        cm_rpc_server_stop(&callee);

        /* Delivered twice already: it is not tried on a third. */
        job.timeout_us = 3 * CM_SECOND;
        assert_int_equal(cm_group_start(&group, "call", job_body, &job), 0);
        await(is_delivered);
        assert_int_equal(command("XAUTOCLAIM " STREAM " rpc dead2 0 0"), 3);
        start_callee();
        await(stream_is_empty);
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(job.result, -CM_E_DEADLINE);
        assert_int_equal(not_run("reason=\"given_up\"") - given_up, 1);
        assert_int_equal(runs, 1);
        cm_rpc_server_stop(&callee);
}

static void test_the_dead_are_replaced_once(void **state CM_UNUSED)
{
        in_fiber(the_dead_are_replaced_once);
}

static void slow_work_is_nobody_elses(void)
{
        struct job slow = { &read_method, WAIT, PATIENT, 99, 0 };
        struct cm_rpc_server *first;
        struct cm_group group;

        start_callee();
        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "call", job_body, &slow), 0);
        wanted_runs = 1;
        await(all_run);
        first = callee;
        start_callee(); /* a replica that would take over what shows no life */
        assert_int_equal(cm_fiber_sleep(5 * LEASE_US), 0); /* the fault: it is slow */
        released = true;
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(slow.result, 0);
        assert_int_equal(runs, 1);
        cm_rpc_server_stop(&callee);
        cm_rpc_server_stop(&first);
}

static void test_slow_work_is_nobody_elses(void **state CM_UNUSED)
{
        in_fiber(slow_work_is_nobody_elses);
}

/* ---- hostile entries */

#define ENTRY                                                                                      \
        "XADD " STREAM " * ce_specversion 1.0 ce_datacontenttype application/json ce_source /x "
#define WHOLE "ce_id 0123456789abcdef0123456789abcdef reply s1:reply:chat.x timeout_ms 1000 "
static const char *const garbage[] = {
        "XADD " STREAM " * a b",
        ENTRY "ce_type test.read.v1 data {}",
        ENTRY "ce_type test.read.v1 ce_id 0123456789abcdef0123456789abcdef reply x data {}",
        ENTRY WHOLE "ce_type test.read.v1 data not-json",
        ENTRY WHOLE "ce_type test.read.v1 data {\"n\":1}",
        ENTRY WHOLE "ce_type test.read.v2 data {}",
        ENTRY WHOLE "ce_type test.write.v1 data {}",
        ENTRY WHOLE "ce_type test.read.v1",
        ENTRY "ce_id 0123456789abcdef0123456789abcdef reply s1:reply:memory.x timeout_ms 1000 "
              "ce_type test.read.v1 data {}",
};

static void garbage_is_cleared_away(void)
{
        int64_t malformed = not_run("reason=\"malformed\"");

        start_callee();
        for (size_t i = 0; i < CM_COUNT(garbage); i++)
                command(garbage[i]);
        await(stream_is_empty);
        assert_int_equal(runs, 0);
        assert_int_equal(not_run("reason=\"malformed\"") - malformed, 4);
        assert_int_equal(call(1), 0);
        cm_rpc_server_stop(&callee);
}

static void test_garbage_is_cleared_away(void **state CM_UNUSED)
{
        in_fiber(garbage_is_cleared_away);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(replies_come_back),
                TEST(refusals_come_back),
                TEST(a_callee_that_never_was),
                TEST(ends_at_its_deadline),
                TEST(what_has_expired_is_not_run),
                TEST(nobody_is_told_what_is_not_for_them),
                TEST(a_lost_redis_ends_calls_at_once),
                TEST(beyond_the_limit_is_said_at_once),
                TEST(what_runs_at_the_end_is_finished),
                TEST(the_dead_are_replaced_once),
                TEST(slow_work_is_nobody_elses),
                TEST(garbage_is_cleared_away),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
