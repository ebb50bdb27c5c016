#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "errors.h"
#include "http/server_internal.h"
#include "sys/log.h"

/*
 * A connection goes through phases; step() does one step and says whether the next is possible with
 * what has been read. Replies of pipelined requests gather in `out` and leave together when no step
 * is possible any more. All that waits has a time limit, checked by the server's sweep, so that no
 * request sets a timer.
 *
 * A request's fiber is entered from step_head() or step_body() and may be suspended when that
 * returns. Whatever it does later only schedules advance(), which never runs on a fiber's stack.
 */
#define MIN_BODY_ROOM 1024

static void advance(struct cm_connection *connection);

static const struct cm_server_limits *limits_of(const struct cm_connection *connection)
{
        return &connection->server->config.limits;
}

static void enter_phase(struct cm_connection *connection, enum cm_phase phase)
{
        connection->phase = phase;
        connection->since_us = cm_monotonic_us();
}

/* ---- the end of a request */

static void account(const struct cm_request *request)
{
        const struct cm_endpoint *endpoint = request->match.endpoint;
        int64_t answered_us = request->answered_us ? request->answered_us : cm_monotonic_us();
        int64_t duration_us = answered_us - request->started_us;

        if (endpoint) {
                cm_histogram_observe_us(endpoint->duration, duration_us);
                cm_counter_add(endpoint->replies[request->status / 100], 1);
        }
        cm_log(CM_LOG_DEBUG, "request", CM_F_STR("method", request->head.method),
               CM_F_TEXT("route", endpoint ? endpoint->route->path : NULL),
               CM_F_INT("status", request->status), CM_F_INT("duration_us", duration_us),
               CM_F_TEXT("request_id", request->request_id));
}

/* The reply is complete, or never will be. True when the connection can go on. */
static bool finish_request(struct cm_connection *connection)
{
        struct cm_request *request = connection->request;
        bool replied = request->reply == CM_REPLY_DONE || request->reply == CM_REPLY_ENDED;
        bool unread = !cm_body_ended(&request->framing);

        account(request);
        connection->close_after = !replied || !request->keep_alive || unread;
        connection->linger = replied && (unread || connection->input.start < connection->input.end);
        connection->request = NULL;
        connection->bell = NULL; /* was the request's */
        cm_request_give_back(request);
        enter_phase(connection, CM_PHASE_IDLE);
        return !connection->close_after;
}

/* ---- phases */

/* A reply from outside of a fiber: the request never gets to a handler. */
static bool refuse(struct cm_connection *connection, int status, const char *code,
                   const char *detail)
{
        struct cm_request *request = connection->request;

        request->keep_alive = false;
        cm_counter_add(&cm_http_bad, status < 500);
        (void)cm_reply_problem(request, &(struct cm_problem){ .status = status,
                                                              .code = code,
                                                              .detail = cm_str_from(detail),
                                                              .retry_after_s = status == 503 });
        return finish_request(connection);
}

static bool refuse_head(struct cm_connection *connection, int outcome, const char *why)
{
        struct cm_request *request = connection->request;

        request->target = (struct cm_target){ 0 };
        request->match = (struct cm_match){ 0 };
        cm_body_init(&request->framing, 1, false); /* where the request ends is not known */
        switch (outcome) {
        case CM_HEAD_MANY:
                return refuse(connection, 431, CM_CODE_HEADERS_TOO_LARGE, why);
        case CM_HEAD_VERSION:
                return refuse(connection, 505, CM_CODE_BAD_REQUEST, why);
        case CM_HEAD_CODING:
                return refuse(connection, 501, CM_CODE_NOT_IMPLEMENTED, why);
        case CM_HEAD_EXPECT:
                return refuse(connection, 417, CM_CODE_EXPECTATION_FAILED, why);
        default:
                return refuse(connection, 400, CM_CODE_BAD_REQUEST, why);
        }
}

static bool run(struct cm_connection *connection)
{
        struct cm_request *request = connection->request;
        struct cm_server *server = connection->server;
        int r;

        if (connection->refused)
                return refuse(connection, 503, CM_CODE_OVERLOADED, "too many connections");
        if (request->body_is_copy)
                request->body = cm_buf_str(&request->body_copy);
        connection->phase = CM_PHASE_RUN;
        connection->input.base = connection->input.start;
        server->running++;
        r = cm_fiber_enter("http", cm_request_serve, request,
                           request->started_us + limits_of(connection)->request_us);
        if (r < 0) {
                cm_counter_add(&cm_http_refused, 1);
                cm_request_fail(request, r);
                request->finished = true;
        }
        return true;
}

