#include "service/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "codec/token.h"
#include "events.h"
#include "http/request.h"
#include "service/user_refs.h"
#include "sys/fiber.h"

/*
 * A whole daemon, small: a child process runs cm_service_main() of a toy service against the
 * servers of scripts/run-unit-tests (TEST_POSTGRES, TEST_REDIS), and the test is its operator and
 * its client.
 */

/* ---- the toy */

static int toy_read(struct cm_request *request, CM_UNUSED const void *params,
                    CM_UNUSED const void *in)
{
        return cm_reply_body(request, 200, "text/plain", CM_STR("toy"));
}

static int toy_slow(struct cm_request *request, CM_UNUSED const void *params,
                    CM_UNUSED const void *in)
{
        int r = cm_fiber_sleep(400 * CM_MILLISECOND);

        return r ? r : cm_reply_body(request, 200, "text/plain", CM_STR("slow"));
}

static int toy_endless(struct cm_request *request, CM_UNUSED const void *params,
                       CM_UNUSED const void *in)
{
        cm_fiber_shield();
        while (cm_fiber_sleep(CM_SECOND) == 0)
                ;
        return cm_reply_empty(request, 204);
}

static const struct cm_route toy_items[] = {
        { .method = "GET",
          .path = "/v1/toy",
          .operation = "toy_read",
          .scope = "toy:read",
          .call = toy_read },
        { .method = "GET",
          .path = "/v1/limited",
          .operation = "toy_limited",
          .scope = "toy:read",
          .limit_by = "user",
          .limit = 2,
          .limit_window_us = CM_MINUTE,
          .call = toy_read },
        { .method = "GET",
          .path = "/v1/open",
          .operation = "toy_open",
          .limit_by = "address",
          .limit = 3,
          .limit_window_us = CM_MINUTE,
          .call = toy_read },
        { .method = "GET", .path = "/v1/slow", .operation = "toy_slow", .call = toy_slow },
        { .method = "GET", .path = "/v1/endless", .operation = "toy_endless", .call = toy_endless },
};
static const struct cm_routes toy_routes = { toy_items, CM_COUNT(toy_items), "{}" };

static struct cm_migration toy_migration_items[] = {
        { 1, "base", NULL /* user_refs.up.sql */, "DROP TABLE user_refs" },
        { 2, "toys", "CREATE TABLE toys (name text)", "DROP TABLE toys" },
};
static const struct cm_migrations toy_migrations = { toy_migration_items, 2 };
static const struct cm_setting *const toy_settings[] = { cm_service_setting_table, NULL };

static const struct cm_service toy = { .name = "toy",
                                       .program = "salus-toy",
                                       .settings = toy_settings,
                                       .settings_size = sizeof(struct cm_service_settings),
                                       .migrations = &toy_migrations,
                                       .routes = &toy_routes,
                                       .user_refs = true };

/* One that publishes: a row of the outbox, and no notification. */

static const struct cm_pg_statement say = {
        .name = "say",
        .sql = "INSERT INTO outbox (payload, event_count) VALUES (gen_random_uuid()"
               " || E'\\t/salus/toy\\ttoy.said.v1\\t2026-11-20T08:00:00Z\\t\\t\\t\\t{}', 1)",
        .writes = true,
};

static int toy_say(struct cm_request *request, CM_UNUSED const void *params,
                   CM_UNUSED const void *in)
{
        struct cm_worker *worker = cm_request_service(request);
        int r = cm_pg_query(worker->pg, NULL, &say, NULL, NULL);

        if (r)
                return r;
        cm_worker_wake_relay(worker);
        return cm_reply_empty(request, 204);
}

static int own_worker(struct cm_worker *worker)
{
        worker->object = worker;
        return 0;
}

static const struct cm_route speaker_items[] = {
        { .method = "GET", .path = "/v1/say", .operation = "toy_say", .call = toy_say },
};
static const struct cm_routes speaker_routes = { speaker_items, CM_COUNT(speaker_items), "{}" };
static struct cm_migration outbox_migration = { 1, "outbox", NULL /* outbox.up.sql */, NULL };
static const struct cm_migrations outbox_migrations = { &outbox_migration, 1 };
static const struct cm_service speaker = { .name = "toy",
                                           .program = "salus-toy",
                                           .settings = toy_settings,
                                           .settings_size = sizeof(struct cm_service_settings),
                                           .migrations = &outbox_migrations,
                                           .routes = &speaker_routes,
                                           .publishes = true,
                                           .worker_start = own_worker };
