#include "http/event_stream.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/error.h"
#include "http/server_internal.h"

/*
 * A stream is a small state machine: OPEN, LAST_SENT, CLOSED. The only way to CLOSED without a last
 * event is an outcome that says why, and then the client, which has seen no last event either,
 * comes back for the rest. So no client can take a broken stream for a whole one, nor wait for more
 * of a whole one.
 *
 * Events of one turn of the loop leave together at its end; nothing waits longer than that.
 */
#define DRAIN_RETRY_US                                                                             \
        (200 * CM_MILLISECOND) /* and up to as much again, so that not all come at once */
#define VANISHED_BEATS 3       /* unanswered by the client's kernel: it is gone */
#define MAX_CHUNK_HEAD 24

enum state { OPEN, LAST_SENT, CLOSED };

struct cm_event_stream {
        struct cm_request *request;
        struct cm_bell bell;
        enum state state;
        int64_t last_id;
        int64_t beat_due_us;
};

struct cm_metric cm_http_streams = CM_GAUGE("salus_http_streams", "Open event streams");
struct cm_metric cm_http_stream_cuts =
        CM_COUNTER("salus_http_stream_cuts_total", "Event streams cut because the client was slow");

_Static_assert(CM_STREAM_NEWS == CM_RING_NEWS, "one bell");

static const struct cm_stream_limits *limits_of(const struct cm_event_stream *stream)
{
        return &stream->request->server->config.streams;
}

/* ---- resumption */

static struct cm_str id_from_query(struct cm_request *request)
{
        struct cm_str rest = request->target.query, name, value;

        while (cm_query_next(&rest, &name, &value))
                if (cm_str_equal(name, CM_STR(CM_LAST_EVENT_ID_QUERY)))
                        return value;
        return CM_STR_NONE;
}

int cm_request_last_event_id(struct cm_request *request, int64_t *id_r)
{
        struct cm_str header = cm_request_header(request, "last-event-id");
        struct cm_str query = id_from_query(request);
        const char *wrong = NULL;

        *id_r = 0;
        if (query.len && !cm_stream_event_id_parse(query, id_r))
                wrong = "/query/" CM_LAST_EVENT_ID_QUERY;
        if (header.len && !cm_stream_event_id_parse(header, id_r)) /* the header counts */
                wrong = "/header/last-event-id";
        if (!wrong)
                return 0;
        *id_r = 0;
        (void)cm_reply_invalid(request, wrong, "is not an id of this stream");
        return 1;
}

/* ---- the wire */

static void put_field(struct cm_buf *out, const char *name, struct cm_str value)
{
        cm_buf_add_str(out, cm_str_from(name));
        cm_buf_add(out, ": ", 2);
        cm_buf_add_str(out, value);
        cm_buf_add_char(out, '\n');
}

/* Line breaks between JSON's tokens would end the field: each line is one of its own. */
static void put_data(struct cm_buf *out, struct cm_str data)
{
        size_t start = 0;

        for (size_t i = 0; i <= data.len; i++) {
                if (i < data.len && data.data[i] != '\n' && data.data[i] != '\r')
                        continue;
                put_field(out, "data", (struct cm_str){ data.data + start, i - start });
                start = i + 1;
        }
}

static void put_event(struct cm_buf *out, const struct cm_stream_event *event)
{
        if (event->id)
                cm_buf_printf(out, "id: %" PRId64 "\n", event->id);
        put_field(out, "event", event->type);
        put_data(out, event->data);
        cm_buf_add_char(out, '\n');
}

/* Gives `scratch` to the output, which leaves at the end of this turn. */
static void send_scratch(struct cm_event_stream *stream)
{
        struct cm_request *request = stream->request;
        struct cm_connection *connection = request->connection;
        char head[MAX_CHUNK_HEAD];
        int n;

        if (request->chunked_reply) {
                n = snprintf(head, sizeof(head), "%zx\r\n", request->scratch.len);
                cm_connection_send(connection, (struct cm_str){ head, (size_t)n });
                cm_buf_add(&request->scratch, "\r\n", 2);
        }
        cm_connection_send(connection, cm_buf_str(&request->scratch));
        cm_buf_reset(&request->scratch);
        cm_connection_schedule(connection);
        stream->beat_due_us = cm_monotonic_us() + limits_of(stream)->heartbeat_us;
}

static void send_retry(struct cm_event_stream *stream, int64_t retry_us)
{
        cm_buf_printf(&stream->request->scratch, "retry: %" PRId64 "\n\n",
                      retry_us / CM_MILLISECOND);
        send_scratch(stream);
}

/* ---- the client */

static bool is_gone(const struct cm_event_stream *stream)
{
        const struct cm_connection *connection = stream->request->connection;

        return connection->broken || connection->eof;
}

/* A client that vanished without a word does not acknowledge heartbeats. */
static void notice_vanishing(const struct cm_event_stream *stream)
{
        unsigned ms = (unsigned)(VANISHED_BEATS * limits_of(stream)->heartbeat_us / CM_MILLISECOND);

        (void)setsockopt(stream->request->connection->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
                         sizeof(ms));
}

/* Between the calls the handler has the time of a request for its next step. */
static int step_done(const struct cm_event_stream *stream, int r)
{
        cm_request_renew_deadline(stream->request);
        return r;
}

