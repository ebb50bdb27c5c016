#include "http/server.h"

#include "base/error.h"
#include "base/time.h"
#include "http/request_internal.h"
#include "http/test_support.h"
#include "sys/log.h"

/* A toy table: every way a handler can end. */

struct note_params {
        int64_t number;
        uint8_t has_number;
        struct cm_str id;
        struct cm_str mark;
        uint8_t has_mark;
};

struct note {
        int64_t size;
};

static const struct cm_schema number_schema = { .name = "Number",
                                                .type = CM_TYPE_INTEGER,
                                                .size = sizeof(int64_t),
                                                .has_min = true,
                                                .has_max = true,
                                                .max = 100 };
static const struct cm_schema id_schema = {
        .name = "Id", .type = CM_TYPE_STRING, .size = sizeof(struct cm_str), .max_len = 20
};
static const struct cm_member note_members[] = {
        { "size", &number_schema, offsetof(struct note, size), CM_NO_OFFSET, false, false }
};
static const struct cm_schema note_schema = { .name = "Note",
                                              .type = CM_TYPE_OBJECT,
                                              .size = sizeof(struct note),
                                              .members = note_members,
                                              .member_count = 1 };
static const struct cm_param note_param_table[] = {
        { "number", CM_IN_QUERY, &number_schema, offsetof(struct note_params, number),
          offsetof(struct note_params, has_number) },
        { "id", CM_IN_PATH, &id_schema, offsetof(struct note_params, id), CM_NO_OFFSET },
        { "X-Mark", CM_IN_HEADER, &id_schema, offsetof(struct note_params, mark),
          offsetof(struct note_params, has_mark) },
};

static int call_plain(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        return cm_reply_body(request, 200, "text/plain", cm_request_path(request));
}

static int call_note(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        const struct note_params *in = params;
        struct cm_str text =
                cm_arena_printf(cm_request_arena(request), "<%.*s %d%.*s>", CM_STR_ARG(in->id),
                                in->has_number ? (int)in->number : -1, CM_STR_ARG(in->mark));

        return cm_reply_body(request, 200, "text/plain", text);
}

static int call_store(struct cm_request *request, const void *params CM_UNUSED, const void *body)
{
        return cm_reply_json_tagged(request, 201, &note_schema, body, CM_STR("7"));
}

static int call_read(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        return cm_reply_json_tagged(request, 200, &note_schema, &(struct note){ 5 }, CM_STR("7"));
}

static int call_change(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        if (cm_request_if_match(request, CM_STR("7")))
                return 0;
        return cm_reply_empty(request, 204);
}

static int call_sleep(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        int r = cm_fiber_sleep(20 * CM_MILLISECOND);

        return r < 0 ? r : cm_reply_body(request, 200, "text/plain", CM_STR("slept"));
}

static int call_echo(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        struct cm_str piece;
        int r = cm_reply_stream(request, 200, "text/plain");

        do {
                r = cm_request_read(request, &piece);
                if (r == 0)
                        r = cm_reply_stream_write(request, piece);
                if (r < 0)
                        return r;
        } while (piece.len);
        return cm_reply_stream_end(request);
}

static int call_count(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        struct cm_str piece;
        size_t sum = 0;
        int r;

        do {
                r = cm_request_read(request, &piece);
                if (r < 0)
                        return r;
                sum += piece.len;
        } while (piece.len);
        return cm_reply_body(request, 200, "text/plain",
                             cm_arena_printf(cm_request_arena(request), "[%zu]", sum));
}

static int call_doze(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        int r = cm_fiber_sleep(CM_MINUTE);

        return r < 0 ? r : cm_reply_empty(request, 204);
}

/* Is slow itself, at each piece. */
static int call_ponder(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        struct cm_str piece;
        int r;

        do {
                r = cm_request_read(request, &piece);
                if (r == 0)
                        r = cm_fiber_sleep(20 * CM_MILLISECOND);
                if (r < 0)
                        return r;
        } while (piece.len);
        return cm_reply_body(request, 200, "text/plain", CM_STR("pondered"));
}

