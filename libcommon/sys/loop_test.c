#include "sys/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"

static struct cm_loop *loop;
static char trace[64];

static void note(void *arg)
{
        strcat(trace, arg);
}

static void stop(void *arg CM_UNUSED)
{
        cm_loop_stop(loop);
}

static void defer_more(void *arg CM_UNUSED)
{
        strcat(trace, "1");
        cm_loop_defer(loop, note, "3");
        cm_loop_defer(loop, stop, NULL);
}

static void test_deferred_calls_run_in_order_of_asking(void **state CM_UNUSED)
{
        cm_loop_defer(loop, defer_more, NULL);
        cm_loop_defer(loop, note, "2");
        cm_loop_run(loop);
        assert_string_equal(trace, "123");
}

static void *post_from_thread(void *arg CM_UNUSED)
{
        cm_loop_post(loop, note, "a");
        cm_loop_post(loop, note, "b");
        cm_loop_post(loop, stop, NULL);
        return NULL;
}

static void test_other_threads_post(void **state CM_UNUSED)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, post_from_thread, NULL), 0);
        cm_loop_run(loop);
        pthread_join(thread, NULL);
        assert_string_equal(trace, "ab");
}

static void test_timers_fire_once_and_can_be_stopped(void **state CM_UNUSED)
{
        struct cm_timer *fires = cm_timer_new(loop, note, "x");
        struct cm_timer *stopped = cm_timer_new(loop, note, "y");
        struct cm_timer *end = cm_timer_new(loop, stop, NULL);
        int64_t begin = cm_monotonic_us();

        cm_timer_start(end, 30 * CM_MILLISECOND);
        cm_timer_start(fires, 5 * CM_MILLISECOND);
        cm_timer_start(stopped, 5 * CM_MILLISECOND);
        cm_timer_stop(stopped);
        cm_loop_run(loop);
        assert_true(cm_monotonic_us() - begin >= 29 * CM_MILLISECOND);
        assert_string_equal(trace, "x");
        assert_true(cm_loop_heartbeat_us(loop) >= begin);
        cm_timer_free(&fires);
        cm_timer_free(&stopped);
        cm_timer_free(&end);
        assert_null(end);
}

static void on_ready(void *arg, int events)
{
        char c;

        if (events & CM_WRITABLE) {
                strcat(trace, "w");
                cm_watch_set(*(struct cm_watch **)arg, CM_READABLE);
                return;
        }
        assert_int_equal(read(((int *)arg)[2], &c, 1), 1);
        strcat(trace, "r");
        cm_loop_stop(loop);
}

static void test_watches_follow_their_mask(void **state CM_UNUSED)
{
        struct {
                struct cm_watch *watch;
                int fd;
        } place;
        int fds[2];
        struct cm_watch *writer;

        assert_int_equal(pipe(fds), 0);
        place.fd = fds[0];
        place.watch = cm_watch_new(loop, fds[0], on_ready, &place);
        writer = cm_watch_new(loop, fds[1], on_ready, &writer);
        cm_watch_set(place.watch, CM_READABLE);
        assert_int_equal(write(fds[1], "!", 1), 1);
        cm_loop_run(loop);
        assert_string_equal(trace, "r");
        cm_watch_free(&place.watch);
        cm_watch_free(&writer);
        close(fds[0]);
        close(fds[1]);
}

static int set_up(void **state CM_UNUSED)
{
        trace[0] = '\0';
        return cm_loop_new(&loop);
}

static int tear_down(void **state CM_UNUSED)
{
        cm_loop_free(&loop);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_deferred_calls_run_in_order_of_asking, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_other_threads_post, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_timers_fire_once_and_can_be_stopped, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_watches_follow_their_mask, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