static const struct cm_service *served = &toy;

/* ---- the servers, and what the test does to them */

static char database[512]; /* conninfo */
static redisContext *redis;
static struct cm_signing_key *key;
static int port;
static pid_t daemon_pid; /* 0: none is running */

static void execute(const char *conninfo, const char *sql)
{
        PGconn *db = PQconnectdb(conninfo);
        PGresult *result = PQexec(db, sql);

        if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", sql, PQerrorMessage(db));
        PQclear(result);
        PQfinish(db);
}

static void tell_redis(const char *format, ...)
{
        va_list args;
        redisReply *reply;

        va_start(args, format);
        reply = redisvCommand(redis, format, args);
        va_end(args);
        assert_non_null(reply);
        assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
        freeReplyObject(reply);
}

static void publish_keys(void)
{
        struct cm_buf jwks = { 0 };

        cm_buf_add_str(&jwks, CM_STR("{\"keys\":["));
        cm_signing_key_jwk(key, &jwks);
        cm_buf_add_str(&jwks, CM_STR("]}"));
        tell_redis("SET s1:auth:jwks %s", jwks.data);
        tell_redis("PUBLISH s1:signal:auth.keys 1");
        cm_buf_deinit(&jwks);
}

static int free_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static void set_environment(void)
{
        char listen[32];

        port = free_port();
        snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
        setenv("SALUS_LISTEN", listen, 1);
        setenv("DATABASE_URL", database, 1);
        setenv("REDIS_URL", getenv("TEST_REDIS"), 1);
        setenv("REDIS_CACHE_URL", getenv("TEST_REDIS"), 1);
        setenv("SALUS_CURSOR_KEY", "0123456789abcdef0123456789abcdef", 1);
        setenv("SALUS_LOG_LEVEL", "error", 1);
        setenv("SALUS_WORKERS", "2", 1);
        setenv("SALUS_DRAIN_TIMEOUT", "2s", 1);
}

static char *read_text(const char *path)
{
        FILE *file = fopen(path, "r");
        char *text = calloc(1, 8192);

        if (!file)
                fail_msg("%s: run from the top folder", path);
        assert_true(fread(text, 1, 8191, file) > 0);
        fclose(file);
        return text;
}

static int set_up(void **state CM_UNUSED)
{
        static int number;
        const char *address = getenv("TEST_REDIS");
        char sql[64];

        assert_non_null(getenv("TEST_POSTGRES"));
        assert_non_null(address);
        if (!toy_migration_items[0].up)
                toy_migration_items[0].up = read_text("libcommon/service/user_refs.up.sql");
        if (!outbox_migration.up)
                outbox_migration.up = read_text("libcommon/bus/outbox.up.sql");
        if (!outbox_migration.down)
                outbox_migration.down = read_text("libcommon/bus/outbox.down.sql");
        served = &toy;
        snprintf(sql, sizeof(sql), "CREATE DATABASE service_%d_%d", (int)getpid(), ++number);
        execute(getenv("TEST_POSTGRES"), sql);
        snprintf(database, sizeof(database), "%s dbname=service_%d_%d", getenv("TEST_POSTGRES"),
                 (int)getpid(), number);
        redis = redisConnectUnix(address + strlen("unix://"));
        assert_true(redis && !redis->err);
        tell_redis("DEL s1:auth:jwks");
        assert_int_equal(cm_signing_key_generate(&key), 0);
        set_environment();
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        if (daemon_pid) /* the test failed */
                kill(daemon_pid, SIGKILL);
        daemon_pid = 0;
        cm_signing_key_free(&key);
        redisFree(redis);
        return 0;
}

/* ---- the process */

static pid_t spawn(const char *command, const char *argument)
{
        pid_t pid = fork();

        if (pid == 0) {
                static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
                char *argv[] = { (char *)"salus-toy", (char *)command, (char *)argument, NULL };

                for (size_t i = 0; i < CM_COUNT(crashes); i++)
                        (void)signal(crashes[i], SIG_DFL); /* cmocka's say nothing in a child */
                exit(cm_service_main(served, argument ? 3 : command ? 2 : 1, argv));
        }
        return pid;
}

