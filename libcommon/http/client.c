#include "http/client_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fiber.h"
#include "sys/log.h"

/*
 * libcurl says which sockets and what timer it wants; the loop tells it when they are ready. All of
 * its work is done in those calls, on the loop's stack: a fiber only adds its transfer and waits.
 */
#define DEFAULT_CONNECTIONS 16
#define DEFAULT_CONNECT_US  (5 * CM_SECOND)
#define DEFAULT_MAX_REPLY   (1 << 20)

struct socket_watch {
        struct cm_client *client;
        curl_socket_t fd;
        struct cm_watch *watch;
};

/* ---- what libcurl asks of the loop */

static void reap(struct cm_client *client)
{
        struct CURLMsg *message;
        struct cm_transfer *transfer;
        int left;

        while ((message = curl_multi_info_read(client->multi, &left))) {
                if (message->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
                transfer->result = message->data.result;
                if (transfer->stream)
                        cm_client_stream_done(transfer->stream);
                else
                        cm_wait_done(&transfer->wait, 0);
        }
}

static void on_timer(void *arg)
{
        struct cm_client *client = arg;
        int running;

        curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        reap(client);
}

static int want_timer(CURLM *multi CM_UNUSED, long delay_ms, void *arg)
{
        struct cm_client *client = arg;

        if (delay_ms < 0)
                cm_timer_stop(client->timer);
        else
                cm_timer_start(client->timer, delay_ms * CM_MILLISECOND);
        return 0;
}

static void on_socket(void *arg, int events)
{
        const struct socket_watch *it = arg;
        struct cm_client *client = it->client;
        int running, mask = (events & CM_READABLE ? CURL_CSELECT_IN : 0) |
                            (events & CM_WRITABLE ? CURL_CSELECT_OUT : 0);

        /* May free `it`. */
        curl_multi_socket_action(client->multi, it->fd, mask, &running);
        reap(client);
}

static int want_socket(CURL *easy CM_UNUSED, curl_socket_t fd, int what, void *arg, void *known)
{
        struct cm_client *client = arg;
        struct socket_watch *it = known;

        if (what == CURL_POLL_REMOVE) {
                if (it) {
                        cm_watch_free(&it->watch);
                        cm_free(it);
                }
                curl_multi_assign(client->multi, fd, NULL);
                return 0;
        }
        if (!it) {
                it = CM_NEW(struct socket_watch);
                it->client = client;
                it->fd = fd;
                it->watch = cm_watch_new(client->config.loop, fd, on_socket, it);
                curl_multi_assign(client->multi, fd, it);
        }
        cm_watch_set(it->watch, (what & CURL_POLL_IN ? CM_READABLE : 0) |
                                        (what & CURL_POLL_OUT ? CM_WRITABLE : 0));
        return 0;
}

int cm_client_new(const struct cm_client_config *config, struct cm_client **client_r)
{
        struct cm_client *client = CM_NEW(struct cm_client);

        client->config = *config;
        if (!client->config.max_connections)
                client->config.max_connections = DEFAULT_CONNECTIONS;
        if (!client->config.connect_us)
                client->config.connect_us = DEFAULT_CONNECT_US;
        if (!client->config.user_agent)
                client->config.user_agent = "salus";
        client->timer = cm_timer_new(config->loop, on_timer, client);
        client->multi = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_multi_init();
        if (!client->multi) {
                cm_client_free(&client);
                return -CM_E_INTERNAL;
        }
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
        curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, want_timer);
        curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
        curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                          (long)client->config.max_connections);
        *client_r = client;
        return 0;
}

void cm_client_free(struct cm_client **client)
{
        struct cm_client *it = *client;

        if (!it)
                return;
        if (it->multi)
                curl_multi_cleanup(it->multi);
        cm_timer_free(&it->timer);
        cm_free(it);
        *client = NULL;
}

void cm_client_call_deinit(struct cm_client_call *call)
{
        cm_buf_deinit(&call->reply);
}

/* ---- the reply */

static int64_t max_reply(const struct cm_client_call *call)
{
        return call->max_reply ? call->max_reply : DEFAULT_MAX_REPLY;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
        struct cm_transfer *transfer = arg;
        struct cm_client_call *call = transfer->call;
        struct cm_str piece = { data, size * count };
        long status = 0;

        transfer->received += (int64_t)piece.len;
        if (transfer->received > max_reply(call)) {
                transfer->error = -CM_E_TOO_LARGE;
                return CURL_WRITEFUNC_ERROR;
        }
        if (transfer->stream)
                return cm_client_stream_body(transfer->stream, piece);
        if (!call->on_piece) {
                cm_buf_add_str(&call->reply, piece);
                return piece.len;
        }
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        call->status = (int)status;
        if (call->on_piece(call, piece) == 0)
                return piece.len;
        transfer->error = -CM_E_CANCELLED;
        return CURL_WRITEFUNC_ERROR;
}

