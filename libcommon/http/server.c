#include "http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "http/server_internal.h"
#include "sys/log.h"

#define BACKLOG            1024
#define ACCEPTS_A_TURN     64
#define SPARE_REQUESTS     128
#define REQUEST_ARENA_SIZE 8192
/* Beyond the limit so many connections are still read, to tell them 503. */
#define REFUSABLE 64

struct cm_metric cm_http_timeouts =
        CM_COUNTER("salus_http_timeouts_total", "Requests and replies cut because too slow");
struct cm_metric cm_http_bad =
        CM_COUNTER("salus_http_bad_requests_total", "Requests refused before a route was known");
struct cm_metric cm_http_refused =
        CM_COUNTER("salus_http_refused_total", "Connections and requests refused for want of room");
struct cm_metric cm_http_connections = CM_GAUGE("salus_http_connections", "Open HTTP connections");

/* ---- pools */

char *cm_block_take(struct cm_blocks *blocks)
{
        return blocks->count ? blocks->items[--blocks->count] : cm_realloc(NULL, blocks->size);
}

void cm_block_give_back(struct cm_blocks *blocks, char *block)
{
        if (blocks->count < CM_COUNT(blocks->items))
                blocks->items[blocks->count++] = block;
        else
                cm_free(block);
}

static void blocks_deinit(struct cm_blocks *blocks)
{
        while (blocks->count)
                cm_free(blocks->items[--blocks->count]);
}

struct cm_request *cm_request_take(struct cm_server *server)
{
        struct cm_list *node = cm_list_pop(&server->spare_requests);
        struct cm_request *request;

        if (node) {
                server->spare_request_count--;
                return CM_CONTAINER(node, struct cm_request, link);
        }
        request = CM_NEW(struct cm_request);
        request->server = server;
        cm_list_init(&request->link);
        cm_arena_init(&request->arena, REQUEST_ARENA_SIZE);
        return request;
}

static void request_free(struct cm_request *request)
{
        cm_arena_deinit(&request->arena);
        cm_buf_deinit(&request->headers);
        cm_buf_deinit(&request->scratch);
        cm_buf_deinit(&request->body_copy);
        cm_free(request);
}

/* Keeps the memory of usual requests, not that of large ones. */
static void buf_tidy(struct cm_buf *buf)
{
        if (buf->cap > CM_LARGE_INPUT)
                cm_buf_deinit(buf);
        else
                cm_buf_reset(buf);
}

static void request_clean(struct cm_request *request)
{
        cm_arena_reset(&request->arena);
        buf_tidy(&request->headers);
        buf_tidy(&request->scratch);
        buf_tidy(&request->body_copy);
        request->connection = NULL;
        request->head.method = CM_STR_NONE;
        request->head.header_count = 0;
        request->match = (struct cm_match){ 0 };
        request->framing = (struct cm_body){ 0 };
        request->body = CM_STR_NONE;
        request->body_is_copy = request->too_large = request->owes_continue = false;
        request->slow = request->finished = request->chunked_reply = false;
        request->own_cache_control = request->has_claims = request->keep_alive = false;
        request->reply = CM_REPLY_NONE;
        request->answered_us = 0;
}

void cm_request_give_back(struct cm_request *request)
{
        struct cm_server *server = request->server;

        if (server->spare_request_count >= SPARE_REQUESTS) {
                request_free(request);
                return;
        }
        request_clean(request);
        cm_list_append(server->spare_requests.next, &request->link); /* to the front: warm */
        server->spare_request_count++;
}

struct cm_str cm_server_date(struct cm_server *server, cm_time now)
{
        time_t second = (time_t)(now / CM_SECOND);
        struct tm tm;

