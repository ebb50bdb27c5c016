#include "http/client.h"

#include "base/error.h"
#include "base/time.h"
#include "http/test_support.h"

static struct harness harness;
static struct cm_client *client;
static int asked;

static int call_echo(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        struct cm_str text = cm_arena_printf(cm_request_arena(request), "%.*s %.*s [%.*s] %.*s",
                                             CM_STR_ARG(cm_request_method(request)),
                                             CM_STR_ARG(cm_request_path(request)),
                                             CM_STR_ARG(cm_request_body(request)),
                                             CM_STR_ARG(cm_request_header(request, "x-a")));

        asked++;
        return cm_reply_body(request, 200, "text/plain", text);
}

static int call_busy(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        return cm_reply_problem(
                request,
                &(struct cm_problem){ .status = 503, .code = "overloaded", .retry_after_s = 7 });
}

static int call_sleep(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        int r = cm_fiber_sleep(300 * CM_MILLISECOND);

        return r < 0 ? r : cm_reply_empty(request, 204);
}

static int call_elsewhere(struct cm_request *request, const void *params CM_UNUSED,
                          const void *body CM_UNUSED)
{
        cm_reply_header(request, "Location", CM_STR("/echo"));
        return cm_reply_empty(request, 302);
}

static int call_stream(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        int r = cm_reply_stream(request, 200, "application/x-ndjson");

        for (int i = 0; i < 3 && r == 0; i++) {
                r = cm_reply_stream_write(request, CM_STR("line\n"));
                if (r == 0)
                        r = cm_fiber_sleep(2 * CM_MILLISECOND);
        }
        return r < 0 ? r : cm_reply_stream_end(request);
}

/* Ends in the middle of its reply. */
static int call_break(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        (void)cm_reply_stream(request, 200, "text/plain");
        return -CM_E_DEADLINE;
}

#define GET(name)                                                                                  \
        {                                                                                          \
                .method = "GET", .path = "/" #name, .operation = #name, .call = call_##name        \
        }
static const struct cm_route route_table[] = {
        GET(echo),
        GET(busy),
        GET(sleep),
        GET(elsewhere),
        GET(stream),
        GET(break),
        { .method = "PUT",
          .path = "/echo",
          .operation = "put",
          .media = "text/plain",
          .call = call_echo },
};
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), NULL };
static const struct cm_routes *const tables[] = { &routes };

static int setup(void **state CM_UNUSED)
{
        const struct cm_server_config config = { .routes = tables, .routes_count = 1 };
        struct cm_client_config client_config = { .connect_us = 500 * CM_MILLISECOND };

        asked = 0;
        harness_start(&harness, &config, 100);
        client_config.loop = harness.loop;
        return cm_client_new(&client_config, &client);
}

static int teardown(void **state CM_UNUSED)
{
        cm_client_free(&client);
        harness_stop(&harness);
        return 0;
}

/* ---- one call in a fiber */

struct talk {
        struct cm_client_call call;
        const char *path; /* at the harness, unless the call has a url */
        int64_t time_us;
        int result;
};

static void talk_fiber(void *arg)
{
        struct talk *talk = arg;
        char url[128];

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", harness.port,
                       talk->path ? talk->path : "");
        if (talk->path)
                talk->call.url = url;
        if (!talk->call.method)
                talk->call.method = "GET";
        talk->result = cm_client_run(client, &talk->call);
        cm_loop_stop(harness.loop);
}

static void start_talk(void *arg)
{
        struct talk *talk = arg;
        int64_t time_us = talk->time_us ? talk->time_us : 5 * CM_SECOND;

        assert_int_equal(cm_fiber_start("talk", talk_fiber, talk, cm_monotonic_us() + time_us), 0);
}

static void run(struct talk *talk)
{
        cm_loop_defer(harness.loop, start_talk, talk);
        cm_loop_run(harness.loop);
}

static void test_asks_and_gets(void **state CM_UNUSED)
{
        static const struct cm_client_header headers[] = { { "Content-Type", "text/plain" },
                                                           { "X-A", "b" } };
        struct talk put = { .path = "/echo",
                            .call = { .method = "PUT",
                                      .headers = headers,
                                      .header_count = 2,
                                      .body = CM_STR("hello") } };
        struct talk get = { .path = "/echo" };

        run(&put);
        assert_int_equal(put.result, 0);
        assert_int_equal(put.call.status, 200);
        assert_string_equal(put.call.reply.data, "PUT /echo [hello] b");
        assert_string_equal(put.call.content_type, "text/plain");
        run(&get);
        assert_string_equal(get.call.reply.data, "GET /echo [] ");
        assert_int_equal(cm_server_connections(harness.server), 1); /* kept */
        cm_client_call_deinit(&put.call);
        cm_client_call_deinit(&get.call);
}

static void test_how_calls_end(void **state CM_UNUSED)
{
        static const struct cm_client_header split[] = { { "X-A", "b\r\nX-B: c" } };
        struct {
                struct talk talk;
                int result, status;
        } rows[] = {
                { { .path = "/busy" }, 0, 503 },
                { { .path = "/elsewhere" }, 0, 302 },
                { { .path = "/sleep", .time_us = 30 * CM_MILLISECOND }, -CM_E_DEADLINE, 0 },
                { { .path = "/break" }, -CM_E_UNCERTAIN, 200 },
                { { .path = "/echo", .call = { .max_reply = 3 } }, -CM_E_TOO_LARGE, 200 },
                { { .path = "/stream", .call = { .max_reply = 12 } }, -CM_E_TOO_LARGE, 200 },
                { { .path = "/echo", .call = { .headers = split, .header_count = 1 } },
                  -CM_E_MALFORMED,
                  0 },
                { { .call = { .url = "http://127.0.0.1:1/" } }, -CM_E_UNAVAILABLE, 0 },
                { { .call = { .url = "ftp://127.0.0.1:1/" } }, -CM_E_MALFORMED, 0 },
                { { .call = { .url = "file:///etc/passwd" } }, -CM_E_MALFORMED, 0 },
                { { .call = { .url = "http://" } }, -CM_E_MALFORMED, 0 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                run(&rows[i].talk);
                if (rows[i].talk.result != rows[i].result ||
                    rows[i].talk.call.status != rows[i].status)
                        fail_msg("row %zu: %d, status %d", i, rows[i].talk.result,
                                 rows[i].talk.call.status);
                cm_client_call_deinit(&rows[i].talk.call);
        }
        assert_int_equal(rows[0].talk.call.retry_after_s, 7);
        assert_int_equal(asked, 1); /* the redirect was not followed */
}

static int count_pieces(struct cm_client_call *call, struct cm_str piece)
{
        assert_int_equal(call->status, 200);
        *(size_t *)call->arg += piece.len;
        return 0;
}

static int refuse_piece(struct cm_client_call *call CM_UNUSED, struct cm_str piece CM_UNUSED)
{
        return 1;
}

static void test_replies_in_pieces(void **state CM_UNUSED)
{
        size_t bytes = 0;
        struct talk talk = { .path = "/stream",
                             .call = { .on_piece = count_pieces, .arg = &bytes } };
        struct talk refused = { .path = "/stream", .call = { .on_piece = refuse_piece } };

        run(&talk);
        assert_int_equal(talk.result, 0);
        assert_int_equal(bytes, 15);
        assert_int_equal(talk.call.reply.len, 0);
        run(&refused);
        assert_int_equal(refused.result, -CM_E_CANCELLED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_asks_and_gets),
                T(test_how_calls_end),
                T(test_replies_in_pieces),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
