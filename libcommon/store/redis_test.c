#include "store/redis.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "store/redis_internal.h"
#include "store/test_redis.h"
#include "sys/log.h"

static struct test_client client;
static int warnings;

static void count_warning(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                          void *arg CM_UNUSED)
{
        warnings++;
}

static int set_up(void **state CM_UNUSED)
{
        warnings = 0;
        cm_log_set_hook(count_warning, NULL);
        return test_client_set_up(&client);
}

static int tear_down(void **state CM_UNUSED)
{
        test_client_tear_down(&client);
        return 0;
}

static void in_fiber(void (*fn)(void))
{
        TEST_CLIENT_RUN(&client, fn);
}

static int call(struct cm_redis_reply *reply, const char *a, const char *b, const char *c)
{
        return cm_redis_call(client.redis, &client.arena, reply, cm_str_from(a), cm_str_from(b),
                             cm_str_from(c), CM_STR_NONE);
}

static void reads_every_kind_of_reply_fiber(void)
{
        struct cm_redis_reply reply;

        assert_int_equal(call(&reply, "SET", "k", "v"), 0);
        assert_int_equal(reply.kind, CM_REDIS_STATUS);
        assert_string_equal(reply.text.data, "OK");
        assert_int_equal(call(&reply, "GET", "k", NULL), 0);
        assert_int_equal(reply.kind, CM_REDIS_TEXT);
        assert_string_equal(reply.text.data, "v");
        assert_int_equal(call(&reply, "GET", "absent", NULL), 0);
        assert_int_equal(reply.kind, CM_REDIS_NIL);
        assert_int_equal(call(&reply, "INCR", "n", NULL), 0);
        assert_int_equal(reply.kind, CM_REDIS_INTEGER);
        assert_int_equal(reply.integer, 1);
        assert_int_equal(call(&reply, "INCR", "k", NULL), CM_REDIS_REFUSED);
        assert_int_equal(reply.kind, CM_REDIS_ERROR);
        assert_true(cm_str_starts(reply.text, CM_STR("ERR")));
        assert_int_equal(call(&reply, "MGET", "k", "absent"), 0);
        assert_int_equal(reply.count, 2);
        assert_string_equal(reply.items[0].text.data, "v");
        assert_int_equal(reply.items[1].kind, CM_REDIS_NIL);
        assert_int_equal(warnings, 0);
}

static void reads_every_kind_of_reply(void **state CM_UNUSED)
{
        in_fiber(reads_every_kind_of_reply_fiber);
}

static void carries_any_bytes_fiber(void)
{
        enum { SIZE = 3000000 };
        char *bytes = malloc(SIZE);
        struct cm_redis_reply reply;

        for (int i = 0; i < SIZE; i++)
                bytes[i] = (char)(i * 31);
        assert_int_equal(cm_redis_call(client.redis, &client.arena, &reply, CM_STR("SET"),
                                       CM_STR("a\0b\r\n"), (struct cm_str){ bytes, SIZE },
                                       CM_STR_NONE),
                         0);
        assert_int_equal(cm_redis_call(client.redis, &client.arena, &reply, CM_STR("GET"),
                                       CM_STR("a\0b\r\n"), CM_STR_NONE),
                         0);
        assert_int_equal(reply.text.len, SIZE);
        assert_memory_equal(reply.text.data, bytes, SIZE);
        free(bytes);
}

static void carries_any_bytes(void **state CM_UNUSED)
{
        in_fiber(carries_any_bytes_fiber);
}

static void flight_answers_each_command_fiber(void)
{
        const struct cm_redis_command_line commands[] = {
                { (struct cm_str[]){ CM_STR("SET"), CM_STR("k"), CM_STR("v") }, 3 },
                { (struct cm_str[]){ CM_STR("INCR"), CM_STR("k") }, 2 },
                { (struct cm_str[]){ CM_STR("GET"), CM_STR("k") }, 2 },
        };
        struct cm_redis_reply replies[3];

        assert_int_equal(cm_redis_flight(client.redis, &client.arena, commands, 3, replies),
                         CM_REDIS_REFUSED);
        assert_int_equal(replies[0].kind, CM_REDIS_STATUS);
        assert_int_equal(replies[1].kind, CM_REDIS_ERROR);
        assert_string_equal(replies[2].text.data, "v");
}