static int call_large(struct cm_request *request, const void *params CM_UNUSED,
                      const void *body CM_UNUSED)
{
        size_t size = 20 << 20;
        char *text = cm_arena_alloc(cm_request_arena(request), size);

        memset(text, 'x', size);
        return cm_reply_body(request, 200, "text/plain", (struct cm_str){ text, size });
}

static int call_error(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        const struct note_params *in = params;

        (void)request;
        return -(int)in->number;
}

static int call_silent(struct cm_request *request CM_UNUSED, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        return 0;
}

static int call_peer(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        return cm_reply_body(request, 200, "text/plain", cm_request_peer(request));
}

static const struct cm_param error_param_table[] = {
        { "number", CM_IN_QUERY, &number_schema, offsetof(struct note_params, number),
          CM_NO_OFFSET },
};

static const struct cm_route route_table[] = {
        { .method = "GET", .path = "/", .operation = "root", .call = call_plain },
        { .method = "GET", .path = "/v1/plain", .operation = "plain", .call = call_plain },
        { .method = "GET",
          .path = "/v1/notes/{id}",
          .operation = "note",
          .params = note_param_table,
          .param_count = 3,
          .params_size = sizeof(struct note_params),
          .call = call_note },
        { .method = "POST",
          .path = "/v1/notes",
          .operation = "store",
          .media = "application/json",
          .body = &note_schema,
          .body_required = true,
          .max_body = 100000,
          .call = call_store },
        { .method = "GET", .path = "/v1/notes", .operation = "read", .call = call_read },
        { .method = "PUT", .path = "/v1/notes", .operation = "change", .call = call_change },
        { .method = "GET", .path = "/v1/sleep", .operation = "sleep", .call = call_sleep },
        { .method = "GET", .path = "/v1/doze", .operation = "doze", .call = call_doze },
        { .method = "GET", .path = "/v1/large", .operation = "large", .call = call_large },
        { .method = "GET", .path = "/v1/silent", .operation = "silent", .call = call_silent },
        { .method = "GET", .path = "/v1/peer", .operation = "peer", .call = call_peer },
        { .method = "GET",
          .path = "/v1/error",
          .operation = "error",
          .params = error_param_table,
          .param_count = 1,
          .params_size = sizeof(struct note_params),
          .call = call_error },
        { .method = "POST",
          .path = "/v1/echo",
          .operation = "echo",
          .streamed = true,
          .max_body = 64 << 20,
          .media = "text/plain",
          .call = call_echo },
        { .method = "POST",
          .path = "/v1/count",
          .operation = "count",
          .streamed = true,
          .body_required = true,
          .max_body = 1 << 20,
          .call = call_count },
        { .method = "POST",
          .path = "/v1/ponder",
          .operation = "ponder",
          .streamed = true,
          .call = call_ponder },
        { .method = "GET",
          .path = "/v1/secret",
          .operation = "secret",
          .scope = "x",
          .call = call_plain },
        { .method = "POST",
          .path = "/v1/secret",
          .operation = "secret_write",
          .scope = "x",
          .media = "application/json",
          .body = &note_schema,
          .call = call_store },
};
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), "{\"openapi\":1}" };
static const struct cm_routes *const tables[] = { &routes };

static int guard(struct cm_request *request, const struct cm_route *route, void *arg CM_UNUSED)
{
        const struct cm_problem problem = { .status = 401, .code = "unauthorized" };
        struct cm_claims claims = { .type = 1 };

        if (!route->scope)
                return 0;
        if (!cm_str_equal(cm_request_header(request, "Authorization"), CM_STR("Bearer good")))
                return cm_reply_problem(request, &problem), 1;
        cm_request_set_claims(request, &claims);
        return cm_request_claims(request)->type == 1 ? 0 : -CM_E_INTERNAL;
}

static int logged;

static void count_log(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                      void *arg CM_UNUSED)
{
        logged++;
}

static struct harness harness;

static void start(struct cm_server_limits limits, size_t max_fibers)
{
        const struct cm_server_config config = { .routes = tables,
                                                 .routes_count = 1,
                                                 .guard = guard,
                                                 .trusted_proxies = "127.0.0.0/8",
                                                 .limits = limits };

        logged = 0;
        cm_log_set_hook(count_log, NULL);
        harness_start(&harness, &config, max_fibers);
}

