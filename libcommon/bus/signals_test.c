#include "bus/signals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/error.h"
#include "store/test_redis.h"
#include "sys/log.h"

/* Two workers over a real Redis: what one says the other hears, and it knows when it did not. */

static struct test_redis server;
static struct cm_loop *loop;
static struct cm_redis *commands, *subscriber;
static struct cm_signals *signals;
static int reloads, messages;
static char last[64];

static void on_signal(void *arg CM_UNUSED, struct cm_str words)
{
        if (!words.data) {
                reloads++;
                return;
        }
        messages++;
        (void)snprintf(last, sizeof(last), "%.*s", CM_STR_ARG(words));
}

static void ignore_log(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                       void *arg CM_UNUSED)
{
}

static int set_up(void **state CM_UNUSED)
{
        if (!test_redis_is_installed())
                return 0;
        reloads = messages = 0;
        cm_log_set_hook(ignore_log, NULL);
        test_redis_start(&server);
        loop = test_loop_new();
        if (cm_redis_new(loop, &(struct cm_redis_config){ .url = server.url }, &commands) ||
            cm_redis_new(
                    loop,
                    &(struct cm_redis_config){ .url = server.url, .ping_us = 50 * CM_MILLISECOND },
                    &subscriber))
                return -1;
        signals = cm_signals_new(
                &(struct cm_signals_config){ .redis = commands, .subscriber = subscriber });
        return cm_signals_listen(signals, CM_STR("test.thing"), on_signal, NULL);
}

static int tear_down(void **state CM_UNUSED)
{
        if (!test_redis_is_installed())
                return 0;
        cm_redis_free(&subscriber);
        cm_redis_free(&commands);
        cm_signals_free(&signals);
        test_loop_free(&loop);
        test_redis_stop(&server);
        return 0;
}

static void in_fiber(void (*fn)(void))
{
        if (!test_redis_is_installed())
                skip();
        test_run(loop, fn);
}

static void await(const int *counter, int wanted)
{
        while (*counter < wanted)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void say(const char *words)
{
        assert_int_equal(cm_signal_send(signals, CM_STR("test.thing"), cm_str_from(words)), 0);
}

static void publish(const char *message)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;

        cm_arena_init(&arena, 256);
        assert_int_equal(cm_redis_call(commands, &arena, &reply, CM_STR("PUBLISH"),
                                       CM_STR("s1:signal:test.thing"), cm_str_from(message),
                                       CM_STR_NONE),
                         0);
        cm_arena_deinit(&arena);
}

static void words_are_heard_and_gaps_noticed(void)
{
        await(&reloads, 1); /* connected: what was before is not known */
        say("one two");
        await(&messages, 1);
        assert_string_equal(last, "one two");
        say("");
        await(&messages, 2);
        assert_string_equal(last, "");
        assert_int_equal(reloads, 1);
        publish("4 three is missing");
        await(&reloads, 2);
        publish("5 and on");
        await(&messages, 3);
        publish("nonsense");
        await(&reloads, 3);
        say("three"); /* the number that Redis has is behind: the server was replaced */
        await(&reloads, 4);
        say("four");
        await(&messages, 4);
        assert_int_equal(reloads, 4);
}

static void test_words_are_heard_and_gaps_noticed(void **state CM_UNUSED)
{
        in_fiber(words_are_heard_and_gaps_noticed);
}

static void a_new_connection_looks_again(void)
{
        await(&reloads, 1);
        test_redis_kill(&server);
        while (cm_redis_is_ready(commands))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        assert_int_equal(cm_signal_send(signals, CM_STR("test.thing"), CM_STR("x")),
                         -CM_E_UNAVAILABLE);
        test_redis_boot(&server);
        await(&reloads, 2);
        while (!cm_redis_is_ready(commands))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        say("again");
        await(&messages, 1);
        assert_int_equal(reloads, 2);
}

static void test_a_new_connection_looks_again(void **state CM_UNUSED)
{
        in_fiber(a_new_connection_looks_again);
}

/* A server that takes bytes and answers none (stopped, or a half-open connection). */
static void a_silent_server_is_gone(void)
{
        await(&reloads, 1);
        kill(server.pid, SIGSTOP);
        while (cm_redis_is_ready(subscriber)) /* 3 pings of 50 ms */
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        kill(server.pid, SIGCONT);
        await(&reloads, 2);
}

static void test_a_silent_server_is_gone(void **state CM_UNUSED)
{
        in_fiber(a_silent_server_is_gone);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_words_are_heard_and_gaps_noticed, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_a_new_connection_looks_again, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_a_silent_server_is_gone, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
