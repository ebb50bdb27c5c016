#include "http/event_stream.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/error.h"
#include "http/test_support.h"
#include "sys/metrics.h"

/* What the handlers are told and what they tell. */
static struct {
        int64_t count;       /* events to send */
        size_t size;         /* of each one's text */
        int64_t pause_us;    /* between them */
        int64_t seen_id;     /* that the client named */
        int outcome;         /* of the last call */
        int64_t ended_us;    /* when that returned */
        bool send_after_end; /* breaks the rule on purpose */
} toy;

static void ring(void *arg)
{
        cm_bell_ring(arg, CM_STREAM_NEWS);
}

static int send_one(struct cm_event_stream *stream, struct cm_request *request, int64_t id)
{
        char *text = cm_arena_alloc(cm_request_arena(request), toy.size + 3);
        struct cm_stream_event event = { .id = id,
                                         .type = id < toy.count ? CM_STR("delta") : CM_STR("done"),
                                         .data = { text, toy.size + 2 } };

        text[0] = text[toy.size + 1] = '"';
        memset(text + 1, 'a' + (int)(id % 26), toy.size);
        return cm_event_stream_send(stream, &event);
}

static int play(struct cm_event_stream *stream, struct cm_request *request)
{
        struct cm_timer *timer =
                cm_timer_new(cm_loop_current(), ring, cm_event_stream_bell(stream));
        int r = 0;

        for (int64_t id = toy.seen_id + 1; r == 0 && id <= toy.count; id++) {
                if (toy.pause_us) {
                        cm_timer_start(timer, toy.pause_us);
                        r = cm_event_stream_wait(stream);
                }
                if (r == 0)
                        r = send_one(stream, request, id);
        }
        cm_timer_free(&timer);
        return r;
}

static int call_stream(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        struct cm_event_stream *stream;

        if (cm_request_last_event_id(request, &toy.seen_id))
                return 0;
        toy.outcome = cm_event_stream_open(request, &stream);
        if (toy.outcome == 0)
                toy.outcome = play(stream, request);
        toy.ended_us = cm_monotonic_us();
        if (toy.send_after_end)
                (void)send_one(stream, request, toy.count + 1);
        return cm_event_stream_close(stream, toy.outcome);
}

/* Says nothing until the client has gone. */
static int call_silent(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        struct cm_event_stream *stream;

        toy.outcome = cm_event_stream_open(request, &stream);
        if (toy.outcome == 0)
                toy.outcome = cm_event_stream_wait(stream);
        toy.ended_us = cm_monotonic_us();
        return cm_event_stream_close(stream, toy.outcome);
}

static const struct cm_event_list events = { .name = "toy" };
static const struct cm_route route_table[] = {
        { .method = "GET",
          .path = "/stream",
          .operation = "stream",
          .events = &events,
          .call = call_stream },
        { .method = "GET",
          .path = "/silent",
          .operation = "silent",
          .events = &events,
          .call = call_silent },
};
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), NULL };
static const struct cm_routes *const tables[] = { &routes };

static void start(struct harness *harness, const struct cm_stream_limits *streams)
{
        const struct cm_server_config config = {
                .routes = tables,
                .routes_count = 1,
                .limits = { .request_us = 50 * CM_MILLISECOND, .grace_us = 20 * CM_SECOND },
                .streams = *streams,
        };

        harness_start(harness, &config, 16);
}

static int setup(void **state CM_UNUSED)
{
        memset(&toy, 0, sizeof(toy));
        toy.count = 3;
        toy.size = 1;
        return 0;
}

static void check_exchange(const struct cm_stream_limits *streams, const char *request,
                           const char *const *expected)
{
        struct harness harness;
        char *reply;

        start(&harness, streams);
        reply = exchange(&harness, request, 0);
        for (; *expected; expected++)
                if (!strstr(reply, *expected))
                        fail_msg("no <%s> in <%s>", *expected, reply);
        cm_free(reply);
        harness_stop(&harness);
}

/* ---- the wire */