static pid_t start(void)
{
        return daemon_pid = spawn(NULL, NULL);
}

static int end_of(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (pid == daemon_pid)
                daemon_pid = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run(const char *command, const char *argument)
{
        return end_of(spawn(command, argument));
}

struct reply {
        int status;
        char text[131072]; /* head and body */
};

static void get(const char *path, const char *token, struct reply *reply_r)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const struct timeval patience = { .tv_sec = 5 };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        size_t len = 0;
        ssize_t n = 1;

        memset(reply_r, 0, sizeof(*reply_r));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
                dprintf(fd, "GET %s HTTP/1.1\r\nHost: toy\r\nConnection: close\r\n%s%s%s\r\n", path,
                        token ? "Authorization: Bearer " : "", token ? token : "",
                        token ? "\r\n" : "");
                while (n > 0 && len < sizeof(reply_r->text) - 1) {
                        n = read(fd, reply_r->text + len, sizeof(reply_r->text) - 1 - len);
                        len += n > 0 ? (size_t)n : 0;
                }
                if (len > 12)
                        reply_r->status = atoi(reply_r->text + 9);
        }
        close(fd);
}

static int status_of(const char *path, const char *token)
{
        struct reply reply;

        get(path, token, &reply);
        return reply.status;
}

static void assert_problem(const char *path, const char *token, int status, const char *code)
{
        struct reply reply;

        get(path, token, &reply);
        if (reply.status != status || !strstr(reply.text, code))
                fail_msg("%s: wanted %d %s, got\n%s", path, status, code, reply.text);
}

static void fail_when_ended(void)
{
        int status;

        if (!daemon_pid || waitpid(daemon_pid, &status, WNOHANG) != daemon_pid)
                return;
        daemon_pid = 0;
        fail_msg("the daemon has ended: wait status %#x", (unsigned)status);
}

static void await_status(const char *path, const char *token, int status)
{
        int64_t end = cm_monotonic_us() + 10 * CM_SECOND;

        while (status_of(path, token) != status) {
                fail_when_ended();
                if (cm_monotonic_us() > end)
                        fail_msg("%s never says %d", path, status);
                usleep(2000);
        }
}

static pid_t start_ready(void)
{
        pid_t pid;

        assert_int_equal(run("--migrate", NULL), 0);
        publish_keys();
        pid = start();
        await_status("/readyz", NULL, 200);
        return pid;
}

static void stop(pid_t pid)
{
        kill(pid, SIGTERM);
        assert_int_equal(end_of(pid), 0);
}

/* Valid for 10 minutes from now, of a user and session of its own. */
static struct cm_claims claims_of(uint8_t user)
{
        cm_time now = cm_now(&cm_clock_system);
        struct cm_claims claims = { .sub = { { user } },
                                    .type = 1,
                                    .scope = "toy:write toy:read",
                                    .issued_at = now,
                                    .expires_at = now + 10 * CM_MINUTE };

        cm_random(claims.jti.bytes, sizeof(claims.jti.bytes));
        cm_random(claims.sid.bytes, sizeof(claims.sid.bytes));
        return claims;
}

static char *sign(const struct cm_claims *claims)
{
        const struct cm_token_policy policy = { "salus", "salus", 0 };
        static struct cm_buf tokens[8];
        static size_t next;
        struct cm_buf *token = &tokens[next++ % CM_COUNT(tokens)];

        cm_buf_reset(token);
        assert_int_equal(cm_token_sign(key, &policy, claims, token), 0);
        return token->data;
}

/* ---- what it must do */

