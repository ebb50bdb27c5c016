#include "openai_planner.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "sys/fiber.h"

/*
 * The planner against tests/support/provider.py: a server in a process of its own that checks each
 * request and answers in difficult ways.
 */
#define MS CM_MILLISECOND

static struct cm_loop *loop;
static struct cm_client *client;
static struct cm_zone *zone;
static pid_t server;
static int server_input = -1, port;

static void start_server(void)
{
        int in[2], out[2];
        char text[16] = { 0 };
        size_t used = 0;
        ssize_t len;

        assert_int_equal(pipe(in), 0);
        assert_int_equal(pipe(out), 0);
        server = fork();
        assert_true(server >= 0);
        if (server == 0) {
                (void)dup2(in[0], 0);
                (void)dup2(out[1], 1);
                (void)close(in[1]);
                (void)close(out[0]);
                (void)execlp("python3", "python3", "-P", "tests/support/provider.py", (char *)NULL);
                _exit(127);
        }
        (void)close(in[0]);
        (void)close(out[1]);
        server_input = in[1];
        do {
                len = read(out[0], text + used, sizeof(text) - 1 - used);
                assert_true(len > 0);
                used += (size_t)len;
        } while (!strchr(text, '\n'));
        port = (int)strtol(text, NULL, 10);
        assert_true(port > 0);
        (void)close(out[0]);
}

static int setup(void **state CM_UNUSED)
{
        const struct cm_fiber_pool_config fibers = { .stack_size = 65536,
                                                     .max_fibers = 10,
                                                     .keep_stacks = 2 };
        struct cm_client_config config = { .connect_us = 2 * CM_SECOND };

        start_server();
        zone = cm_zone_fixed(0);
        assert_int_equal(cm_loop_new(&loop), 0);
        assert_int_equal(cm_fiber_pool_init(loop, &fibers), 0);
        config.loop = loop;
        return cm_client_new(&config, &client);
}

static int teardown(void **state CM_UNUSED)
{
        cm_client_free(&client);
        cm_fiber_pool_deinit(loop);
        cm_loop_free(&loop);
        cm_zone_free(&zone);
        (void)close(server_input);
        (void)waitpid(server, NULL, 0);
        return 0;
}

/* ---- a conversation */

struct talk {
        const char *name; /* the server's case */
        const char *message;
        int64_t stall_us, time_us, cancel_us;
        int64_t max_reply;
        const struct planner_round *rounds;
        size_t round_count;

        struct cm_buf reply, calls, seen;
        int result;
        struct planner_step last;
        int call_rounds;
        char why[384];
        int64_t took_us, cancelled_at;
};

static struct cm_arena arena;

static void answer(struct talk *talk, struct planner *planner, struct planner_run *run,
                   const struct planner_step *step)
{
        struct chat_tool_result *results =
                cm_arena_array(&arena, step->call_count, sizeof(*results));

        for (size_t i = 0; i < step->call_count; i++) {
                enum chat_tool_id tool = step->calls[i].tool;

                cm_buf_printf(&talk->calls, "%s %.*s\n", chat_tools[tool].name,
                              CM_STR_ARG(step->calls[i].arguments));
                results[i] = chat_tool_result_read(
                        &arena, tool,
                        tool == CHAT_TOOL_RECALL ? CM_STR("{\"items\":[]}")
                        : tool == CHAT_TOOL_REMEMBER
                                ? CM_STR("{\"memory_id\":\"0190b2a4-0000-7000-8000-"
                                         "000000000001\",\"text\":\"kept for "
                                         "dana@example.com\",\"remembered_at\":"
                                         "\"2026-11-30T00:00:00Z\"}")
                                : CM_STR("{\"event_id\":\"0190b2a4-0000-7000-8000-"
                                         "000000000001\"}"));
                assert_int_equal(results[i].status, CHAT_RESULT_DONE);
        }
        talk->call_rounds++;
        planner->ops->answer(run, results);
}

