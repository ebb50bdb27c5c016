#pragma once
/* For the tests of this folder: a server in a loop, and a client in a thread of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/server.h"
#include "sys/fiber.h"
#include "sys/loop.h"

struct harness {
        struct cm_loop *loop;
        struct cm_server *server;
        int port;
};

static inline void harness_start(struct harness *it, const struct cm_server_config *config,
                                 size_t max_fibers)
{
        const struct cm_fiber_pool_config fibers = { .stack_size = 65536,
                                                     .max_fibers = max_fibers,
                                                     .keep_stacks = 8 };
        struct cm_server_config own = *config;

        assert_int_equal(cm_loop_new(&it->loop), 0);
        assert_int_equal(cm_fiber_pool_init(it->loop, &fibers), 0);
        own.loop = it->loop;
        own.listen = "127.0.0.1:0";
        assert_int_equal(cm_server_new(&own, &it->server), 0);
        cm_server_start(it->server);
        it->port = cm_server_port(it->server);
}

static inline void harness_drain(void *arg)
{
        struct harness *it = arg;

        cm_server_stop(it->server);
        assert_int_equal(cm_server_drain(it->server), 0);
        cm_loop_stop(it->loop);
}

static inline void harness_begin_drain(void *arg)
{
        assert_int_equal(cm_fiber_start("drain", harness_drain, arg, CM_NEVER), 0);
}

static inline void harness_stop(struct harness *it)
{
        cm_loop_defer(it->loop, harness_begin_drain, it);
        cm_loop_run(it->loop);
        cm_server_free(&it->server);
        cm_fiber_pool_deinit(it->loop);
        cm_loop_free(&it->loop);
}

static inline int client_connect(const struct harness *it)
{
        const struct sockaddr_in name = { .sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)it->port),
                                          .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        if (fd < 0 || connect(fd, (const void *)&name, sizeof(name)) < 0)
                abort();
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
}

static inline void client_send(int fd, const void *data, size_t len)
{
        const char *at = data;

        while (len) {
                ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

                if (n <= 0)
                        return; /* the server has closed: the reply says why */
                at += n;
                len -= (size_t)n;
        }
}

/* Reads up to the end, or until `enough` stands in what was read (NULL: up to the end). */
static inline void client_read(int fd, struct cm_buf *reply, const char *enough)
{
        char piece[4096];

        while (!enough || !reply->data || !strstr(reply->data, enough)) {
                struct pollfd ready = { fd, POLLIN, 0 };
                ssize_t n = poll(&ready, 1, 10000) == 1 ? read(fd, piece, sizeof(piece)) : -1;

                if (n <= 0)
                        return;
                cm_buf_add(reply, piece, (size_t)n);
        }
}

struct client {
        struct harness *harness;
        void (*story)(struct client *client);
        const char *request;
        size_t request_len;
        size_t piece; /* bytes a send; 0: all at once */
        struct cm_buf reply;
        void *arg;
};

struct client_question {
        struct harness *harness;
        _Atomic long connections; /* -1: not asked yet */
};

static inline void client_answer(void *arg)
{
        struct client_question *it = arg;

        it->connections = (long)cm_server_connections(it->harness->server);
}

/* From a story, until the server has closed all connections. */
static inline void client_wait_all_closed(struct client *client)
{
        struct client_question question = { .harness = client->harness };

        do {
                question.connections = -1;
                cm_loop_post(client->harness->loop, client_answer, &question);
                while (question.connections < 0)
                        usleep(200);
        } while (question.connections);
}

static inline void client_end(void *arg)
{
        cm_loop_stop(arg);
}

static inline void *client_main(void *arg)
{
        struct client *client = arg;

        client->story(client);
        cm_loop_post(client->harness->loop, client_end, client->harness->loop);
        return NULL;
}

/* Runs the loop while the client's story runs in its thread. */
static inline void client_run(struct client *client)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, client_main, client), 0);
        cm_loop_run(client->harness->loop);
        pthread_join(thread, NULL);
}

static inline void story_exchange(struct client *client)
{
        int fd = client_connect(client->harness);
        size_t piece = client->piece ? client->piece : client->request_len;

        for (size_t at = 0; at < client->request_len; at += piece) {
                size_t left = client->request_len - at;

                client_send(fd, client->request + at, left < piece ? left : piece);
                if (client->piece)
                        usleep(200);
        }
        client_read(fd, &client->reply, NULL);
        close(fd);
}

/* Sends, reads until the server closes; the reply is the caller's to free. */
static inline char *exchange(struct harness *harness, const char *request, size_t piece)
{
        struct client client = { .harness = harness,
                                 .story = story_exchange,
                                 .request = request,
                                 .request_len = strlen(request),
                                 .piece = piece };

        client_run(&client);
        cm_buf_reserve(&client.reply, 1);
        client.reply.data[client.reply.len] = '\0';
        return client.reply.data;
}