void cm_transfer_take_reply(struct cm_transfer *transfer)
{
        struct cm_client_call *call = transfer->call;
        const char *type = NULL;
        curl_off_t retry_after = 0;
        long status = 0;

        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
        curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
        call->status = (int)status;
        call->retry_after_s = retry_after;
        (void)snprintf(call->content_type, sizeof(call->content_type), "%s", type ? type : "");
}

/* Whether anything of the request can have reached the peer. */
static bool was_sent(const struct cm_transfer *transfer)
{
        long request_size = 0;

        curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &request_size);
        return request_size > 0;
}

int cm_transfer_outcome(const struct cm_transfer *transfer)
{
        if (transfer->error)
                return transfer->error;
        switch (transfer->result) {
        case CURLE_OK:
                return 0;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return -CM_E_MALFORMED;
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_HTTP2:
                return -CM_E_PROTOCOL;
        case CURLE_FILESIZE_EXCEEDED:
                return -CM_E_TOO_LARGE;
        default:
                return was_sent(transfer) ? -CM_E_UNCERTAIN : -CM_E_UNAVAILABLE;
        }
}

/* ---- the request */

static bool is_header_text(const char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return false;
        return true;
}

static bool add_line(struct cm_transfer *transfer, const char *line)
{
        struct curl_slist *longer = curl_slist_append(transfer->headers, line);

        if (longer)
                transfer->headers = longer;
        return longer != NULL;
}

static bool add_header(struct cm_transfer *transfer, const char *name, const char *value)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf line = { 0 };

        if (!is_header_text(name) || !is_header_text(value))
                return false;
        /* libcurl: "Name;" is a header without a value, "Name:" takes one of its own away. */
        cm_buf_printf(&line, *value ? "%s: %s" : "%s;", name, value);
        return add_line(transfer, line.data);
}

static bool add_headers(struct cm_transfer *transfer)
{
        const struct cm_client_call *call = transfer->call;
        const struct cm_context *context = cm_fiber_context();
        bool good = add_line(transfer, "Expect:") && is_header_text(call->method);

        for (size_t i = 0; i < call->header_count; i++)
                good = good && add_header(transfer, call->headers[i].name, call->headers[i].value);
        if (context->traceparent[0])
                good = good && add_header(transfer, "traceparent", context->traceparent);
        return good;
}

static void set_up(struct cm_transfer *transfer, const struct cm_client_config *config)
{
        const struct cm_client_call *call = transfer->call;
        CURL *easy = transfer->easy;

        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
        curl_easy_setopt(easy, CURLOPT_URL, call->url);
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_USERAGENT, config->user_agent);
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(config->connect_us / CM_MILLISECOND));
        curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)max_reply(call));
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
        if (call->body.data) {
                curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
                curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.data);
        }
        if (strcmp(call->method, "HEAD") == 0)
                curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        else
                curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

int cm_transfer_start(struct cm_client *client, struct cm_transfer *transfer)
{
        transfer->call->status = 0;
        cm_buf_reset(&transfer->call->reply);
        transfer->easy = curl_easy_init();
        if (!transfer->easy)
                return -CM_E_INTERNAL;
        if (!add_headers(transfer))
                return -CM_E_MALFORMED;
        set_up(transfer, &client->config);
        return curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK ? 0
                                                                                : -CM_E_INTERNAL;
}

void cm_transfer_end(struct cm_client *client, struct cm_transfer *transfer)
{
        if (transfer->easy)
                curl_multi_remove_handle(client->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
        curl_slist_free_all(transfer->headers);
}

int cm_client_run(struct cm_client *client, struct cm_client_call *call)
{
        struct cm_transfer transfer = { .call = call };
        int r;

        cm_wait_init(&transfer.wait);
        r = cm_transfer_start(client, &transfer);
        if (r == 0)
                r = cm_wait_for(&transfer.wait);
        if (r == 0) {
                cm_transfer_take_reply(&transfer);
                r = cm_transfer_outcome(&transfer);
        }
        cm_transfer_end(client, &transfer);
        return r;
}