static void test_http_1_1(void **state CM_UNUSED)
{
        check_exchange(&(struct cm_stream_limits){ .retry_us = CM_SECOND },
                       "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       (const char *const[]){
                               "HTTP/1.1 200 OK\r\n", "Content-Type: text/event-stream\r\n",
                               "Cache-Control: no-store\r\n", "X-Accel-Buffering: no\r\n",
                               "Transfer-Encoding: chunked\r\n", "\r\n\r\nd\r\nretry: 1000\n\n\r\n",
                               "1e\r\nid: 1\nevent: delta\ndata: \"b\"\n\n\r\n",
                               "1d\r\nid: 3\nevent: done\ndata: \"d\"\n\n\r\n0\r\n\r\n", NULL });
        assert_int_equal(toy.outcome, 0);
}

static void test_http_1_0_ends_with_the_connection(void **state CM_UNUSED)
{
        struct harness harness;
        char *reply, *body;

        start(&harness, &(struct cm_stream_limits){ .retry_us = CM_SECOND });
        reply = exchange(&harness, "GET /stream HTTP/1.0\r\n\r\n", 0);
        body = strstr(reply, "\r\n\r\n");
        assert_non_null(body);
        assert_string_equal(body + 4, "retry: 1000\n\n"
                                      "id: 1\nevent: delta\ndata: \"b\"\n\n"
                                      "id: 2\nevent: delta\ndata: \"c\"\n\n"
                                      "id: 3\nevent: done\ndata: \"d\"\n\n");
        assert_null(strstr(reply, "chunked"));
        cm_free(reply);
        harness_stop(&harness);
}

