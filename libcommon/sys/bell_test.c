#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/time.h"
#include "sys/bell.h"
#include "sys/fiber.h"

enum { RED = 1, BLUE = 2 };

static struct cm_bell bell;
static struct cm_loop *loop;

static void ring_blue(void *arg)
{
        cm_bell_ring(arg, BLUE);
}

static void test_body(void *arg)
{
        struct cm_timer *timer = cm_timer_new(loop, ring_blue, &bell);
        int64_t started_us = cm_monotonic_us();
        unsigned reasons = 9;

        (void)arg;
        /* What rang before is remembered, and told once. */
        cm_bell_ring(&bell, RED);
        cm_bell_ring(&bell, RED);
        cm_bell_ring(&bell, BLUE);
        assert_int_equal(cm_bell_wait(&bell, CM_NEVER, &reasons), 0);
        assert_int_equal(reasons, RED | BLUE);

        /* Nothing rings: the time ends it. */
        assert_int_equal(cm_bell_wait(&bell, started_us + 10 * CM_MILLISECOND, &reasons), 0);
        assert_int_equal(reasons, 0);
        assert_true(cm_monotonic_us() >= started_us + 10 * CM_MILLISECOND);

        /* A ring ends the wait. */
        cm_timer_start(timer, CM_MILLISECOND);
        assert_int_equal(cm_bell_wait(&bell, CM_NEVER, &reasons), 0);
        assert_int_equal(reasons, BLUE);

        /* The fiber's deadline is not the bell's, and is as before. */
        (void)cm_fiber_set_deadline(cm_monotonic_us() + CM_MILLISECOND);
        assert_int_equal(cm_bell_wait(&bell, CM_NEVER, &reasons), -CM_E_DEADLINE);
        cm_bell_ring(&bell, RED);
        assert_int_equal(cm_bell_wait(&bell, CM_NEVER, &reasons), 0);
        assert_int_equal(reasons, RED);
        assert_null(bell.waiter);

        cm_timer_free(&timer);
        cm_loop_stop(loop);
}

static void start(void *arg)
{
        assert_int_equal(cm_fiber_start("test", test_body, arg, CM_NEVER), 0);
}

static void test_bell(void **state)
{
        const struct cm_fiber_pool_config config = { 65536, 4, 2 };

        (void)state;
        assert_int_equal(cm_loop_new(&loop), 0);
        assert_int_equal(cm_fiber_pool_init(loop, &config), 0);
        cm_loop_defer(loop, start, NULL);
        cm_loop_run(loop);
        cm_fiber_pool_deinit(loop);
        cm_loop_free(&loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_bell) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