static int wait_for_room(struct cm_event_stream *stream)
{
        struct cm_connection *connection = stream->request->connection;
        size_t limit = limits_of(stream)->pending_out;
        int64_t until_us = cm_monotonic_us() + limits_of(stream)->patience_us;
        unsigned news = 0;
        int r = 0;

        (void)cm_fiber_set_deadline(CM_NEVER);
        while (r == 0 && !is_gone(stream) && cm_output_pending(connection) > limit / 2) {
                unsigned reasons;

                connection->wants_room = limit / 2;
                cm_connection_schedule(connection);
                r = cm_bell_wait(&stream->bell, until_us, &reasons);
                news |= reasons & ~(unsigned)CM_RING_ROOM;
                if (r == 0 && !reasons) {
                        cm_counter_add(&cm_http_stream_cuts, 1);
                        cm_connection_abort(connection);
                }
        }
        connection->wants_room = 0;
        stream->bell.rung |= news;
        return r < 0 ? r : is_gone(stream) ? -CM_E_IO : 0;
}

int cm_event_stream_send(struct cm_event_stream *stream, const struct cm_stream_event *event)
{
        struct cm_connection *connection = stream->request->connection;
        size_t limit = limits_of(stream)->pending_out;

        CM_ASSERT(stream->state == OPEN);
        CM_ASSERT(!event->id || event->id > stream->last_id);
        if (is_gone(stream))
                return -CM_E_IO;
        put_event(&stream->request->scratch, event);
        send_scratch(stream);
        if (event->id)
                stream->last_id = event->id;
        if (cm_stream_event_is_last(event->type))
                stream->state = LAST_SENT;
        if (cm_output_pending(connection) > limit)
                cm_connection_flush(connection);
        if (cm_output_pending(connection) <= limit)
                return step_done(stream, connection->broken ? -CM_E_IO : 0);
        return step_done(stream, wait_for_room(stream));
}

/* Nothing is added behind what the client does not take anyway. */
static void beat(struct cm_event_stream *stream)
{
        if (cm_output_pending(stream->request->connection)) {
                stream->beat_due_us = cm_monotonic_us() + limits_of(stream)->heartbeat_us;
                return;
        }
        cm_buf_add(&stream->request->scratch, ":\n\n", 3);
        send_scratch(stream);
}

int cm_event_stream_wait(struct cm_event_stream *stream)
{
        unsigned reasons;
        int r;

        CM_ASSERT(stream->state == OPEN);
        (void)cm_fiber_set_deadline(CM_NEVER);
        for (;;) {
                if (is_gone(stream))
                        return step_done(stream, -CM_E_IO);
                if (stream->request->server->stopping)
                        return step_done(stream, CM_STREAM_DRAINED);
                r = cm_bell_wait(&stream->bell, stream->beat_due_us, &reasons);
                if (r < 0 || reasons & CM_RING_NEWS)
                        return step_done(stream, r);
                if (cm_monotonic_us() >= stream->beat_due_us)
                        beat(stream);
        }
}

struct cm_bell *cm_event_stream_bell(struct cm_event_stream *stream)
{
        return &stream->bell;
}

/* ---- life */

int cm_event_stream_open(struct cm_request *request, struct cm_event_stream **stream_r)
{
        struct cm_event_stream *stream = cm_arena_alloc(&request->arena, sizeof(*stream));
        int r;

        *stream = (struct cm_event_stream){ .request = request };
        *stream_r = stream;
        if (cm_request_is_head(request)) {
                r = cm_reply_stream(request, 200, "text/event-stream");
                return r < 0 ? r : cm_reply_stream_end(request) < 0 ? -CM_E_IO : CM_STREAM_ANSWERED;
        }
        cm_reply_header(request, "X-Accel-Buffering", CM_STR("no"));
        r = cm_reply_stream(request, 200, "text/event-stream");
        if (r < 0)
                return r;
        request->answered_us = cm_monotonic_us();
        request->connection->bell = &stream->bell;
        cm_gauge_add(&cm_http_streams, 1);
        notice_vanishing(stream);
        cm_buf_reset(&request->scratch);
        send_retry(stream, limits_of(stream)->retry_us);
        return step_done(stream, 0);
}

static int64_t jitter(int64_t at_most_us)
{
        uint64_t now = (uint64_t)cm_monotonic_us();

        return (int64_t)(cm_hash(&now, sizeof(now)) % (uint64_t)at_most_us);
}

int cm_event_stream_close(struct cm_event_stream *stream, int outcome)
{
        struct cm_request *request = stream->request;

        if (outcome == CM_STREAM_ANSWERED)
                return 0;
        CM_ASSERT(stream->state == LAST_SENT || (stream->state == OPEN && outcome != 0));
        if (outcome == CM_STREAM_DRAINED)
                send_retry(stream, DRAIN_RETRY_US + jitter(DRAIN_RETRY_US));
        stream->state = CLOSED;
        request->connection->bell = NULL;
        cm_gauge_add(&cm_http_streams, -1);
        if (outcome >= 0)
                return cm_reply_stream_end(request);
        return outcome == -CM_E_IO && is_gone(stream) ? 0 : outcome;
}