/* A body that has come in one piece stays where it is; else it is gathered beside the input. */
static void keep_piece(struct cm_request *request, struct cm_str piece)
{
        if (!request->body_is_copy && !request->body.len) {
                request->body = piece;
        } else if (!request->body_is_copy && request->body.data + request->body.len == piece.data) {
                request->body.len += piece.len;
        } else {
                if (!request->body_is_copy)
                        cm_buf_add_str(&request->body_copy, request->body);
                request->body_is_copy = true;
                cm_buf_add_str(&request->body_copy, piece);
        }
}

/* The input is full behind the head: the body goes on in a buffer of its own. */
static void make_body_room(struct cm_connection *connection)
{
        struct cm_request *request = connection->request;
        struct cm_input *input = &connection->input;

        if (input->cap - input->end >= MIN_BODY_ROOM / 2)
                return;
        if (!request->body_is_copy && request->body.len) {
                cm_buf_add_str(&request->body_copy, request->body);
                request->body_is_copy = true;
        }
        input->start = input->end = input->base;
}

static void count_wait(struct cm_connection *connection)
{
        int64_t now_us = cm_monotonic_us();

        connection->waited_us += now_us - connection->since_us;
        connection->since_us = now_us;
}

static bool step_body(struct cm_connection *connection)
{
        struct cm_request *request = connection->request;
        struct cm_input *input = &connection->input;
        struct cm_str piece;
        size_t used;

        count_wait(connection);
        while (!cm_body_ended(&request->framing) && input->start < input->end) {
                if (cm_body_next(&request->framing, cm_input_unread(input), &used, &piece) < 0)
                        return refuse(connection, 400, CM_CODE_BAD_REQUEST,
                                      "the chunks of the body are malformed");
                input->start += used;
                request->too_large = request->framing.received > request->max_body;
                if (request->too_large)
                        return run(connection);
                keep_piece(request, piece);
        }
        if (cm_body_ended(&request->framing))
                return run(connection);
        make_body_room(connection);
        return false;
}

static void match(struct cm_request *request)
{
        const struct cm_endpoint *endpoint;

        request->match = (struct cm_match){ 0 };
        request->target_outcome = cm_target_parse(request->head.target, &request->target);
        if (request->target_outcome == 0 && !request->target.is_asterisk)
                cm_router_match(request->server->router, request->head.method, &request->target,
                                &request->match);
        endpoint = request->match.endpoint;
        request->max_body = request->server->config.limits.body_bytes;
        if (endpoint && endpoint->route->max_body)
                request->max_body = endpoint->route->max_body;
}

static bool is_streamed(const struct cm_request *request)
{
        const struct cm_endpoint *endpoint = request->match.endpoint;

        return endpoint && endpoint->route->streamed;
}

static int parse(struct cm_connection *connection, size_t len, const char **why_r)
{
        struct cm_request *request = connection->request;
        struct cm_str head = { connection->input.data + connection->input.start, len };
        int r = cm_head_parse(head, limits_of(connection)->headers, &request->head, why_r);

        if (r)
                return r;
        match(request);
        cm_body_init(&request->framing, request->head.content_length, request->head.chunked);
        return 0;
}

/* True when the body would have too little room behind the head. */
static bool is_cramped(const struct cm_connection *connection, size_t head_len)
{
        const struct cm_input *input = &connection->input;

        if (cm_body_ended(&connection->request->framing))
                return false;
        if (is_streamed(connection->request))
                return input->cap < connection->server->large.size;
        return input->cap - input->start - head_len < MIN_BODY_ROOM;
}

static void begin(struct cm_request *request)
{
        struct cm_server *server = request->server;
        const struct cm_head *head = &request->head;
        const struct cm_clock *clock = server->config.clock;

        request->started_us = cm_monotonic_us();
        request->now = cm_now(clock);
        request->keep_alive = head->keep_alive;
        request->owes_continue = head->expects_continue && !cm_body_ended(&request->framing);
        cm_request_id_choose(&server->trace, cm_head_find(head, CM_STR("x-request-id")),
                             request->request_id);
        cm_traceparent_choose(&server->trace, cm_head_find(head, CM_STR("traceparent")),
                              request->traceparent);
}

static bool start_body(struct cm_connection *connection)
{
        struct cm_request *request = connection->request;

        connection->waited_us = 0;
        if (request->head.content_length > request->max_body)
                request->too_large = true;
        if (cm_body_ended(&request->framing) || is_streamed(request) || request->too_large)
                return run(connection);
        enter_phase(connection, CM_PHASE_BODY);
        if (request->owes_continue) {
                request->owes_continue = false;
                cm_connection_send(connection, CM_STR("HTTP/1.1 100 Continue\r\n\r\n"));
        }
        return true;
}