static void readiness_names_what_is_missing(void **state CM_UNUSED)
{
        pid_t pid = start();

        await_status("/healthz", NULL, 200);
        await_status("/readyz", NULL, 503);
        for (struct reply reply = { 0 }; !strstr(reply.text, "\"schema\":\"behind\"");)
                get("/readyz", NULL, &reply);
        assert_problem("/readyz", NULL, 503, "\"jwks\":\"missing\"");
        assert_problem("/v1/toy", NULL, 503, "unavailable");

        assert_int_equal(run("--migrate", NULL), 0);
        for (struct reply reply = { 0 }; !strstr(reply.text, "\"schema\":\"ok\"");)
                get("/readyz", NULL, &reply);
        publish_keys();
        await_status("/readyz", NULL, 200);
        assert_problem("/metrics", NULL, 200, "salus_dependency_up{dependency=\"postgres\"}");
        assert_int_equal(run("--healthcheck", NULL), 0);
        stop(pid);
        assert_int_equal(run("--healthcheck", NULL), 1);
}

/* The first worker answers for all while the others are being made. */
static void a_probe_while_it_starts(void **state CM_UNUSED)
{
        setenv("SALUS_WORKERS", "8", 1);
        for (int i = 0; i < 20; i++) {
                pid_t pid = start();

                while (status_of("/healthz", NULL) != 200)
                        fail_when_ended();
                assert_int_equal(status_of("/metrics", NULL), 200);
                stop(pid);
        }
}

static void a_schema_that_is_too_new_ends_it(void **state CM_UNUSED)
{
        assert_int_equal(run("--migrate", NULL), 0);
        execute(database, "INSERT INTO schema_migrations VALUES (3, 'future', 'x')");
        assert_int_equal(run(NULL, NULL), 1);
        assert_int_equal(run("--migrate", NULL), 1);
}

static void tokens(void **state CM_UNUSED)
{
        pid_t pid = start_ready();
        struct cm_claims claims = claims_of(1);
        char *good = sign(&claims), broken[1024];

        assert_problem("/v1/toy", NULL, 401, "WWW-Authenticate: Bearer\r\n");
        assert_problem("/v1/toy", "nonsense", 401, "\"unauthorized\"");
        assert_int_equal(status_of("/v1/toy", good), 200);
        assert_int_equal(status_of("/v1/toy", good), 200);

        snprintf(broken, sizeof(broken), "%s", good);
        broken[strlen(broken) - 20] ^= 1;
        assert_problem("/v1/toy", broken, 401, "\"unauthorized\"");

        claims = claims_of(1);
        strcpy(claims.scope, "toy:write");
        assert_problem("/v1/toy", sign(&claims), 403, "insufficient_scope");
        claims = claims_of(1);
        claims.issued_at -= CM_HOUR;
        claims.expires_at -= CM_HOUR;
        assert_problem("/v1/toy", sign(&claims), 401, "\"token_expired\"");
        stop(pid);
}

static void revocation(void **state CM_UNUSED)
{
        pid_t pid = start_ready();
        struct cm_claims before = claims_of(2), later = claims_of(2);
        char id[CM_UUID_TEXT_SIZE];
        char *token;

        tell_redis("SET s1:auth:tokens:revoked:%s 1 EX 600", cm_uuid_format(&before.sid, id));
        assert_problem("/v1/toy", sign(&before), 401, "\"token_revoked\"");

        token = sign(&later);
        assert_int_equal(status_of("/v1/toy", token), 200);
        tell_redis("PUBLISH s1:signal:auth.revoked %s", "not a revocation");
        assert_int_equal(status_of("/v1/toy", token), 200);
        cm_uuid_format(&later.jti, id);
        for (int i = 0; i < 2; i++) { /* the signal is told to both workers */
                char message[80];

                snprintf(message, sizeof(message), "%s %lld", id,
                         (long long)(later.expires_at / CM_SECOND));
                tell_redis("PUBLISH s1:signal:auth.revoked %s", message);
        }
        await_status("/v1/toy", token, 401);
        stop(pid);
}

/* Keys that appear later are found by the token that was signed with them. */
static void a_new_key_is_read_when_it_is_seen(void **state CM_UNUSED)
{
        pid_t pid = start_ready();
        struct cm_claims claims = claims_of(3);

        cm_signing_key_free(&key);
        assert_int_equal(cm_signing_key_generate(&key), 0);
        assert_problem("/v1/toy", sign(&claims), 401, "\"unauthorized\"");
        publish_keys();
        await_status("/v1/toy", sign(&claims), 200);
        stop(pid);
}