static int setup(void **state CM_UNUSED)
{
        start((struct cm_server_limits){ 0 }, 100);
        return 0;
}

static int setup_short_times(void **state CM_UNUSED)
{
        start((struct cm_server_limits){ .request_us = 80 * CM_MILLISECOND,
                                         .head_us = 40 * CM_MILLISECOND,
                                         .idle_us = 40 * CM_MILLISECOND,
                                         .grace_us = 40 * CM_MILLISECOND },
              100);
        return 0;
}

static int setup_few_connections(void **state CM_UNUSED)
{
        start((struct cm_server_limits){ .connections = 1 }, 100);
        return 0;
}

static int setup_few_fibers(void **state CM_UNUSED)
{
        start((struct cm_server_limits){ 0 }, 1);
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        harness_stop(&harness);
        cm_log_set_hook(NULL, NULL);
        return 0;
}

/* One exchange: what is sent, and what the reply must and must not hold. */
struct talk {
        const char *request;
        const char *expect[4];
        const char *refuse;
};

static void check(const struct talk *talk, const char *reply)
{
        for (size_t i = 0; i < CM_COUNT(talk->expect) && talk->expect[i]; i++)
                if (!strstr(reply, talk->expect[i]))
                        fail_msg("no %s in the reply to\n%s\n--- but\n%s", talk->expect[i],
                                 talk->request, reply);
        if (talk->refuse && strstr(reply, talk->refuse))
                fail_msg("%s in the reply to\n%s\n---\n%s", talk->refuse, talk->request, reply);
}

#define END       "Connection: close\r\n\r\n"
#define HOST      "Host: x\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST END
#define JSON(method, path, body, len)                                                              \
        method " " path " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"                  \
               "Content-Length: " len "\r\n" END body