static void flight_answers_each_command(void **state CM_UNUSED)
{
        in_fiber(flight_answers_each_command_fiber);
}

static void script_is_loaded_when_unknown_fiber(void)
{
        static struct cm_redis_script script = { .name = "test",
                                                 .text = "return { KEYS[1], ARGV[1] .. '!' }" };
        struct cm_redis_reply reply;

        for (int i = 0; i < 2; i++) {
                assert_int_equal(cm_redis_script(client.redis, &client.arena, &script,
                                                 &CM_STR("key"), 1, &CM_STR("arg"), 1, &reply),
                                 0);
                assert_string_equal(reply.items[0].text.data, "key");
                assert_string_equal(reply.items[1].text.data, "arg!");
        }
        assert_int_equal(call(&reply, "SCRIPT", "EXISTS", script.sha1), 0);
        assert_int_equal(reply.items[0].integer, 1);
}

static void script_is_loaded_when_unknown(void **state CM_UNUSED)
{
        in_fiber(script_is_loaded_when_unknown_fiber);
}

/* A wait that ends early must neither disturb the next reply nor be touched by its own. */
static void deadline_leaves_the_order_of_replies_fiber(void)
{
        struct cm_redis_reply *doomed = malloc(sizeof(*doomed)), reply;
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + 20 * CM_MILLISECOND);

        assert_int_equal(cm_redis_call(client.redis, &client.arena, doomed, CM_STR("BLPOP"),
                                       CM_STR("nothing"), CM_STR("0.1"), CM_STR_NONE),
                         -CM_E_UNCERTAIN);
        cm_fiber_set_deadline(before);
        free(doomed);
        assert_int_equal(call(&reply, "ECHO", "mine", NULL), 0);
        assert_string_equal(reply.text.data, "mine");
        assert_int_equal(client.redis->waiting, 0);
}

static void deadline_leaves_the_order_of_replies(void **state CM_UNUSED)
{
        in_fiber(deadline_leaves_the_order_of_replies_fiber);
}

/* Its connections stay open, and nothing comes any more. */
static void gives_a_silent_server_up_fiber(void)
{
        struct cm_redis_reply reply;

        client.redis->config.silence_us = CM_SECOND;
        assert_int_equal(call(&reply, "BLPOP", "nothing", "0.5"), 0);
        assert_int_equal(call(&reply, "PING", NULL, NULL), 0);
        assert_int_equal(cm_fiber_sleep(1200 * CM_MILLISECOND), 0); /* it owes nothing */
        assert_true(cm_redis_is_ready(client.redis));
        kill(client.server.pid, SIGSTOP);
        assert_int_equal(call(&reply, "PING", NULL, NULL), -CM_E_UNCERTAIN);
        assert_false(cm_redis_is_ready(client.redis));
        kill(client.server.pid, SIGCONT);
        while (!cm_redis_is_ready(client.redis))
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(call(&reply, "PING", NULL, NULL), 0);
        assert_int_equal(warnings, 1);
}

static void gives_a_silent_server_up(void **state CM_UNUSED)
{
        in_fiber(gives_a_silent_server_up_fiber);
}

static void reconnects_after_a_crash_fiber(void)
{
        struct cm_redis_reply reply;
        int r;

        assert_int_equal(call(&reply, "PING", NULL, NULL), 0);
        test_redis_kill(&client.server);
        r = call(&reply, "PING", NULL, NULL);
        assert_true(r == -CM_E_UNCERTAIN || r == -CM_E_UNAVAILABLE);
        assert_int_equal(call(&reply, "PING", NULL, NULL), -CM_E_UNAVAILABLE);
        assert_false(cm_redis_is_ready(client.redis));
        test_redis_boot(&client.server);
        while (!cm_redis_is_ready(client.redis))
                assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(call(&reply, "PING", NULL, NULL), 0);
        assert_int_equal(warnings, 1);
}

static void reconnects_after_a_crash(void **state CM_UNUSED)
{
        in_fiber(reconnects_after_a_crash_fiber);
}