static void accounts(void **state CM_UNUSED)
{
        pid_t pid;
        struct cm_claims claims = claims_of(4);

        assert_int_equal(run("--migrate", NULL), 0);
        execute(database, "INSERT INTO user_refs VALUES ('04000000-0000-0000-0000-000000000000',"
                          " gen_random_uuid(), 1, 2, 'en', 'UTC', 1, now())");
        pid = start_ready();
        assert_problem("/v1/toy", sign(&claims), 403, "\"account_inactive\"");
        claims = claims_of(5); /* not known yet: may */
        assert_int_equal(status_of("/v1/toy", sign(&claims)), 200);
        stop(pid);
}

static void limits(void **state CM_UNUSED)
{
        pid_t pid;
        struct cm_claims claims = claims_of(6), other = claims_of(7);
        char *token = sign(&claims);

        tell_redis("FLUSHDB");
        pid = start_ready();
        for (int i = 0; i < 3; i++)
                assert_int_equal(status_of("/v1/open", NULL), 200);
        assert_problem("/v1/open", NULL, 429, "Retry-After: ");

        assert_problem("/v1/limited", token, 200, "RateLimit-Remaining: 1\r\n");
        assert_problem("/v1/limited", token, 200, "RateLimit-Remaining: 0\r\n");
        assert_problem("/v1/limited", token, 429, "\"rate_limited\"");
        assert_int_equal(status_of("/v1/limited", sign(&other)), 200);
        assert_int_equal(status_of("/v1/toy", token), 200);
        stop(pid);
}

/* A Redis that hangs costs a limit its exactness, not the request its answer. */
static void a_limit_that_cannot_be_counted(void **state CM_UNUSED)
{
        pid_t pid = start_ready();
        struct cm_claims claims = claims_of(8);
        char *token = sign(&claims);
        int64_t start_us;

        assert_int_equal(status_of("/v1/toy", token), 200); /* verified and confirmed before */
        assert_int_equal(status_of("/v1/toy", token), 200);
        tell_redis("CLIENT PAUSE 3000 WRITE");
        start_us = cm_monotonic_us();
        for (int i = 0; i < 3; i++) /* one more than the limit */
                assert_int_equal(status_of("/v1/limited", token), 200);
        assert_true(cm_monotonic_us() - start_us < 2500 * CM_MILLISECOND);
        tell_redis("CLIENT UNPAUSE");
        assert_problem("/metrics", NULL, 200, "salus_limit_uncounted_total 3\n");
        stop(pid);
}

static void *get_slow(void *arg)
{
        *(int *)arg = status_of("/v1/slow", NULL);
        return NULL;
}

static void *get_endless(void *arg)
{
        *(int *)arg = status_of("/v1/endless", NULL);
        return NULL;
}

static void await_running(void)
{
        static struct reply reply;

        do
                get("/metrics", NULL, &reply);
        while (!strstr(reply.text, "salus_fibers_running"));
        usleep(50000);
}

static void a_request_under_way_is_finished(void **state CM_UNUSED)
{
        pid_t pid = start_ready();
        pthread_t thread;
        int status = 0;

        pthread_create(&thread, NULL, get_slow, &status);
        await_running();
        kill(pid, SIGTERM);
        pthread_join(thread, NULL);
        assert_int_equal(status, 200);
        assert_int_equal(end_of(pid), 0);
        assert_int_equal(status_of("/healthz", NULL), 0);
}

static void a_lame_duck_serves_and_says_so(void **state CM_UNUSED)
{
        pid_t pid;

        setenv("SALUS_LAME_DUCK", "300ms", 1);
        pid = start_ready();
        kill(pid, SIGTERM);
        await_status("/readyz", NULL, 503);
        assert_int_equal(status_of("/v1/open", NULL) == 0, false);
        assert_problem("/readyz", NULL, 503, "\"draining\":true");
        assert_int_equal(end_of(pid), 0);
        unsetenv("SALUS_LAME_DUCK");
}

