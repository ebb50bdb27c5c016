#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "http/server_internal.h"

/* Replies are appended to the connection's output; it writes when the loop's turn allows. */

static const char *reason_of(int status)
{
        switch (status) {
        case 200:
                return "OK";
        case 201:
                return "Created";
        case 202:
                return "Accepted";
        case 204:
                return "No Content";
        case 304:
                return "Not Modified";
        case 400:
                return "Bad Request";
        case 401:
                return "Unauthorized";
        case 403:
                return "Forbidden";
        case 404:
                return "Not Found";
        case 409:
                return "Conflict";
        case 422:
                return "Unprocessable Content";
        case 503:
                return "Service Unavailable";
        default:
                return ""; /* RFC 9112 section 4: the phrase may be empty */
        }
}

bool cm_request_is_head(const struct cm_request *request)
{
        return cm_str_equal(request->head.method, CM_STR("HEAD"));
}

/* Control characters could begin a header or a reply of their own. */
static bool is_safe(struct cm_str value)
{
        for (size_t i = 0; i < value.len; i++)
                if ((unsigned char)value.data[i] < 0x20 || value.data[i] == 0x7f)
                        return false;
        return true;
}

void cm_reply_header(struct cm_request *request, const char *name, struct cm_str value)
{
        struct cm_buf *headers = &request->headers;

        CM_ASSERT(request->reply == CM_REPLY_NONE);
        if (!is_safe(value))
                return;
        if (cm_str_equal_nocase(cm_str_from(name), CM_STR("Cache-Control")))
                request->own_cache_control = true;
        cm_buf_add_str(headers, cm_str_from(name));
        cm_buf_add(headers, ": ", 2);
        cm_buf_add_str(headers, value);
        cm_buf_add(headers, "\r\n", 2);
}

static bool has_no_body(int status)
{
        return status == 204 || status == 304 || status < 200;
}

