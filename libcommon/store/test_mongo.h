#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/mongo.h"
#include "sys/fiber.h"

/*
 * For unit tests only: a server of documents. Where MONGO_URI is set it is that one, in a database
 * of the test's own; else one of the test's own that scripts/lib/mongo-server chooses, which may be
 * killed. Run from the checkout's root, after make mongo-stand-in.
 */
struct test_mongo {
        char folder[64];
        char uri[400];
        int port;
        pid_t pid; /* 0: somebody else's server */
};

#ifdef CM_TSAN
/* The driver's own threads agree by means that the sanitizer does not see in a library that was not
 * built with it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
        return "called_from_lib:libbson-1.0.so\n";
}
#endif

#define TEST_MONGO_SERVER "scripts/lib/mongo-server"

static inline int test_mongo_free_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET };
        socklen_t len = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(fd, (struct sockaddr *)&address, len) ||
            getsockname(fd, (struct sockaddr *)&address, &len))
                abort();
        close(fd);
        return ntohs(address.sin_port);
}

static inline bool test_mongo_listens(const struct test_mongo *server)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)server->port) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool listens;

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listens = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        return listens;
}

static inline bool test_mongo_boot(struct test_mongo *server)
{
        server->pid = fork();
        if (server->pid == 0) {
                char port[16];
                int null = open("/dev/null", O_WRONLY);

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                snprintf(port, sizeof(port), "%d", server->port);
                dup2(null, STDOUT_FILENO);
                execl(TEST_MONGO_SERVER, "mongo-server", "127.0.0.1", port, server->folder, NULL);
                _exit(127);
        }
        for (int i = 0; i < 3000; i++) {
                if (test_mongo_listens(server))
                        return true;
                if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
                        return false;
                usleep(10000);
        }
        return false;
}

static inline void test_mongo_kill(struct test_mongo *server)
{
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
}

/* mongodb://host/anything?options becomes mongodb://host/salus_test_<pid>?options */
static inline void test_mongo_given(struct test_mongo *server, const char *uri)
{
        const char *host = strstr(uri, "://");
        const char *slash = host ? strchr(host + 3, '/') : NULL;
        const char *options = strchr(uri, '?');
        int head = slash ? (int)(slash - uri) : (int)strlen(uri);

        snprintf(server->uri, sizeof(server->uri), "%.*s/salus_test_%d%s", head, uri, (int)getpid(),
                 options ? options : "");
}

static inline bool test_mongo_start(struct test_mongo *server)
{
        const char *given = getenv("MONGO_URI");

        *server = (struct test_mongo){ 0 };
        if (given && *given) {
                test_mongo_given(server, given);
                return true;
        }
        strcpy(server->folder, "/tmp/salus-mongo-XXXXXX");
        if (!mkdtemp(server->folder))
                abort();
        server->port = test_mongo_free_port();
        snprintf(server->uri, sizeof(server->uri), "mongodb://127.0.0.1:%d/salus_test",
                 server->port);
        return test_mongo_boot(server);
}

static inline void test_mongo_stop(struct test_mongo *server)
{
        char command[96];

        if (!server->pid)
                return;
        test_mongo_kill(server);
        snprintf(command, sizeof(command), "rm -rf %s", server->folder);
        if (system(command))
                perror(command);
}

static inline struct cm_mongo *test_mongo_connect(const struct test_mongo *server)
{
        const struct cm_mongo_config config = { .uri = server->uri,
                                                .threads = 4,
                                                .max_waiting = 200,
                                                .connect_timeout_us = 2 * CM_SECOND,
                                                .response_timeout_us = 10 * CM_SECOND };
        struct cm_mongo *mongo;

        if (cm_mongo_new(&config, &mongo))
                abort();
        return mongo;
}

/* In a fiber. */
static inline void test_mongo_await(const struct cm_mongo *mongo, bool ready)
{
        while (cm_mongo_is_ready(mongo) != ready)
                if (cm_fiber_sleep(5 * CM_MILLISECOND))
                        abort();
}