static void skip_empty_lines(struct cm_input *input)
{
        while (input->end - input->start >= 2 && memcmp(input->data + input->start, "\r\n", 2) == 0)
                input->start += 2;
}

static bool step_head(struct cm_connection *connection)
{
        struct cm_input *input = &connection->input;
        size_t len = 0, max = limits_of(connection)->head_bytes;
        const char *why = "a line does not end in CR LF";
        int r;

        if (connection->scanned == 0)
                skip_empty_lines(input);
        if (cm_str_equal(cm_input_unread(input), CM_STR("\r")))
                return false;
        r = cm_head_find_end(cm_input_unread(input), &connection->scanned, &len);
        if (r == CM_HEAD_BAD)
                return refuse_head(connection, r, why);
        if (len > max || (r == CM_HEAD_MORE && input->end - input->start > max))
                return refuse_head(connection, CM_HEAD_MANY, "the head is too large");
        if (r == CM_HEAD_MORE)
                return false;
        r = parse(connection, len, &why);
        if (r == 0 && is_cramped(connection, len)) {
                cm_input_enlarge(connection);
                r = parse(connection, len, &why);
        }
        if (r)
                return refuse_head(connection, r, why);
        input->start += len;
        input->base = input->start;
        begin(connection->request);
        return start_body(connection);
}

static bool step_idle(struct cm_connection *connection)
{
        struct cm_server *server = connection->server;

        if (connection->close_after || connection->input.start == connection->input.end)
                return false;
        connection->request = cm_request_take(server);
        connection->request->connection = connection;
        connection->request->started_us = cm_monotonic_us();
        connection->request->now = cm_now(server->config.clock);
        cm_request_id_choose(&server->trace, CM_STR_NONE, connection->request->request_id);
        connection->scanned = 0;
        enter_phase(connection, CM_PHASE_HEAD);
        return true;
}

static bool step(struct cm_connection *connection)
{
        switch (connection->phase) {
        case CM_PHASE_IDLE:
                return step_idle(connection);
        case CM_PHASE_HEAD:
                return step_head(connection);
        case CM_PHASE_BODY:
                return step_body(connection);
        case CM_PHASE_RUN:
                if (!connection->request->finished)
                        return false;
                if (--connection->server->running == 0)
                        cm_cond_broadcast(&connection->server->quiet);
                return finish_request(connection);
        default:
                return false;
        }
}

/* ---- life */

/* With a reply half sent, a plain close() leaves the rest with the kernel, which then serves a
 * stalled client for minutes. A reset says that the reply is not whole, and frees it. */