static void what_does_not_end_is_left(void **state CM_UNUSED)
{
        pthread_t thread;
        int status = 0;
        pid_t pid;

        setenv("SALUS_DRAIN_TIMEOUT", "1s", 1);
        setenv("SALUS_REQUEST_TIMEOUT", "1m", 1);
        pid = start_ready();
        pthread_create(&thread, NULL, get_endless, &status);
        await_running();
        kill(pid, SIGTERM);
        usleep(100000);
        kill(pid, SIGTERM);
        assert_int_equal(end_of(pid), 1);
        pthread_join(thread, NULL);
        assert_int_equal(status, 0);
        unsetenv("SALUS_REQUEST_TIMEOUT");
}

static void commands(void **state CM_UNUSED)
{
        assert_int_equal(run("--version", NULL), 0);
        assert_int_equal(run("--help", NULL), 0);
        assert_int_equal(run("--nonsense", NULL), 2);
        assert_int_equal(run("--rollback", NULL), 2);
        assert_int_equal(run("--rollback", "all"), 2);
        assert_int_equal(run("--status", NULL), 1);
        assert_int_equal(run("--migrate", NULL), 0);
        assert_int_equal(run("--status", NULL), 0);
        assert_int_equal(run("--rollback", "1"), 0);
        assert_int_equal(run("--status", NULL), 1);
        assert_int_equal(run("--print-config", NULL), 0);
        setenv("SALUS_LOG_LEVEL", "loud", 1);
        assert_int_equal(run("--print-config", NULL), 2);
        setenv("SALUS_LOG_LEVEL", "error", 1);
        setenv("SALUS_UNHEARD_OF", "1", 1);
        assert_int_equal(run(NULL, NULL), 2);
        unsetenv("SALUS_UNHEARD_OF");
}

static int64_t length_of_stream(void)
{
        redisReply *reply = redisCommand(redis, "XLEN s1:events:toy");
        int64_t length;

        assert_non_null(reply);
        length = reply->integer;
        freeReplyObject(reply);
        return length;
}

/* Both workers say something, to the last moment. */
static void what_any_worker_says_is_published(void **state CM_UNUSED)
{
        int64_t said = 0, limit = cm_monotonic_us() + 20 * CM_SECOND;
        struct reply health;
        pid_t pid;

        served = &speaker;
        tell_redis("DEL s1:events:toy");
        pid = start_ready();
        for (; said < 50; said++)
                assert_int_equal(status_of("/v1/say", NULL), 204);
        while (length_of_stream() < said && cm_monotonic_us() < limit)
                usleep(2000);
        assert_int_equal(length_of_stream(), said);
        get("/healthz", NULL, &health);
        assert_int_equal(health.status, 200);
        assert_non_null(strstr(health.text, "\"relay\":\"ok\""));
        assert_int_equal(status_of("/v1/say", NULL), 204);
        stop(pid);
}

/* Figures: printed, and held to what the issue promises with room for a busy machine. */
static void it_starts_quickly_and_is_small(void **state CM_UNUSED)
{
        int64_t start_us, ready_us;
        char path[64], line[256];
        long pages = 0;
        FILE *file;
        pid_t pid;

        setenv("SALUS_WORKERS", "1", 1);
        assert_int_equal(run("--migrate", NULL), 0);
        publish_keys();
        start_us = cm_monotonic_us();
        pid = start();
        await_status("/readyz", NULL, 200);
        ready_us = cm_monotonic_us() - start_us;
        snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        file = fopen(path, "r");
        assert_non_null(fgets(line, sizeof(line), file));
        assert_int_equal(sscanf(line, "%*d %ld", &pages), 1);
        fclose(file);
        print_message("ready after %.1f ms, resident %.1f MiB\n", (double)ready_us / 1e3,
                      (double)(pages * sysconf(_SC_PAGESIZE)) / 1048576);
        assert_true(ready_us < CM_SECOND);
        stop(pid);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(commands),
                TEST(readiness_names_what_is_missing),
                TEST(a_probe_while_it_starts),
                TEST(a_schema_that_is_too_new_ends_it),
                TEST(tokens),
                TEST(revocation),
                TEST(a_new_key_is_read_when_it_is_seen),
                TEST(accounts),
                TEST(limits),
                TEST(a_limit_that_cannot_be_counted),
                TEST(a_request_under_way_is_finished),
                TEST(a_lame_duck_serves_and_says_so),
                TEST(what_does_not_end_is_left),
                TEST(what_any_worker_says_is_published),
                TEST(it_starts_quickly_and_is_small),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