static void converse(struct talk *talk, struct planner *planner)
{
        struct planner_input input = { .reply = CHAT_LANGUAGE_EN };
        struct planner_run *run = NULL;
        struct chat_text text;
        struct planner_step step = { .kind = PLANNER_SAY };

        assert_true(chat_text_read(&arena, cm_str_from(talk->message ? talk->message : "hello"),
                                   &text));
        input.message = &text;
        input.context.zone = zone;
        input.context.zone_name = CM_STR("UTC");
        input.rounds = talk->rounds;
        input.round_count = talk->round_count;
        assert_int_equal(planner->ops->start(planner, &input, &arena, &run), 0);
        while (talk->result == 0 && step.kind != PLANNER_FINISH) {
                talk->result = planner->ops->next(run, &step);
                if (talk->result == 0 && step.kind == PLANNER_SAY) {
                        assert_true(step.text.len && cm_utf8_is_valid(step.text));
                        cm_buf_add_str(&talk->reply, step.text);
                }
                if (talk->result == 0 && step.kind == PLANNER_CALL)
                        answer(talk, planner, run, &step);
        }
        talk->last = step;
        (void)snprintf(talk->why, sizeof(talk->why), "%s", openai_planner_why(run));
        planner->ops->end(&run);
}

static void ask_what_was_seen(struct talk *talk)
{
        struct cm_client_call call = { .method = "GET", .max_reply = 64 << 20 };
        char url[128];

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/seen/%s", port, talk->name);
        call.url = url;
        (void)cm_fiber_set_deadline(cm_monotonic_us() + 10 * CM_SECOND);
        assert_int_equal(cm_client_run(client, &call), 0);
        talk->seen = call.reply;
}

static void talk_fiber(void *arg)
{
        struct talk *talk = arg;
        struct provider_config config = { .retry_us = 2 * MS,
                                          .stall_us = talk->stall_us,
                                          .max_reply = talk->max_reply,
                                          .api_key = "secret" };
        const struct openai_planner_config options = {
                .options = { .model = "m", .temperature = -1, .asks_usage = true }, .max_rounds = 3
        };
        struct provider *provider;
        struct planner *planner;
        char url[128];
        int64_t start = cm_monotonic_us();

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s/v1/", port, talk->name);
        config.base_url = url;
        provider = provider_new(client, &config);
        planner = openai_planner_new(provider, &options);
        converse(talk, planner);
        talk->took_us = cm_monotonic_us() - start;
        openai_planner_free(&planner);
        provider_free(&provider);
        ask_what_was_seen(talk);
        cm_loop_stop(loop);
}

static void start_talk(void *arg)
{
        struct talk *talk = arg;
        int64_t time_us = talk->time_us ? talk->time_us : 20 * CM_SECOND;

        assert_int_equal(cm_fiber_start("talk", talk_fiber, talk, cm_monotonic_us() + time_us), 0);
}

static void run(struct talk *talk)
{
        cm_arena_init(&arena, 65536);
        cm_loop_defer(loop, start_talk, talk);
        cm_loop_run(loop);
        if (!talk->seen.data || !strstr(talk->seen.data, "\"wrong\": []"))
                fail_msg("%s: the server found fault: %s", talk->name, talk->seen.data);
}

static void done(struct talk *talk)
{
        cm_buf_deinit(&talk->reply);
        cm_buf_deinit(&talk->calls);
        cm_buf_deinit(&talk->seen);
        cm_arena_deinit(&arena);
}

#define TEXT(buf) ((buf).data ? (buf).data : "")

/* ---- tests */

static const struct row {
        const char *name, *message;
        int result;
        enum planner_finish finish;
        const char *reply, *calls;
        const char *seen; /* part of what the server says it saw */
} rows[] = {
        { "echo", "hello שלום", 0, PLANNER_DONE, "You wrote: hello שלום", "", "\"count\": 1" },
        { "busy", "hello", 0, PLANNER_DONE, "You wrote: hello", "", "\"count\": 3" },
        { "plain", "hello", 0, PLANNER_DONE, "Whole.", "", "\"count\": 1" },
        { "refuse", "hello", -CM_E_PROTOCOL, PLANNER_DONE, "", "", "\"count\": 1" },
        { "down", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "", "", "\"count\": 3" },
        { "busy_for_long", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "", "", "\"count\": 1" },
        { "not_again", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "", "", "\"count\": 1" },
        { "html", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "", "", "\"count\": 1" },
        { "empty", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "", "", "\"count\": 1" },
        { "cut", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "Half", "", "\"count\": 1" },
        { "lies", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "Half", "", "\"count\": 1" },
        { "text_numbers", "3x10 squats", 0, PLANNER_DONE, "Done.",
          "log_exercise {\"exercise\":\"squat\",\"exercise_name\":\"squats\",\"sets\":3,"
          "\"repetitions\":10,\"weight\":62.5,\"weight_unit\":\"kg\"}\n",
          "\"count\": 2" },
        { "unknown_tool", "hello", 0, PLANNER_DONE, "Told: There is no such tool.", "",
          "\"count\": 2" },
        { "invalid_arguments", "hello", 0, PLANNER_DONE, NULL, "", "\"count\": 2" },
        { "same_call_for_ever", "hello", 0, PLANNER_DONE, "Enough.", "recall {\"query\":\"x\"}\n",
          "\"count\": 4" },
        { "calls_for_ever", "hello", 0, PLANNER_TOOL_LIMIT, "",
          "recall {\"query\":\"x2\"}\nrecall {\"query\":\"x4\"}\nrecall {\"query\":\"x6\"}\n",
          "\"count\": 4" },
        { "corpus/half-surrogate", "hello", 0, PLANNER_DONE, "a😀b", "", "\"count\": 1" },
        { "corpus/no-done", "hello", 0, PLANNER_DONE, "Hello", "", "\"count\": 1" },
        { "corpus/no-finish", "hello", 0, PLANNER_DONE, "Hello", "", "\"count\": 1" },
        { "corpus/length", "hello", 0, PLANNER_CUT, "Hello", "", "\"count\": 1" },
        { "corpus/filter", "hello", 0, PLANNER_FILTERED, "", "", "\"count\": 1" },
        { "corpus/error", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "Hello", "", "\"count\": 1" },
        { "corpus/not-json", "hello", -CM_E_UNAVAILABLE, PLANNER_DONE, "", "", "\"count\": 1" },
        { "corpus/bad-utf8", "hello", 0, PLANNER_DONE, "a\ufffdb", "", "\"count\": 1" },
};