static char *put(char *at, const char *text, size_t len)
{
        memcpy(at, text, len);
        return at + len;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_number(char *at, int64_t number)
{
        char digits[20];
        int n = 0;

        do
                digits[n++] = (char)('0' + number % 10);
        while (number /= 10);
        while (n)
                *at++ = digits[--n];
        return at;
}

static char *put_status(char *at, int status)
{
        const char *reason = reason_of(status);

        at = PUT(at, "HTTP/1.1 ");
        at = put_number(at, status);
        at = PUT(at, " ");
        at = put(at, reason, strlen(reason));
        return PUT(at, "\r\n");
}

static char *put_framing(const struct cm_request *request, char *at, int64_t length)
{
        if (!request->keep_alive)
                at = PUT(at, "Connection: close\r\n");
        else if (request->head.minor == 0)
                at = PUT(at, "Connection: keep-alive\r\n");
        if (has_no_body(request->status))
                return at;
        if (request->chunked_reply)
                return PUT(at, "Transfer-Encoding: chunked\r\n");
        if (length < 0)
                return at;
        at = PUT(at, "Content-Length: ");
        at = put_number(at, length);
        return PUT(at, "\r\n");
}

/* Longest of the fixed parts of a head, generously. */
#define MAX_FIXED 512

void cm_reply_head(struct cm_request *request, int status, const char *content_type, int64_t length)
{
        struct cm_str date = cm_server_date(request->server, request->now);
        size_t type_len = content_type ? strlen(content_type) : 0, len;
        char fixed[MAX_FIXED + CM_REQUEST_ID_SIZE], *at = fixed;

        CM_ASSERT(request->reply == CM_REPLY_NONE && type_len < 128);
        request->status = status;
        request->keep_alive = request->keep_alive && !request->server->stopping;
        at = put_status(at, status);
        at = put(at, date.data, date.len);
        if (!request->own_cache_control)
                at = PUT(at, "Cache-Control: no-store\r\n");
        at = PUT(at, "X-Content-Type-Options: nosniff\r\nX-Request-Id: ");
        at = put(at, request->request_id, strlen(request->request_id));
        at = PUT(at, "\r\n");
        if (content_type && !has_no_body(status)) {
                at = PUT(at, "Content-Type: ");
                at = put(at, content_type, type_len);
                at = PUT(at, "\r\n");
        }
        at = put_framing(request, at, length);
        if (request->headers.len) {
                cm_connection_send(request->connection,
                                   (struct cm_str){ fixed, (size_t)(at - fixed) });
                cm_connection_send(request->connection, cm_buf_str(&request->headers));
                at = fixed;
        }
        at = PUT(at, "\r\n");
        len = (size_t)(at - fixed);
        cm_connection_send(request->connection, (struct cm_str){ fixed, len });
}

static void end_reply(struct cm_request *request)
{
        request->reply = CM_REPLY_DONE;
        cm_connection_schedule(request->connection);
}

/* A reply that leaves the request's body unread ends the connection; say so. */
static void settle_unread(struct cm_request *request)
{
        if (!cm_body_ended(&request->framing))
                request->keep_alive = false;
}

int cm_reply_body(struct cm_request *request, int status, const char *content_type,
                  struct cm_str body)
{
        settle_unread(request);
        cm_reply_head(request, status, content_type, (int64_t)body.len);
        if (!cm_request_is_head(request) && !has_no_body(status) && body.len)
                cm_connection_send(request->connection, body);
        end_reply(request);
        return 0;
}

int cm_reply_empty(struct cm_request *request, int status)
{
        return cm_reply_body(request, status, NULL, CM_STR(""));
}

int cm_reply_json(struct cm_request *request, int status, const struct cm_schema *schema,
                  const void *value)
{
        cm_buf_reset(&request->scratch);
        cm_schema_encode(schema, value, &request->scratch);
        return cm_reply_body(request, status, "application/json", cm_buf_str(&request->scratch));
}

/* ---- streams */

int cm_reply_stream(struct cm_request *request, int status, const char *content_type)
{
        if (request->head.minor == 0)
                request->keep_alive = false;
        request->chunked_reply = request->head.minor > 0;
        cm_reply_head(request, status, content_type, -1);
        request->reply = CM_REPLY_STREAM;
        cm_connection_schedule(request->connection);
        return 0;
}

/* Waits until the client has taken enough of what was written. */
static int wait_for_room(struct cm_request *request)
{
        struct cm_connection *connection = request->connection;
        struct cm_wait wait;
        int r;

        cm_request_renew_deadline(request);
        cm_wait_init(&wait);
        connection->writer = &wait;
        cm_connection_schedule(connection);
        r = cm_wait_for(&wait);
        if (connection->writer == &wait)
                connection->writer = NULL;
        return r;
}

int cm_reply_stream_write(struct cm_request *request, struct cm_str bytes)
{
        struct cm_connection *connection = request->connection;
        char size[24];
        int n;

        CM_ASSERT(request->reply == CM_REPLY_STREAM);
        if (connection->broken)
                return -CM_E_IO;
        cm_request_renew_deadline(request);
        if (!bytes.len || cm_request_is_head(request))
                return 0;
        if (request->chunked_reply) {
                n = snprintf(size, sizeof(size), "%zx\r\n", bytes.len);
                cm_connection_send(connection, (struct cm_str){ size, (size_t)n });
        }
        cm_connection_send(connection, bytes);
        if (request->chunked_reply)
                cm_connection_send(connection, CM_STR("\r\n"));
        if (cm_output_pending(connection) > request->server->config.limits.pending_out) {
                cm_connection_flush(connection);
                if (cm_output_pending(connection) > request->server->config.limits.pending_out)
                        return wait_for_room(request);
        }
        cm_connection_schedule(connection);
        return connection->broken ? -CM_E_IO : 0;
}

int cm_reply_stream_end(struct cm_request *request)
{
        CM_ASSERT(request->reply == CM_REPLY_STREAM);
        if (request->chunked_reply && !cm_request_is_head(request))
                cm_connection_send(request->connection, CM_STR("0\r\n\r\n"));
        request->reply = CM_REPLY_ENDED;
        cm_connection_schedule(request->connection);
        return 0;
}
