#include "http/client.h"

#include "base/error.h"
#include "base/time.h"
#include "http/test_support.h"

#define BIG (32 << 20)

static struct harness harness;
static struct cm_client *client;
static int64_t produced, consumed, closed_at, noticed_at;

static int call_lines(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        int r;

        cm_reply_header(request, "Retry-After-Ms", CM_STR("1500"));
        r = cm_reply_stream(request, 200, "text/event-stream");
        for (int i = 0; i < 3 && r == 0; i++) {
                r = cm_reply_stream_write(request, CM_STR("line\n"));
                if (r == 0)
                        r = cm_fiber_sleep(CM_MILLISECOND);
        }
        return r < 0 ? r : cm_reply_stream_end(request);
}

static int call_big(struct cm_request *request, const void *params CM_UNUSED,
                    const void *body CM_UNUSED)
{
        static const char block[65536];
        int r = cm_reply_stream(request, 200, "application/octet-stream");

        while (r == 0 && produced < BIG) {
                r = cm_reply_stream_write(request, (struct cm_str){ block, sizeof(block) });
                produced += sizeof(block);
        }
        return r < 0 ? r : cm_reply_stream_end(request);
}

/* Goes on until somebody notices that the client is gone. */
static int call_endless(struct cm_request *request, const void *params CM_UNUSED,
                        const void *body CM_UNUSED)
{
        int r = cm_reply_stream(request, 200, "text/event-stream");

        while (r == 0) {
                r = cm_reply_stream_write(request, CM_STR("data\n"));
                if (r == 0)
                        r = cm_fiber_sleep(CM_MILLISECOND);
        }
        noticed_at = cm_monotonic_us();
        cm_loop_stop(harness.loop);
        return r;
}

static int call_break(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        int r = cm_reply_stream(request, 200, "text/plain");

        if (r == 0)
                r = cm_reply_stream_write(request, CM_STR("half"));
        return r < 0 ? r : -CM_E_DEADLINE;
}

static int call_refuse(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        return cm_reply_empty(request, 429);
}

#define GET(name)                                                                                  \
        {                                                                                          \
                .method = "GET", .path = "/" #name, .operation = #name, .call = call_##name        \
        }
static const struct cm_route route_table[] = { GET(lines), GET(big), GET(endless), GET(break),
                                               GET(refuse) };
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), NULL };
static const struct cm_routes *const tables[] = { &routes };

static int setup(void **state CM_UNUSED)
{
        const struct cm_server_config config = { .routes = tables, .routes_count = 1 };
        struct cm_client_config client_config = { .connect_us = 500 * CM_MILLISECOND };

        produced = consumed = closed_at = noticed_at = 0;
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

struct talk {
        const char *path;
        void (*read)(struct talk *talk, struct cm_client_stream *stream);
        struct cm_client_call call;
        struct cm_buf all;
        char header[32];
        int result;
        bool stays; /* the loop is stopped by somebody else */
};

static void talk_fiber(void *arg)
{
        struct talk *talk = arg;
        struct cm_client_stream *stream = NULL;
        char url[128];

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", harness.port, talk->path);
        talk->call.url = url;
        talk->call.method = "GET";
        talk->result = cm_client_open(client, &talk->call, &stream);
        if (talk->result == 0) {
                (void)snprintf(talk->header, sizeof(talk->header), "%s",
                               cm_client_stream_header(stream, "retry-after-ms"));
                talk->read(talk, stream);
        }
        cm_client_close(&stream);
        assert_null(stream);
        closed_at = cm_monotonic_us();
        if (!talk->stays)
                cm_loop_stop(harness.loop);
}

static void start_talk(void *arg)
{
        assert_int_equal(
                cm_fiber_start("talk", talk_fiber, arg, cm_monotonic_us() + 20 * CM_SECOND), 0);
}

static void run(struct talk *talk)
{
        cm_loop_defer(harness.loop, start_talk, talk);
        cm_loop_run(harness.loop);
}

static void read_all(struct talk *talk, struct cm_client_stream *stream)
{
        size_t before;

        do {
                before = talk->all.len;
                talk->result = cm_client_read(stream, &talk->all);
        } while (talk->result == 0 && talk->all.len > before);
}

static void test_reads_while_it_comes(void **state CM_UNUSED)
{
        struct talk talk = { .path = "/lines", .read = read_all };

        run(&talk);
        assert_int_equal(talk.result, 0);
        assert_int_equal(talk.call.status, 200);
        assert_string_equal(talk.call.content_type, "text/event-stream");
        assert_string_equal(talk.header, "1500");
        assert_string_equal(talk.all.data, "line\nline\nline\n");
        cm_buf_deinit(&talk.all);
}

static void test_how_streams_end(void **state CM_UNUSED)
{
        struct talk broken = { .path = "/break", .read = read_all };
        struct talk refused = { .path = "/refuse", .read = read_all };

        run(&broken);
        assert_int_equal(broken.result, -CM_E_UNCERTAIN);
        assert_string_equal(broken.all.data, "half");
        run(&refused);
        assert_int_equal(refused.result, 0);
        assert_int_equal(refused.call.status, 429);
        assert_int_equal(refused.all.len, 0);
        cm_buf_deinit(&broken.all);
}

static void read_slowly(struct talk *talk, struct cm_client_stream *stream)
{
        struct cm_buf piece = { 0 };

        do {
                cm_buf_reset(&piece);
                talk->result = cm_client_read(stream, &piece);
                consumed += (int64_t)piece.len;
                assert_true(piece.len <= 2 * CM_STREAM_BUFFER);
                /* What the sockets hold, and no more than that. */
                assert_true(produced - consumed < BIG / 2);
                for (int i = 0; i < 3; i++)
                        assert_int_equal(cm_fiber_yield(), 0);
        } while (talk->result == 0 && piece.len);
        cm_buf_deinit(&piece);
}

static void test_a_slow_reader_holds_up_the_peer(void **state CM_UNUSED)
{
        struct talk talk = { .path = "/big",
                             .read = read_slowly,
                             .call = { .max_reply = 2 * BIG } };

        run(&talk);
        assert_int_equal(talk.result, 0);
        assert_int_equal(consumed, BIG);
}

/* The limit is met wherever it falls, also in a piece that was held back. */
static void test_too_long_for_a_slow_reader(void **state CM_UNUSED)
{
        for (int64_t most = 3 << 20; most < (3 << 20) + 40 * 5000; most += 5000) {
                struct talk talk = { .path = "/big",
                                     .read = read_slowly,
                                     .call = { .max_reply = most } };

                produced = consumed = 0;
                run(&talk);
                assert_int_equal(talk.result, -CM_E_TOO_LARGE);
                assert_true(consumed <= most);
        }
}

static void read_once(struct talk *talk, struct cm_client_stream *stream)
{
        talk->result = cm_client_read(stream, &talk->all);
}

static void test_closing_reaches_the_peer(void **state CM_UNUSED)
{
        struct talk talk = { .path = "/endless", .read = read_once, .stays = true };

        run(&talk);
        assert_int_equal(talk.result, 0);
        print_message("the peer saw the close after %.1f ms\n",
                      (double)(noticed_at - closed_at) / CM_MILLISECOND);
        assert_true(noticed_at - closed_at < 500 * CM_MILLISECOND); /* 20 on a quiet machine */
        cm_buf_deinit(&talk.all);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_reads_while_it_comes),
                T(test_how_streams_end),
                T(test_a_slow_reader_holds_up_the_peer),
                T(test_too_long_for_a_slow_reader),
                T(test_closing_reaches_the_peer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