static void test_cases(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct talk talk = { .name = rows[i].name, .message = rows[i].message };

                run(&talk);
                if (talk.result != rows[i].result ||
                    (talk.result == 0 && talk.last.finish != rows[i].finish) ||
                    (rows[i].reply && strcmp(TEXT(talk.reply), rows[i].reply) != 0) ||
                    strcmp(TEXT(talk.calls), rows[i].calls) != 0 ||
                    !strstr(talk.seen.data, rows[i].seen))
                        fail_msg("%s: %d (%s), finish %d, reply %s\ncalls %s\nseen %.300s",
                                 rows[i].name, talk.result, talk.why, (int)talk.last.finish,
                                 TEXT(talk.reply), TEXT(talk.calls), talk.seen.data);
                assert_true(talk.result == 0 || talk.why[0]);
                assert_null(strstr(talk.why, "secret"));
                done(&talk);
        }
}

/* What leaves the house has pseudonyms, also in results of tools; what comes back has the values.
 */
static void test_nothing_private_leaves(void **state CM_UNUSED)
{
        struct talk talk = { .name = "tool",
                             .message = "remember dana@example.com and +972-54-123-4567" };

        run(&talk);
        assert_string_equal(
                TEXT(talk.calls),
                "remember {\"text\":\"remember dana@example.com and +972-54-123-4567\"}\n");
        assert_non_null(strstr(talk.reply.data, "kept for dana@example.com"));
        assert_null(strstr(talk.seen.data, "dana@"));
        assert_null(strstr(talk.seen.data, "4567"));
        assert_non_null(strstr(talk.seen.data, "[EMAIL_1]"));
        assert_non_null(strstr(talk.seen.data, "kept for [EMAIL_1]"));
        done(&talk);
}

/* A call that was run before the process died is told to the model and not asked for again. */
static void test_is_taken_up_again(void **state CM_UNUSED)
{
        struct chat_tool_call call;
        struct chat_tool_result result;
        struct planner_round round = { &call, &result, 1 };
        struct talk talk = { .name = "same_call_for_ever", .rounds = &round, .round_count = 1 };
        struct cm_str why;
        struct cm_arena own;

        cm_arena_init(&own, 4096);
        assert_int_equal(chat_tool_call_read(&own, CM_STR("recall"), CM_STR("{\"query\":\"x\"}"),
                                             &call, &why),
                         0);
        result = chat_tool_result_read(&own, CHAT_TOOL_RECALL, CM_STR("{\"items\":[]}"));
        run(&talk);
        assert_int_equal(talk.result, 0);
        assert_string_equal(TEXT(talk.calls), "");
        assert_string_equal(talk.reply.data, "Enough.");
        done(&talk);
        cm_arena_deinit(&own);
}

static void test_a_stall_ends(void **state CM_UNUSED)
{
        struct talk talk = { .name = "stall", .stall_us = 50 * MS };

        run(&talk);
        assert_int_equal(talk.result, -CM_E_UNAVAILABLE);
        assert_string_equal(talk.reply.data, "He");
        assert_true(talk.took_us < 5 * CM_SECOND);
        done(&talk);
}