        if (second != server->date_second) {
                server->date_second = second;
                gmtime_r(&second, &tm);
                server->date_line_len = strftime(server->date_line, sizeof(server->date_line),
                                                 "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        }
        return (struct cm_str){ server->date_line, server->date_line_len };
}

/* ---- listening */

/* Splits "host:port" or "[host]:port"; an empty host is every address. */
static bool split_address(const char *listen, char host[256], const char **port_r)
{
        const char *colon = strrchr(listen, ':'), *start = listen, *end = colon;

        if (!colon || !colon[1])
                return false;
        if (*start == '[') {
                start++;
                end--;
                if (end < start || *end != ']')
                        return false;
        }
        if (end - start >= 256)
                return false;
        memcpy(host, start, (size_t)(end - start));
        host[end - start] = '\0';
        *port_r = colon + 1;
        return true;
}

static int listen_at(const struct addrinfo *address)
{
        int one = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -1;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0 &&
            bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
                return fd;
        close(fd);
        return -1;
}

static int open_listener(const char *listen, int *fd_r)
{
        const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
        struct addrinfo *found = NULL;
        const char *port;
        char host[256];
        int fd = -1;

        if (!split_address(listen, host, &port) ||
            getaddrinfo(host[0] ? host : NULL, port, &hints, &found) != 0) {
                cm_log(CM_LOG_ERROR, "not an address to listen at", CM_F_TEXT("listen", listen));
                return -CM_E_CONFIG;
        }
        for (const struct addrinfo *it = found; it && fd < 0; it = it->ai_next)
                fd = listen_at(it);
        freeaddrinfo(found);
        if (fd < 0) {
                cm_log(CM_LOG_ERROR, "cannot listen", CM_F_TEXT("listen", listen),
                       CM_F_TEXT("reason", strerror(errno)));
                return -CM_E_IO;
        }
        *fd_r = fd;
        return 0;
}

/* True when there may be more to accept. */
static bool accept_one(struct cm_server *server)
{
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof(peer);
        int one = 1,
            fd = accept4(server->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                        cm_log(CM_LOG_WARN, "cannot accept", CM_F_TEXT("reason", strerror(errno)));
                        cm_watch_set(server->listener, 0); /* the sweep turns it on again */
                }
                return errno == ECONNABORTED || errno == EINTR;
        }
        if (server->connection_count >= server->config.limits.connections + REFUSABLE) {
                cm_counter_add(&cm_http_refused, 1);
                close(fd);
                return true;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        cm_connection_new(server, fd, (struct sockaddr *)&peer);
        return true;
}

static void on_connection(void *arg, int events CM_UNUSED)
{
        for (int i = 0; i < ACCEPTS_A_TURN && accept_one(arg); i++)
                ;
}

static void on_sweep(void *arg)
{
        struct cm_server *server = arg;
        int64_t now_us = cm_monotonic_us();

        CM_LIST_EACH_SAFE (node, &server->connections)
                cm_connection_check(CM_CONTAINER(node, struct cm_connection, link), now_us);
        if (server->listener)
                cm_watch_set(server->listener, CM_READABLE);
        cm_timer_start(server->sweeper, server->sweep_us);
}

/* ---- life */

static void fill_limits(struct cm_server_limits *limits)
{
#define DEFAULT(member, value) limits->member = limits->member ? limits->member : (value)
        DEFAULT(head_bytes, 16 << 10);
        DEFAULT(headers, 64);
        DEFAULT(body_bytes, 1 << 20);
        DEFAULT(head_us, 10 * CM_SECOND);
        DEFAULT(idle_us, 75 * CM_SECOND);
        DEFAULT(grace_us, 10 * CM_SECOND);
        DEFAULT(min_rate, 1024);
        DEFAULT(request_us, 30 * CM_SECOND);
        DEFAULT(connections, 10000);
        DEFAULT(pending_out, 256 << 10);
#undef DEFAULT
}

static void fill_stream_limits(struct cm_stream_limits *limits)
{
#define DEFAULT(member, value) limits->member = limits->member ? limits->member : (value)
        DEFAULT(heartbeat_us, 15 * CM_SECOND);
        DEFAULT(retry_us, 2 * CM_SECOND);
        DEFAULT(pending_out, 64 << 10);
        DEFAULT(patience_us, 10 * CM_SECOND);
        DEFAULT(message_bytes, 64 << 10);
#undef DEFAULT
}

/* Often enough that the shortest limit is kept to an eighth, and not more often. */
static int64_t sweep_period_us(const struct cm_server_limits *limits)
{
        int64_t shortest = limits->head_us;

        if (limits->idle_us < shortest)
                shortest = limits->idle_us;
        if (limits->grace_us < shortest)
                shortest = limits->grace_us;
        shortest /= 8;
        return shortest < 5 * CM_MILLISECOND     ? 5 * CM_MILLISECOND
               : shortest > 250 * CM_MILLISECOND ? 250 * CM_MILLISECOND
                                                 : shortest;
}

static int open_all(struct cm_server *server)
{
        const struct cm_server_config *config = &server->config;
        int r = cm_router_new(config->routes, config->routes_count, &server->router);

        if (r < 0)
                return r;
        r = cm_peer_rule_new(cm_str_from(config->trusted_proxies), &server->peers);
        if (r < 0) {
                cm_log(CM_LOG_ERROR, "trusted proxies are not a list of networks");
                return r;
        }
        return open_listener(config->listen, &server->fd);
}

int cm_server_new(const struct cm_server_config *config, struct cm_server **server_r)
{
        struct cm_server *server = CM_NEW(struct cm_server);
        int r;

        server->config = *config;
        server->loop = config->loop;
        server->fd = -1;
        if (!server->config.clock)
                server->config.clock = &cm_clock_system;
        fill_limits(&server->config.limits);
        fill_stream_limits(&server->config.streams);
        server->sweep_us = sweep_period_us(&server->config.limits);
        server->small.size = CM_SMALL_INPUT;
        server->large.size = CM_LARGE_INPUT;
        while (server->large.size < server->config.limits.head_bytes + CM_SMALL_INPUT)
                server->large.size *= 2;
        cm_list_init(&server->connections);
        cm_list_init(&server->spare_requests);
        cm_cond_init(&server->quiet);
        cm_trace_source_init(&server->trace);
        server->attempts = cm_map_new();
        cm_cursor_key_init(&server->cursor_key, config->cursor_secret);
        r = open_all(server);
        if (r < 0)
                cm_server_free(&server);
        *server_r = server;
        return r;
}

void cm_server_set_service(struct cm_server *server, void *service)
{
        server->config.service = service;
}

void cm_server_start(struct cm_server *server)
{
        server->listener = cm_watch_new(server->loop, server->fd, on_connection, server);
        cm_watch_set(server->listener, CM_READABLE);
        server->sweeper = cm_timer_new(server->loop, on_sweep, server);
        cm_timer_start(server->sweeper, server->sweep_us);
}

void cm_server_stop(struct cm_server *server)
{
        if (server->stopping)
                return;
        while (server->listener && accept_one(server))
                ;
        server->stopping = true;
        cm_watch_free(&server->listener);
        close(server->fd);
        server->fd = -1;
        CM_LIST_EACH_SAFE (node, &server->connections)
                cm_connection_stop(CM_CONTAINER(node, struct cm_connection, link));
}

int cm_server_drain(struct cm_server *server)
{
        int r = 0;

        while (server->running && r == 0)
                r = cm_cond_wait(&server->quiet);
        return r;
}

void cm_server_free(struct cm_server **server)
{
        struct cm_server *it = *server;
        struct cm_list *node;

        if (!it)
                return;
        CM_ASSERT(it->running == 0);
        CM_LIST_EACH_SAFE (connection, &it->connections)
                cm_connection_abort(CM_CONTAINER(connection, struct cm_connection, link));
        cm_timer_free(&it->sweeper);
        cm_watch_free(&it->listener);
        if (it->fd >= 0)
                close(it->fd);
        while ((node = cm_list_pop(&it->spare_requests)))
                request_free(CM_CONTAINER(node, struct cm_request, link));
        while (it->spare_out_count)
                cm_buf_deinit(&it->spare_outs[--it->spare_out_count]);
        blocks_deinit(&it->small);
        blocks_deinit(&it->large);
        cm_map_free(&it->attempts, NULL);
        cm_router_free(&it->router);
        cm_peer_rule_free(&it->peers);
        cm_free(it);
        *server = NULL;
}

int cm_server_port(const struct cm_server *server)
{
        struct sockaddr_in6 name = { 0 };
        socklen_t len = sizeof(name);

        if (getsockname(server->fd, (struct sockaddr *)&name, &len) < 0)
                return -1;
        return ntohs(name.sin6_port); /* at the same place as sin_port */
}

size_t cm_server_running(const struct cm_server *server)
{
        return server->running;
}

size_t cm_server_connections(const struct cm_server *server)
{
        return server->connection_count;
}
