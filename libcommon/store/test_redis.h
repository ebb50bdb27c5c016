#pragma once
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "store/redis.h"
#include "sys/fiber.h"

/*
 * For unit tests only: a real redis-server of the test's own on a unix socket in a folder under
 * /tmp, and a loop that runs one fiber to its end. Tests skip when redis-server is not installed.
 */
struct test_redis {
        char folder[64];
        char socket[96];
        char url[160];
        pid_t pid;
};

static inline bool test_redis_is_installed(void)
{
        return access("/usr/bin/redis-server", X_OK) == 0;
}

/* The socket is there a moment before anybody may connect to it. */
static inline bool test_redis_listens(const struct test_redis *server)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool listens;

        strcpy(address.sun_path, server->socket);
        listens = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        return listens;
}

static inline void test_redis_boot(struct test_redis *server)
{
        server->pid = fork();
        if (server->pid == 0) {
                int null = open("/dev/null", O_WRONLY);

                /* It must not outlive a test that fails, nor hold its output open. */
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
                execl("/usr/bin/redis-server", "redis-server", "--port", "0", "--unixsocket",
                      server->socket, "--dir", server->folder, "--save", "", "--appendonly", "no",
                      "--maxmemory-policy", "noeviction", NULL);
                _exit(127);
        }
        for (int i = 0; i < 500 && !test_redis_listens(server); i++)
                usleep(10000);
}

static inline void test_redis_kill(struct test_redis *server)
{
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        unlink(server->socket);
}

static inline void test_redis_start(struct test_redis *server)
{
        strcpy(server->folder, "/tmp/salus-redis-XXXXXX");
        if (!mkdtemp(server->folder))
                abort();
        snprintf(server->socket, sizeof(server->socket), "%s/socket", server->folder);
        snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
        test_redis_boot(server);
}

static inline void test_redis_stop(struct test_redis *server)
{
        char command[96];

        test_redis_kill(server);
        snprintf(command, sizeof(command), "rm -rf %s", server->folder);
        if (system(command))
                perror(command);
}

struct test_fiber {
        struct cm_loop *loop;
        void (*fn)(void);
};

static inline void test_fiber_body(void *arg)
{
        struct test_fiber *job = arg;

        job->fn();
        cm_loop_stop(job->loop);
}

static inline void test_fiber_start(void *arg)
{
        if (cm_fiber_start("test", test_fiber_body, arg, cm_monotonic_us() + 60 * CM_SECOND))
                abort();
}

/* Runs `fn` in a fiber and the loop until it has ended. */
static inline void test_run(struct cm_loop *loop, void (*fn)(void))
{
        struct test_fiber job = { loop, fn };

        cm_loop_defer(loop, test_fiber_start, &job);
        cm_loop_run(loop);
}

static inline struct cm_loop *test_loop_new(void)
{
        const struct cm_fiber_pool_config config = { 65536, 64, 8 };
        struct cm_loop *loop;

        if (cm_loop_new(&loop) || cm_fiber_pool_init(loop, &config))
                abort();
        return loop;
}

static inline void test_loop_free(struct cm_loop **loop)
{
        cm_fiber_pool_deinit(*loop);
        cm_loop_free(loop);
}

/* What a test of one client needs, around each test. Without a redis-server it skips. */
struct test_client {
        struct test_redis server;
        struct cm_loop *loop;
        struct cm_redis *redis;
        struct cm_arena arena;
};

static inline int test_client_set_up(struct test_client *client)
{
        const struct cm_redis_config config = { .url = client->server.url };

        if (!test_redis_is_installed())
                return 0;
        test_redis_start(&client->server);
        client->loop = test_loop_new();
        cm_arena_init(&client->arena, 4096);
        return cm_redis_new(client->loop, &config, &client->redis);
}

static inline void test_client_tear_down(struct test_client *client)
{
        if (!test_redis_is_installed())
                return;
        cm_redis_free(&client->redis);
        cm_arena_deinit(&client->arena);
        test_loop_free(&client->loop);
        test_redis_stop(&client->server);
}

/* Needs <cmocka.h> before this file. */
#define TEST_CLIENT_RUN(client, fn)                                                                \
        do {                                                                                       \
                if (!test_redis_is_installed())                                                    \
                        skip();                                                                    \
                test_run((client)->loop, fn);                                                      \
        } while (0)