static void reset_if_unfinished(const struct cm_connection *connection)
{
        const struct linger at_once = { .l_onoff = 1 };

        if (cm_output_pending(connection))
                (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void connection_free(struct cm_connection *connection)
{
        CM_ASSERT(!connection->request || connection->phase != CM_PHASE_RUN);
        reset_if_unfinished(connection);
        if (connection->request)
                cm_request_give_back(connection->request);
        cm_input_release(connection);
        cm_output_release(connection);
        cm_watch_free(&connection->watch);
        close(connection->fd);
        cm_list_remove(&connection->link);
        connection->server->connection_count--;
        cm_gauge_add(&cm_http_connections, -1);
        cm_free(connection);
}

static void wake(struct cm_wait **wait, int result)
{
        struct cm_wait *it = *wait;

        *wait = NULL;
        if (it)
                cm_wait_done(it, result);
}

static void ring(struct cm_connection *connection, unsigned reason)
{
        if (connection->bell)
                cm_bell_ring(connection->bell, reason);
}

/* The socket is dead: the request hears of it, the connection goes when that has ended. */
static void settle_broken(struct cm_connection *connection)
{
        cm_watch_set(connection->watch, 0);
        wake(&connection->reader, -CM_E_IO);
        wake(&connection->writer, -CM_E_IO);
        ring(connection, CM_RING_GONE);
        if (connection->phase != CM_PHASE_RUN && !connection->scheduled)
                connection_free(connection);
}

static void settle_closing(struct cm_connection *connection)
{
        if (connection->phase == CM_PHASE_LINGER) {
                cm_watch_set(connection->watch, CM_READABLE);
                return;
        }
        if (connection->linger && !connection->eof) {
                (void)shutdown(connection->fd, SHUT_WR);
                cm_input_release(connection);
                enter_phase(connection, CM_PHASE_LINGER);
                cm_watch_set(connection->watch, CM_READABLE);
                return;
        }
        connection->broken = true;
        settle_broken(connection);
}

static bool wants_input(const struct cm_connection *connection)
{
        const struct cm_input *input = &connection->input;

        if (connection->eof || connection->close_after)
                return false;
        if (connection->phase != CM_PHASE_RUN)
                return cm_output_pending(connection) <= limits_of(connection)->pending_out;
        return connection->reader || input->end < input->cap;
}

/* The client went away in the middle of its request. */
static void abandon_request(struct cm_connection *connection)
{
        cm_request_give_back(connection->request);
        connection->request = NULL;
        connection->input.start = connection->input.end;
        enter_phase(connection, CM_PHASE_IDLE);
}

/* After all steps: writes, then waits for what can come next. */
static void settle(struct cm_connection *connection)
{
        bool idle;

        if (connection->eof &&
            (connection->phase == CM_PHASE_HEAD || connection->phase == CM_PHASE_BODY))
                abandon_request(connection);
        idle = connection->phase == CM_PHASE_IDLE &&
               connection->input.start == connection->input.end;
        cm_connection_flush(connection);
        if (connection->broken) {
                settle_broken(connection);
                return;
        }
        if (connection->writer &&
            cm_output_pending(connection) <= limits_of(connection)->pending_out / 2)
                wake(&connection->writer, 0);
        if (connection->wants_room && cm_output_pending(connection) <= connection->wants_room) {
                connection->wants_room = 0;
                ring(connection, CM_RING_ROOM);
        }
        if (idle && (connection->eof || connection->server->stopping))
                connection->close_after = true;
        if (!cm_output_pending(connection)) {
                if (connection->close_after) {
                        settle_closing(connection);
                        return;
                }
                if (idle) {
                        cm_output_release(connection);
                        cm_input_release(connection);
                }
        }
        cm_watch_set(connection->watch, (wants_input(connection) ? CM_READABLE : 0) |
                                                (cm_output_pending(connection) ? CM_WRITABLE : 0));
}

/* A client that does not take its replies gets no further ones made. */
static bool may_step(struct cm_connection *connection)
{
        if (cm_output_pending(connection) > limits_of(connection)->pending_out)
                cm_connection_flush(connection);
        if (connection->broken)
                return connection->phase == CM_PHASE_RUN;
        return connection->phase == CM_PHASE_RUN ||
               cm_output_pending(connection) <= limits_of(connection)->pending_out;
}

static void advance(struct cm_connection *connection)
{
        connection->advancing = true;
        while (may_step(connection) && step(connection))
                ;
        connection->advancing = false;
        settle(connection);
}

static void on_ready(void *arg, int events)
{
        struct cm_connection *connection = arg;

        if (events & CM_WRITABLE)
                cm_connection_flush(connection);
        if (events & CM_READABLE) {
                if (connection->phase == CM_PHASE_LINGER)
                        cm_input_discard(connection);
                else if (cm_connection_fill(connection)) {
                        wake(&connection->reader, 0);
                        ring(connection, connection->eof ? CM_RING_GONE : CM_RING_INPUT);
                }
        }
        advance(connection);
}

static void advance_scheduled(void *arg)
{
        struct cm_connection *connection = arg;

        connection->scheduled = false;
        advance(connection);
}

void cm_connection_schedule(struct cm_connection *connection)
{
        if (connection->advancing || connection->scheduled)
                return;
        connection->scheduled = true;
        cm_loop_defer(connection->server->loop, advance_scheduled, connection);
}

void cm_connection_new(struct cm_server *server, int fd, const struct sockaddr *peer)
{
        struct cm_connection *connection = CM_NEW(struct cm_connection);

        connection->server = server;
        connection->fd = fd;
        connection->refused = server->connection_count >= server->config.limits.connections;
        connection->since_us = cm_monotonic_us();
        cm_address_from(peer, &connection->peer);
        cm_list_append(&server->connections, &connection->link);
        server->connection_count++;
        cm_gauge_add(&cm_http_connections, 1);
        if (connection->refused)
                cm_counter_add(&cm_http_refused, 1);
        connection->watch = cm_watch_new(server->loop, fd, on_ready, connection);
        cm_watch_set(connection->watch, CM_READABLE);
}

void cm_connection_abort(struct cm_connection *connection)
{
        connection->broken = true;
        settle_broken(connection);
}

void cm_connection_stop(struct cm_connection *connection)
{
        ring(connection, CM_RING_DRAIN);
        if (connection->phase == CM_PHASE_IDLE)
                advance(connection);
}

void cm_connection_time_out(struct cm_connection *connection, const char *detail)
{
        cm_counter_add(&cm_http_timeouts, 1);
        if (connection->reader) {
                connection->request->slow = true;
                wake(&connection->reader, -CM_E_DEADLINE);
                return;
        }
        connection->advancing = true;
        (void)refuse(connection, 408, CM_CODE_REQUEST_TIMEOUT, detail);
        connection->advancing = false;
        settle(connection);
}