static void test_the_connection_is_kept(void **state CM_UNUSED)
{
        check_exchange(&(struct cm_stream_limits){ 0 },
                       "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
                       "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       (const char *const[]){ "0\r\n\r\nHTTP/1.1 404", NULL });
}

static void test_head(void **state CM_UNUSED)
{
        struct harness harness;
        char *reply;

        start(&harness, &(struct cm_stream_limits){ 0 });
        reply = exchange(&harness, "HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                         0);
        assert_non_null(strstr(reply, "Content-Type: text/event-stream\r\n"));
        assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
        cm_free(reply);
        harness_stop(&harness);
}

/* JSON may hold line breaks between its tokens. */
static int call_lines(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        struct cm_event_stream *stream;
        int r = cm_event_stream_open(request, &stream);

        if (r == 0)
                r = cm_event_stream_send(
                        stream, &(struct cm_stream_event){ 0, CM_STR("done"), CM_STR("{\n}\r") });
        return cm_event_stream_close(stream, r);
}

static void test_lines(void **state CM_UNUSED)
{
        static const struct cm_route one = {
                .method = "GET", .path = "/", .operation = "lines", .call = call_lines
        };
        const struct cm_routes table = { &one, 1, NULL };
        const struct cm_routes *const list[] = { &table };
        const struct cm_server_config config = { .routes = list, .routes_count = 1 };
        struct harness harness;
        char *reply;

        harness_start(&harness, &config, 4);
        reply = exchange(&harness, "GET / HTTP/1.0\r\n\r\n", 0);
        assert_non_null(strstr(reply, "\n\nevent: done\ndata: {\ndata: }\ndata: \n\n"));
        cm_free(reply);
        harness_stop(&harness);
}

/* ---- resumption */

static void test_last_event_id(void **state CM_UNUSED)
{
        static const struct {
                const char *query, *header, *status;
                int64_t id;
        } cases[] = {
                { "", "", "200 OK", 0 },
                { "", "Last-Event-ID: 2\r\n", "200 OK", 2 },
                { "", "last-event-id: 1\r\n", "200 OK", 1 },
                { "", "Last-Event-ID:\r\n", "200 OK", 0 },
                { "?last_event_id=2", "", "200 OK", 2 },
                { "?last_event_id=1", "Last-Event-ID: 2\r\n", "200 OK", 2 },
                { "?last_event_id=", "", "200 OK", 0 },
                { "", "Last-Event-ID: x\r\n", "400 Bad Request", 0 },
                { "", "Last-Event-ID: -1\r\n", "400 Bad Request", 0 },
                { "", "Last-Event-ID: 1 2\r\n", "400 Bad Request", 0 },
                { "", "Last-Event-ID: 1-0\r\n", "400 Bad Request", 0 },
                { "", "Last-Event-ID: 9999999999999999\r\n", "400 Bad Request", 0 },
                { "?last_event_id=%31", "", "400 Bad Request", 0 },
                { "?last_event_id=1x", "", "400 Bad Request", 0 },
                { "?last_event_id=1x", "Last-Event-ID: 2\r\n", "400 Bad Request", 0 },
                { "?unknown=1", "", "400 Bad Request", 0 },
        };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                char request[200], first[40];
                const char *const expected[] = { cases[i].status, first, NULL };

                setup(NULL);
                (void)snprintf(request, sizeof(request),
                               "GET /stream%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n",
                               cases[i].query, cases[i].header);
                (void)snprintf(first, sizeof(first), "retry: 2000\n\n\r\n1%c\r\nid: %d",
                               cases[i].id == 2 ? 'd' : 'e', (int)cases[i].id + 1);
                if (cases[i].status[0] == '4')
                        first[0] = '\0';
                check_exchange(&(struct cm_stream_limits){ 0 }, request, expected);
                assert_int_equal(toy.seen_id, cases[i].id);
        }
}

/* ---- time */

static void test_the_time_of_a_request_does_not_end_it(void **state CM_UNUSED)
{
        toy.count = 6;
        toy.pause_us = 30 * CM_MILLISECOND;
        check_exchange(&(struct cm_stream_limits){ 0 },
                       "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       (const char *const[]){ "id: 6\nevent: done", "0\r\n\r\n", NULL });
        assert_int_equal(toy.outcome, 0);
}

static void test_heartbeats(void **state CM_UNUSED)
{
        toy.pause_us = 45 * CM_MILLISECOND;
        check_exchange(
                &(struct cm_stream_limits){ .heartbeat_us = 10 * CM_MILLISECOND },
                "GET /stream HTTP/1.0\r\n\r\n",
                (const char *const[]){ "\n\n:\n\n:\n\n", "\n\n:\n\nid: 2\n", "event: done", NULL });
}

/* ---- clients */

static void story_leave(struct client *client)
{
        int fd = client_connect(client->harness);

        client_send(fd, client->request, client->request_len);
        client_read(fd, &client->reply, "retry: ");
        *(int64_t *)client->arg = cm_monotonic_us();
        close(fd);
        client_wait_all_closed(client);
}

static void test_a_client_that_goes_is_noticed_at_once(void **state CM_UNUSED)
{
        const char request[] = "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n";
        struct harness harness;
        int64_t left_us = 0;
        struct client client = { .harness = &harness,
                                 .story = story_leave,
                                 .request = request,
                                 .request_len = sizeof(request) - 1,
                                 .arg = &left_us };

        start(&harness, &(struct cm_stream_limits){ .heartbeat_us = CM_MINUTE });
        client_run(&client);
        assert_int_equal(toy.outcome, -CM_E_IO);
        assert_true(toy.ended_us - left_us < CM_SECOND);
        cm_buf_deinit(&client.reply);
        harness_stop(&harness);
}

static void story_stall(struct client *client)
{
        int fd = client_connect(client->harness), small = 4096;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        client_send(fd, client->request, client->request_len);
        client_read(fd, &client->reply, "retry: ");
        client_wait_all_closed(client);
        close(fd);
}

static void test_a_client_that_does_not_read_is_cut(void **state CM_UNUSED)
{
        const char request[] = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
        struct harness harness;
        struct client client = { .harness = &harness,
                                 .story = story_stall,
                                 .request = request,
                                 .request_len = sizeof(request) - 1 };

        toy.count = 1000;
        toy.size = 100000;
        start(&harness, &(struct cm_stream_limits){ .pending_out = 65536,
                                                    .patience_us = 30 * CM_MILLISECOND });
        client_run(&client);
        assert_int_equal(toy.outcome, -CM_E_IO);
        cm_buf_deinit(&client.reply);
        harness_stop(&harness);
}

static void story_read_late(struct client *client)
{
        int fd = client_connect(client->harness);

        client_send(fd, client->request, client->request_len);
        client_read(fd, &client->reply, "retry: ");
        usleep(20000); /* the server's buffers fill meanwhile; nothing depends on how far */
        client_read(fd, &client->reply, NULL);
        close(fd);
}

static void test_a_slow_client_gets_all(void **state CM_UNUSED)
{
        const char request[] = "GET /stream HTTP/1.0\r\n\r\n";
        struct harness harness;
        struct client client = { .harness = &harness,
                                 .story = story_read_late,
                                 .request = request,
                                 .request_len = sizeof(request) - 1 };
        size_t events_seen = 0;

        toy.count = 200;
        toy.size = 100000;
        start(&harness, &(struct cm_stream_limits){ .pending_out = 4096 });
        client_run(&client);
        assert_int_equal(toy.outcome, 0);
        for (char *at = client.reply.data; (at = strstr(at, "\nevent: ")); at++)
                events_seen++;
        assert_int_equal(events_seen, 200);
        assert_true(client.reply.len > 200 * toy.size);
        cm_buf_deinit(&client.reply);
        harness_stop(&harness);
}

/* ---- draining */

static void stop_server(void *arg)
{
        cm_server_stop(arg);
}

static void story_drain(struct client *client)
{
        int fd = client_connect(client->harness);

        client_send(fd, client->request, client->request_len);
        client_read(fd, &client->reply, "retry: ");
        cm_loop_post(client->harness->loop, stop_server, client->harness->server);
        client_read(fd, &client->reply, NULL);
        close(fd);
}

static void test_drain_sends_the_client_elsewhere(void **state CM_UNUSED)
{
        const char request[] = "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n";
        struct harness harness;
        struct client client = { .harness = &harness,
                                 .story = story_drain,
                                 .request = request,
                                 .request_len = sizeof(request) - 1 };
        char *hint;

        start(&harness, &(struct cm_stream_limits){ .heartbeat_us = CM_MINUTE });
        client_run(&client);
        assert_int_equal(toy.outcome, CM_STREAM_DRAINED);
        hint = strstr(strstr(client.reply.data, "retry: 2000") + 1, "retry: ");
        assert_non_null(hint);
        assert_in_range(strtol(hint + 7, NULL, 10), 200, 400);
        assert_non_null(strstr(hint, "\n\n\r\n0\r\n\r\n"));
        cm_buf_deinit(&client.reply);
        harness_stop(&harness);
}

/* ---- the state machine */

static void test_nothing_follows_the_last_event(void **state CM_UNUSED)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                struct harness harness;

                toy.send_after_end = true;
                (void)!freopen("/dev/null", "w", stderr);
                start(&harness, &(struct cm_stream_limits){ 0 });
                (void)exchange(&harness, "GET /stream HTTP/1.0\r\n\r\n", 0);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_http_1_1, setup),
                cmocka_unit_test_setup(test_http_1_0_ends_with_the_connection, setup),
                cmocka_unit_test_setup(test_the_connection_is_kept, setup),
                cmocka_unit_test_setup(test_head, setup),
                cmocka_unit_test_setup(test_lines, setup),
                cmocka_unit_test_setup(test_last_event_id, setup),
                cmocka_unit_test_setup(test_the_time_of_a_request_does_not_end_it, setup),
                cmocka_unit_test_setup(test_heartbeats, setup),
                cmocka_unit_test_setup(test_a_client_that_goes_is_noticed_at_once, setup),
                cmocka_unit_test_setup(test_a_client_that_does_not_read_is_cut, setup),
                cmocka_unit_test_setup(test_a_slow_client_gets_all, setup),
                cmocka_unit_test_setup(test_drain_sends_the_client_elsewhere, setup),
                cmocka_unit_test_setup(test_nothing_follows_the_last_event, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