static void refuses_more_than_may_wait_fiber(void)
{
        const struct cm_str ping = CM_STR("PING");
        struct cm_redis_command_line commands[5];
        struct cm_redis_reply replies[5];

        for (size_t i = 0; i < 5; i++)
                commands[i] = (struct cm_redis_command_line){ &ping, 1 };
        client.redis->config.max_waiting = 4;
        assert_int_equal(cm_redis_flight(client.redis, &client.arena, commands, 5, replies),
                         -CM_E_OVERLOAD);
        assert_int_equal(cm_redis_flight(client.redis, &client.arena, commands, 4, replies), 0);
}

static void refuses_more_than_may_wait(void **state CM_UNUSED)
{
        in_fiber(refuses_more_than_may_wait_fiber);
}

/* ---- names and logins */

static void logs_in_fiber(void)
{
        struct cm_redis *named;
        struct cm_redis_reply reply;
        char url[200];

        assert_int_equal(cm_redis_call(client.redis, &client.arena, &reply, CM_STR("ACL"),
                                       CM_STR("SETUSER"), CM_STR("alice"), CM_STR("on"),
                                       CM_STR(">p@ss:w"), CM_STR("~*"), CM_STR("+@all"),
                                       CM_STR_NONE),
                         0);
        snprintf(url, sizeof(url), "unix://alice:p%%40ss:w@%s", client.server.socket);
        assert_int_equal(cm_redis_new(client.loop, &(struct cm_redis_config){ .url = url }, &named),
                         0);
        assert_int_equal(cm_redis_call(named, &client.arena, &reply, CM_STR("ACL"),
                                       CM_STR("WHOAMI"), CM_STR_NONE),
                         0);
        assert_string_equal(reply.text.data, "alice");
        cm_redis_free(&named);
        snprintf(url, sizeof(url), "unix://alice:wrong@%s", client.server.socket);
        assert_int_equal(cm_redis_new(client.loop, &(struct cm_redis_config){ .url = url }, &named),
                         0);
        assert_int_equal(cm_redis_call(named, &client.arena, &reply, CM_STR("PING"), CM_STR_NONE),
                         -CM_E_UNAVAILABLE);
        cm_redis_free(&named);
        assert_int_equal(warnings, 1);
}

static void logs_in(void **state CM_UNUSED)
{
        in_fiber(logs_in_fiber);
}

static void resolves_names_fiber(void)
{
        struct cm_redis_reply reply;
        struct cm_redis *named;
        char port[8], url[64];

        snprintf(port, sizeof(port), "%d", 20300 + getpid() % 50);
        assert_int_equal(call(&reply, "CONFIG", "SET", "protected-mode"), CM_REDIS_REFUSED);
        assert_int_equal(cm_redis_call(client.redis, &client.arena, &reply, CM_STR("CONFIG"),
                                       CM_STR("SET"), CM_STR("port"), cm_str_from(port),
                                       CM_STR_NONE),
                         0);
        snprintf(url, sizeof(url), "redis://localhost:%s/3", port);
        assert_int_equal(cm_redis_new(client.loop, &(struct cm_redis_config){ .url = url }, &named),
                         0);
        assert_int_equal(cm_redis_call(named, &client.arena, &reply, CM_STR("CLIENT"),
                                       CM_STR("INFO"), CM_STR_NONE),
                         0);
        assert_non_null(strstr(reply.text.data, " db=3 "));
        cm_redis_free(&named);
}

static void resolves_names(void **state CM_UNUSED)
{
        in_fiber(resolves_names_fiber);
}