static void test_the_deadline_ends_it(void **state CM_UNUSED)
{
        struct talk talk = { .name = "stall", .time_us = 100 * MS };

        run(&talk);
        assert_int_equal(talk.result, -CM_E_DEADLINE);
        done(&talk);
}

/* What is left of an event is not taken for one. */
static void test_a_cut_inside_an_event(void **state CM_UNUSED)
{
        struct talk talk = { .name = "cut_inside" };

        run(&talk);
        assert_int_equal(talk.result, -CM_E_UNAVAILABLE);
        assert_string_equal(talk.reply.data, "Half");
        assert_non_null(strstr(talk.why, "cut"));
        done(&talk);
}

static void test_too_long_a_reply_ends(void **state CM_UNUSED)
{
        struct talk talk = { .name = "flood", .max_reply = 300000 };

        run(&talk);
        assert_int_equal(talk.result, -CM_E_UNAVAILABLE);
        assert_non_null(strstr(talk.why, "too long"));
        done(&talk);
}

/* ---- a cancel is seen upstream */

static struct cm_fiber *cancelled;
static struct talk *cancelled_talk;

static void stop_it(void *arg CM_UNUSED)
{
        cancelled_talk->cancelled_at = cm_monotonic_us();
        cm_fiber_cancel(cancelled);
}

static void cancelled_fiber(void *arg)
{
        struct talk *talk = arg;
        struct provider_config config = { 0 };
        struct provider *provider;
        struct provider_reply *reply;
        struct cm_buf text = { 0 };
        char url[128];
        int r;

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/stall/v1", port);
        config.base_url = url;
        provider = provider_new(client, &config);
        assert_int_equal(
                provider_ask(provider,
                             CM_STR("{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
                                    "\"user\",\"content\":\"x\"}]}"),
                             &reply),
                0);
        cancelled = cm_fiber_self();
        do {
                r = provider_next(reply, &text);
                if (r == PROVIDER_TEXT)
                        cm_loop_defer(loop, stop_it, NULL);
        } while (r == PROVIDER_TEXT);
        talk->result = r;
        provider_close(&reply);
        talk->took_us = cm_monotonic_us();
        provider_free(&provider);
        cm_buf_deinit(&text);
        cm_loop_stop(loop);
}

static void start_cancelled(void *arg)
{
        assert_int_equal(cm_fiber_start("cancelled", cancelled_fiber, arg,
                                        cm_monotonic_us() + 20 * CM_SECOND),
                         0);
}

static void seen_fiber(void *arg)
{
        struct talk *talk = arg;

        /* The server's own note of it, however long that takes. */
        do {
                cm_buf_deinit(&talk->seen);
                ask_what_was_seen(talk);
        } while (strstr(talk->seen.data, "\"closed_at\": 0"));
        cm_loop_stop(loop);
}

static void start_seen(void *arg)
{
        assert_int_equal(
                cm_fiber_start("seen", seen_fiber, arg, cm_monotonic_us() + 20 * CM_SECOND), 0);
}

static void test_a_cancel_reaches_the_server(void **state CM_UNUSED)
{
        struct talk talk = { .name = "stall" };
        int64_t closed_at;

        cancelled_talk = &talk;
        cm_loop_defer(loop, start_cancelled, &talk);
        cm_loop_run(loop);
        assert_int_equal(talk.result, -CM_E_CANCELLED);
        cm_loop_defer(loop, start_seen, &talk);
        cm_loop_run(loop);
        /* Both processes read the same monotonic clock. */
        closed_at = strtoll(strstr(talk.seen.data, "\"closed_at\": ") + 13, NULL, 10);
        print_message("cancel: cut here after %.1f ms, seen by the server after %.1f ms\n",
                      (double)(talk.took_us - talk.cancelled_at) / 1000,
                      (double)(closed_at - talk.cancelled_at) / 1000);
        assert_true(talk.took_us - talk.cancelled_at < 200 * MS);
        cm_buf_deinit(&talk.seen);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_cases),
                T(test_nothing_private_leaves),
                T(test_is_taken_up_again),
                T(test_a_stall_ends),
                T(test_the_deadline_ends_it),
                T(test_a_cut_inside_an_event),
                T(test_too_long_a_reply_ends),
                T(test_a_cancel_reaches_the_server),
        };

        (void)setvbuf(stdout, NULL, _IONBF, 0); /* a test that fails in a fiber ends badly */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