static const struct talk talks[] = {
        { GET("/v1/plain"),
          { "HTTP/1.1 200 OK\r\n", "X-Content-Type-Options: nosniff\r\n",
            "Cache-Control: no-store\r\n", "Content-Length: 9\r\n" } },
        { GET("/"), { "200 OK", "\r\n\r\n/" } },
        { GET("http://somewhere:80/v1/plain"), { "200 OK", "\r\n\r\n/v1/plain" } },
        { "HEAD /v1/plain HTTP/1.1\r\n" HOST END,
          { "200 OK", "Content-Length: 9\r\n" },
          "\r\n\r\n/" },
        { GET("/v1/plain/"),
          { "404 Not Found", "\"code\":\"not_found\"", "Content-Type: application/problem+json" } },
        { GET("//v1/plain"), { "404" } },
        { GET("/v1//plain"), { "404" } },
        { GET("/v1/./plain"), { "400" } },
        { GET("/v1/x/../plain"), { "400" } },
        { GET("/v1/x/%2e%2E/plain"), { "400" } },
        { GET("/v1/notes/a%2fb"), { "400" } },
        { GET("/v1/notes/a%5Cb"), { "400" } },
        { GET("/v1/notes/a%00b"), { "400" } },
        { GET("/v1/notes/a%zz"), { "400" } },
        { GET("/v1/notes/a%ff"), { "400", "/path/id" } },
        { GET("/v1/pl%61in"), { "404" } },
        { GET("/v1/notes/..."), { "200 OK", "<... -1>" } },
        { GET("/v1/notes/a%20b?number=5"), { "200 OK", "<a b 5>" } },
        { GET("/v1/notes/a?number=101"), { "400", "\"pointer\":\"/query/number\"" } },
        { GET("/v1/notes/a?number=1&number=2"), { "400", "more than once" } },
        { GET("/v1/notes/a?%ff=1"), { "400", "\"pointer\":\"/query\"" } },
        { GET("/v1/notes/a?a%00b&=1"), { "400", "\"pointer\":\"/query\"" } },
        { GET("/v1/notes/a?number=%ff"), { "400", "\"pointer\":\"/query/number\"" } },
        { GET("/v1/notes/a?other=1"), { "400", "\"pointer\":\"/query/other\"" } },
        { GET("/v1/plain?a/b"), { "400", "\"pointer\":\"/query/a~1b\"" } },
        { "GET /v1/notes/a HTTP/1.1\r\n" HOST "x-mark: \xc3\xa9\r\n" END, { "<a -1\xc3\xa9>" } },
        { "GET /v1/notes/a HTTP/1.1\r\n" HOST "x-mark: \xe9!\r\n" END, { "<a -1\xc3\xa9!>" } },
        { "GET /v1/notes/a HTTP/1.1\r\n" HOST "X-Mark: 012345678901234567890\r\n" END,
          { "400", "\"pointer\":\"/header/x-mark\"", "\"code\":\"bad_request\"" } },
        { "POST /v1/count HTTP/1.1\r\n" HOST END, { "400", "a body is required" } },
        { GET("/v1/notes/123456789012345678901"), { "400", "/path/id" } },
        { GET("/v1/error"), { "400", "/query/number", "is required" } },
        { GET("/openapi.json"), { "200 OK", "{\"openapi\":1}", "application/json" } },
        { "OPTIONS /v1/notes HTTP/1.1\r\n" HOST END,
          { "204", "Allow: POST, GET, PUT, HEAD, OPTIONS\r\n" },
          "Content-Length" },
        { "OPTIONS * HTTP/1.1\r\n" HOST END, { "204", "Allow: " } },
        { "DELETE /v1/notes HTTP/1.1\r\n" HOST END,
          { "405", "Allow: POST, GET, PUT, HEAD, OPTIONS\r\n", "method_not_allowed" } },
        { "BREW /v1/notes HTTP/1.1\r\n" HOST END, { "405" } },
        { "GET /v1/plain HTTP/1.0\r\n\r\n", { "200 OK", "Connection: close" } },
        { "GET /v1/plain HTTP/1.1\r\n" HOST "X-Request-Id: abc-1\r\n" END,
          { "X-Request-Id: abc-1\r\n" } },
        { "GET /v1/plain HTTP/1.1\r\n" HOST "X-Request-Id: a b\r\n" END,
          { "X-Request-Id: " },
          "a b" },
        { "GET /v1/peer HTTP/1.1\r\n" HOST "X-Forwarded-For: 9.9.9.9, 192.0.2.1, 127.0.0.2\r\n" END,
          { "\r\n\r\n192.0.2.1" } },
        /* bodies */
        { JSON("POST", "/v1/notes", "{\"size\":5}", "10"),
          { "201 Created", "{\"size\":5}", "ETag: \"7\"\r\n" } },
        { JSON("POST", "/v1/notes", "{\"size\":500}", "12"),
          { "422", "\"pointer\":\"/size\"", "\"code\":\"invalid\"" } },
        { JSON("POST", "/v1/notes", "{\"siz", "5"), { "400" } },
        { JSON("POST", "/v1/notes", "", "0"), { "400", "a body is required" } },
        { JSON("POST", "/v1/notes", "", "100001"), { "413", "too_large" } },
        { "POST /v1/notes HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\n"
          "Content-Length: 1\r\n" END "x",
          { "415", "Accept: application/json" } },
        { "POST /v1/notes HTTP/1.1\r\n" HOST "Content-Type: application/json; charset=latin1\r\n"
          "Content-Length: 1\r\n" END "x",
          { "415" } },
        { "POST /v1/notes HTTP/1.1\r\n" HOST "Content-Type: Application/JSON ;charset=UTF-8\r\n"
          "Transfer-Encoding: chunked\r\n" END
          "3\r\n{\"s\r\n7;x=y\r\nize\":5}\r\n0\r\nT: x\r\n\r\n",
          { "201 Created", "{\"size\":5}" } },
        { "GET /v1/plain HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" END "x", { "400" } },
        { "POST /v1/notes HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"
          "Expect: 100-continue\r\nContent-Length: 10\r\n" END "{\"size\":5}",
          { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created" } },
        { "POST /v1/echo HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\n"
          "Content-Length: 5\r\n" END "hello",
          { "200 OK", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n" } },
        { "POST /v1/echo HTTP/1.0\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
          { "200 OK", "\r\n\r\nhello" },
          "chunked" },
        { "POST /v1/count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
          "5\r\nhello\r\n5\r\nworldx0\r\n\r\n",
          { "400", "bad_request" } },
        /* conditions */
        { "GET /v1/notes HTTP/1.1\r\n" HOST "If-None-Match: \"6\", W/\"7\"\r\n" END,
          { "304 Not Modified", "ETag: \"7\"" },
          "size" },
        { "GET /v1/notes HTTP/1.1\r\n" HOST "If-None-Match: \"6\"\r\n" END,
          { "200 OK", "{\"size\":5}" } },
        { "PUT /v1/notes HTTP/1.1\r\n" HOST END, { "428", "precondition_required" } },
        { "PUT /v1/notes HTTP/1.1\r\n" HOST "If-Match: W/\"7\"\r\n" END, { "412" } },
        { "PUT /v1/notes HTTP/1.1\r\n" HOST "If-Match: \"7\"\r\n" END, { "204" } },
        /* the guard comes before what the body says */
        { GET("/v1/secret"), { "401", "unauthorized" } },
        { "POST /v1/secret HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "xyz", { "401" } },
        { "GET /v1/secret HTTP/1.1\r\n" HOST "Authorization: Bearer good\r\n" END, { "200 OK" } },
        /* machinery */
        { GET("/v1/error?number=1"), { "504", "\"code\":\"timeout\"" } },
        { GET("/v1/error?number=3"), { "503", "unavailable", "Retry-After: 2" } },
        { GET("/v1/error?number=4"), { "503", "uncertain", "Idempotency-Key" } },
        { GET("/v1/error?number=5"), { "503", "overloaded", "Retry-After: 1" } },
        { GET("/v1/error?number=6"), { "413", "too_large" } },
};

static void test_what_is_sent_gets_its_reply(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(talks); i++) {
                for (size_t piece = 0; piece < 2; piece++) {
                        char *reply = exchange(&harness, talks[i].request, piece ? 7 : 0);

                        check(&talks[i], reply);
                        cm_free(reply);
                }
        }
        assert_int_equal(logged, 0);
}

static void test_own_faults_are_logged_once(void **state CM_UNUSED)
{
        static const struct talk own[] = {
                { GET("/v1/error?number=9"), { "500", "\"code\":\"internal\"" } },
                { GET("/v1/silent"), { "500" } },
        };

        for (size_t i = 0; i < CM_COUNT(own); i++) {
                char *reply = exchange(&harness, own[i].request, 0);

                check(&own[i], reply);
                cm_free(reply);
        }
        assert_int_equal(logged, 3);
}

static void test_pipelined_requests_are_answered_in_order(void **state CM_UNUSED)
{
        char *reply =
                exchange(&harness,
                         "GET /v1/sleep HTTP/1.1\r\n" HOST "\r\n"
                         "\r\n"
                         "GET /v1/notes/b HTTP/1.1\r\n" HOST
                         "\r\n" JSON("POST", "/v1/notes", "{\"size\":5}", "10") GET("/v1/plain"),
                         0);
        char *first = strstr(reply, "slept"), *second = strstr(reply, "<b -1>"),
             *third = strstr(reply, "{\"size\":5}");

        assert_non_null(first);
        assert_true(second > first && third > second);
        assert_null(strstr(reply, "/v1/plain")); /* it stands behind "close" */
        cm_free(reply);
}

static void story_half_request(struct client *client)
{
        int fd = client_connect(client->harness);

        client_send(fd, client->request, client->request_len);
        (void)shutdown(fd, SHUT_WR);
        client_read(fd, &client->reply, NULL);
        close(fd);
}

static void test_a_client_that_only_listens_gets_its_reply(void **state CM_UNUSED)
{
        const char request[] = "GET /v1/sleep HTTP/1.1\r\n" HOST "\r\n";
        struct client client = { .harness = &harness,
                                 .story = story_half_request,
                                 .request = request,
                                 .request_len = sizeof(request) - 1 };

        client_run(&client);
        assert_non_null(strstr(client.reply.data, "slept"));
        cm_buf_deinit(&client.reply);
}

static void story_stream(struct client *client)
{
        static const char head[] = "POST /v1/echo HTTP/1.1\r\n" HOST
                                   "Content-Type: text/plain\r\nContent-Length: 10\r\n" END;
        int fd = client_connect(client->harness);

        client_send(fd, head, sizeof(head) - 1);
        client_send(fd, "first", 5);
        client_read(fd, &client->reply, "first"); /* before the second half is sent */
        client_send(fd, "after", 5);
        client_read(fd, &client->reply, NULL);
        close(fd);
}

static void test_a_stream_is_answered_while_it_comes_in(void **state CM_UNUSED)
{
        struct client client = { .harness = &harness, .story = story_stream };

        client_run(&client);
        assert_non_null(strstr(client.reply.data, "5\r\nfirst\r\n5\r\nafter\r\n0\r\n\r\n"));
        cm_buf_deinit(&client.reply);
}

static void story_bulk(struct client *client)
{
        size_t size = 20 << 20;
        int fd = client_connect(client->harness);
        char *data = cm_alloc(size), head[160];
        int n = snprintf(head, sizeof(head),
                         "POST /v1/%s HTTP/1.1\r\n" HOST
                         "Content-Type: text/plain\r\nContent-Length: %zu\r\n" END,
                         (const char *)client->arg, size);

        client_send(fd, head, (size_t)n);
        client_send(fd, data, size);
        client_read(fd, &client->reply, NULL);
        cm_free(data);
        close(fd);
}

static void test_what_is_too_large_is_refused_though_it_is_still_sent(void **state CM_UNUSED)
{
        struct client client = { .harness = &harness, .story = story_bulk, .arg = "count" };

        client_run(&client);
        assert_non_null(client.reply.data);
        assert_non_null(strstr(client.reply.data, " 413 "));
        cm_buf_deinit(&client.reply);
}

static void test_malformed_heads_end_the_connection(void **state CM_UNUSED)
{
        static const struct talk bad[] = {
                { "GET / HTTP/1.1\nHost: x\n\n", { "400" } },
                { "GET / HTTP/1.1\r\nHost : x\r\n\r\n", { "400" } },
                { "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", { "400" } },
                { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n",
                  { "400" } },
                { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", { "501" } },
                { "GET / HTTP/2.0\r\nHost: x\r\n\r\n", { "505" } },
                { "\x16\x03\x01", { "400" } },
        };

        for (size_t i = 0; i < CM_COUNT(bad); i++) {
                char *reply = exchange(&harness, bad[i].request, 0);

                check(&bad[i], reply);
                assert_non_null(strstr(reply, "Connection: close"));
                cm_free(reply);
        }
}

static void check_head(const char *start, const char *filler, int count, const char *status)
{
        char *request = cm_alloc(40000), *reply;

        strcpy(request, start);
        for (int i = 0; i < count; i++)
                strcat(request, filler);
        strcat(request, "\r\n\r\n");
        reply = exchange(&harness, request, 1000);
        if (!strstr(reply, status))
                fail_msg("not %s but %s", status, reply);
        cm_free(reply);
        cm_free(request);
}

static void test_heads_have_a_limit(void **state CM_UNUSED)
{
        check_head("GET / HTTP/1.1\r\nHost: x\r\nA: ", "0123456789", 1700, " 431 ");
        check_head("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: ", "0123456789", 1600,
                   " 200 OK");
        check_head("GET / HTTP/1.1\r\nHost: x", "\r\nA: b", 64, " 431 ");
        check_head("GET / HTTP/1.1\r\nHost: x\r\nConnection: close", "\r\nA: b", 62, " 200 OK");
}

static void test_slow_heads_and_bodies_are_cut(void **state CM_UNUSED)
{
        static const struct talk slow[] = {
                { "GET / HTTP/1.1\r\nHos", { "408", "request_timeout" } },
                { "POST /v1/notes HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"
                  "Content-Length: 10\r\n\r\n{",
                  { "408" } },
                { "POST /v1/count HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n12", { "408" } },
                { "GET /v1/plain HTTP/1.1\r\n" HOST "\r\n", { "200 OK" } }, /* then idle */
        };

        for (size_t i = 0; i < CM_COUNT(slow); i++) {
                char *reply = exchange(&harness, slow[i].request, 0);

                check(&slow[i], reply);
                cm_free(reply);
        }
        assert_int_equal(cm_server_connections(harness.server), 0);
}

static void test_a_stream_has_the_time_of_a_request_for_each_step(void **state CM_UNUSED)
{
        char *reply =
                exchange(&harness,
                         "POST /v1/ponder HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
                         "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n1\r\nf\r\n"
                         "0\r\n\r\n",
                         0);

        assert_non_null(strstr(reply, "pondered"));
        cm_free(reply);
        reply = exchange(&harness, GET("/v1/doze"), 0);
        assert_non_null(strstr(reply, " 504 "));
        cm_free(reply);
}

static void story_slow_reader(struct client *client)
{
        static const char request[] = GET("/v1/large");
        int fd = client_connect(client->harness), small = 4096;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        client_send(fd, request, sizeof(request) - 1);
        usleep(400000);
        client_read(fd, &client->reply, NULL);
        close(fd);
}

static void test_slow_readers_are_cut(void **state CM_UNUSED)
{
        struct client client = { .harness = &harness, .story = story_slow_reader };

        client_run(&client);
        assert_true(client.reply.len < 20 << 20);
        cm_buf_deinit(&client.reply);
}

static void story_two_connections(struct client *client)
{
        static const char request[] = "GET /v1/sleep HTTP/1.1\r\n" HOST "\r\n";
        int first = client_connect(client->harness), second;

        client_send(first, request, sizeof(request) - 1);
        usleep(5000);
        second = client_connect(client->harness);
        client_send(second, request, sizeof(request) - 1);
        client_read(second, &client->reply, "\"code\"");
        client_read(first, &client->reply, "slept");
        close(first);
        close(second);
}

static void test_more_than_the_limit_gets_503_at_once(void **state CM_UNUSED)
{
        struct client client = { .harness = &harness, .story = story_two_connections };
        char *refused;

        client_run(&client);
        refused = strstr(client.reply.data, " 503 ");
        assert_non_null(refused);
        assert_non_null(strstr(client.reply.data, "Retry-After: 1\r\n"));
        assert_non_null(strstr(refused, "slept")); /* after it */
        cm_buf_deinit(&client.reply);
}

static void drain_fiber(void *arg)
{
        int *result = arg;

        cm_server_stop(harness.server);
        *result = cm_server_drain(harness.server);
}

static void begin_drain(void *arg)
{
        assert_int_equal(cm_fiber_start("drain", drain_fiber, arg, CM_NEVER), 0);
}

static void story_drain(struct client *client)
{
        static const char request[] = "GET /v1/sleep HTTP/1.1\r\n" HOST "\r\n";
        int running = client_connect(client->harness), idle = client_connect(client->harness);
        struct cm_buf nothing = { 0 };

        client_send(running, request, sizeof(request) - 1);
        usleep(5000);
        cm_loop_post(client->harness->loop, begin_drain, client->arg);
        client_read(idle, &nothing, NULL); /* is closed */
        client_read(running, &client->reply, NULL);
        close(running);
        close(idle);
}

static void test_drain_lets_running_requests_end(void **state CM_UNUSED)
{
        int result = 1;
        struct client client = { .harness = &harness, .story = story_drain, .arg = &result };

        client_run(&client);
        assert_int_equal(result, 0);
        assert_non_null(strstr(client.reply.data, "slept"));
        assert_non_null(strstr(client.reply.data, "Connection: close"));
        assert_int_equal(cm_server_connections(harness.server), 0);
        cm_buf_deinit(&client.reply);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_what_is_sent_gets_its_reply),
                T(test_own_faults_are_logged_once),
                T(test_pipelined_requests_are_answered_in_order),
                T(test_a_client_that_only_listens_gets_its_reply),
                T(test_a_stream_is_answered_while_it_comes_in),
                T(test_what_is_too_large_is_refused_though_it_is_still_sent),
                T(test_malformed_heads_end_the_connection),
                T(test_heads_have_a_limit),
                cmocka_unit_test_setup_teardown(test_slow_heads_and_bodies_are_cut,
                                                setup_short_times, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_stream_has_the_time_of_a_request_for_each_step, setup_short_times,
                        teardown),
                cmocka_unit_test_setup_teardown(test_slow_readers_are_cut, setup_short_times,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_more_than_the_limit_gets_503_at_once,
                                                setup_few_connections, teardown),
                cmocka_unit_test_setup_teardown(test_more_than_the_limit_gets_503_at_once,
                                                setup_few_fibers, teardown),
                T(test_drain_lets_running_requests_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