static void understands_addresses(void **state CM_UNUSED)
{
        static const struct {
                const char *url, *host, *path, *user, *password;
                int port, db, outcome;
        } rows[] = {
                { "redis://127.0.0.1:8003", "127.0.0.1", NULL, NULL, NULL, 8003, 0, 0 },
                { "redis://cache", "cache", NULL, NULL, NULL, 6379, 0, 0 },
                { "redis://cache/15", "cache", NULL, NULL, NULL, 6379, 15, 0 },
                { "redis://:secret@cache:1/2", "cache", NULL, "", "secret", 1, 2, 0 },
                { "redis://a:b%2Fc@[::1]:5", "::1", NULL, "a", "b/c", 5, 0, 0 },
                { "redis://[::1]", "::1", NULL, NULL, NULL, 6379, 0, 0 },
                { "unix:///run/redis.sock", NULL, "/run/redis.sock", NULL, NULL, 6379, 0, 0 },
                { "unix://a:b@/run/redis.sock", NULL, "/run/redis.sock", "a", "b", 6379, 0, 0 },
                { "rediss://cache", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://cache:70000", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://cache:/", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://cache/16", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://user@cache", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://a:%0@cache", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://a:%00@cache", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "redis://a:%zz@cache", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "unix://run", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
                { "", NULL, NULL, NULL, NULL, 0, 0, -CM_E_CONFIG },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct redis_address address;
                const char *why;

                assert_int_equal(redis_address_parse(rows[i].url, &address, &why), rows[i].outcome);
                if (rows[i].outcome) {
                        assert_non_null(why);
                        continue;
                }
                assert_int_equal(address.port, rows[i].port);
                assert_int_equal(address.db, rows[i].db);
                assert_string_equal(address.host ?: "-", rows[i].host ?: "-");
                assert_string_equal(address.path ?: "-", rows[i].path ?: "-");
                assert_string_equal(address.user ?: "-", rows[i].user ?: "-");
                assert_string_equal(address.password ?: "-", rows[i].password ?: "-");
                redis_address_deinit(&address);
        }
}

/* ---- live signals */

static int heard, look_again;
static struct cm_cond news;

static void on_message(void *arg CM_UNUSED, struct cm_str channel, struct cm_str message)
{
        assert_string_equal(channel.data, "s1:signal:test");
        if (message.data)
                heard += message.len == 5;
        else
                look_again++;
        cm_cond_broadcast(&news);
}

static void wait_until(const int *counter, int value)
{
        while (*counter < value)
                assert_int_equal(cm_cond_wait(&news), 0);
}

static void subscriber_hears_and_looks_again_fiber(void)
{
        struct cm_redis *subscriber;
        struct cm_redis_reply reply;

        heard = look_again = 0;
        cm_cond_init(&news);
        assert_int_equal(cm_redis_new(client.loop,
                                      &(struct cm_redis_config){ .url = client.server.url },
                                      &subscriber),
                         0);
        assert_int_equal(cm_redis_subscribe(subscriber, CM_STR("s1:signal:test"), on_message, NULL),
                         0);
        wait_until(&look_again, 1);
        assert_int_equal(call(&reply, "PUBLISH", "s1:signal:test", "hello"), 0);
        assert_int_equal(reply.integer, 1);
        wait_until(&heard, 1);
        assert_int_equal(call(&reply, "CLIENT", "KILL", "TYPE"), CM_REDIS_REFUSED);
        assert_int_equal(cm_redis_call(client.redis, &client.arena, &reply, CM_STR("CLIENT"),
                                       CM_STR("KILL"), CM_STR("TYPE"), CM_STR("pubsub"),
                                       CM_STR_NONE),
                         0);
        wait_until(&look_again, 2);
        assert_int_equal(call(&reply, "PUBLISH", "s1:signal:test", "world"), 0);
        wait_until(&heard, 2);
        cm_redis_free(&subscriber);
}

static void subscriber_hears_and_looks_again(void **state CM_UNUSED)
{
        in_fiber(subscriber_hears_and_looks_again_fiber);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(understands_addresses),
                cmocka_unit_test_setup_teardown(reads_every_kind_of_reply, set_up, tear_down),
                cmocka_unit_test_setup_teardown(carries_any_bytes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(flight_answers_each_command, set_up, tear_down),
                cmocka_unit_test_setup_teardown(script_is_loaded_when_unknown, set_up, tear_down),
                cmocka_unit_test_setup_teardown(deadline_leaves_the_order_of_replies, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(gives_a_silent_server_up, set_up, tear_down),
                cmocka_unit_test_setup_teardown(reconnects_after_a_crash, set_up, tear_down),
                cmocka_unit_test_setup_teardown(refuses_more_than_may_wait, set_up, tear_down),
                cmocka_unit_test_setup_teardown(logs_in, set_up, tear_down),
                cmocka_unit_test_setup_teardown(resolves_names, set_up, tear_down),
                cmocka_unit_test_setup_teardown(subscriber_hears_and_looks_again, set_up,
                                                tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
