#include "sys/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/time.h"
#include "sys/fiber.h"

static struct cm_loop *loop;
static struct cm_work_lane *lane;

static int doubled(void *arg)
{
        int *number = arg;

        *number *= 2;
        return 7;
}

static int slow(void *arg)
{
        usleep(300000);
        *(int *)arg = 1;
        return 0;
}

static void runs_elsewhere(void *arg CM_UNUSED)
{
        int number = 21;

        assert_int_equal(cm_work_run(lane, doubled, &number), 7);
        assert_int_equal(number, 42);
}

static void waits_for_begun_work(void *arg CM_UNUSED)
{
        int finished = 0;

        cm_fiber_set_deadline(cm_monotonic_us() + 5 * CM_MILLISECOND);
        assert_int_equal(cm_work_run(lane, slow, &finished), 0);
        assert_int_equal(finished, 1);
}

static void occupies(void *arg)
{
        assert_int_equal(cm_work_run(lane, slow, arg), 0);
}

/* One thread is busy; what is still queued at the deadline never runs; beyond the queue: overload.
 */
static void queue_has_a_deadline_and_an_end(void *arg CM_UNUSED)
{
        struct cm_group group;
        int first = 0, second = 0, third = 21;

        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "first", occupies, &first), 0);
        assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        assert_int_equal(cm_group_start(&group, "second", occupies, &second), 0);
        assert_int_equal(cm_fiber_yield(), 0);
        assert_int_equal(cm_work_lane_queued(lane), 1);
        cm_fiber_set_deadline(cm_monotonic_us() + 5 * CM_MILLISECOND);
        assert_int_equal(cm_work_run(lane, doubled, &third), -CM_E_DEADLINE);
        cm_fiber_set_deadline(CM_NEVER);
        assert_int_equal(third, 21);
        assert_int_equal(cm_group_start(&group, "fourth", occupies, &first), 0);
        assert_int_equal(cm_fiber_yield(), 0);
        assert_int_equal(cm_work_run(lane, doubled, &third), -CM_E_OVERLOAD);
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(second, 1);
}

struct job {
        cm_fiber_fn *fn;
};

static void main_fiber(void *arg)
{
        ((struct job *)arg)->fn(NULL);
        cm_loop_stop(loop);
}

static void start_main(void *arg)
{
        assert_int_equal(cm_fiber_start("test", main_fiber, arg, CM_NEVER), 0);
}

static void run(cm_fiber_fn *fn)
{
        const struct cm_fiber_pool_config config = { 65536, 16, 4 };
        struct job job = { fn };

        assert_int_equal(cm_loop_new(&loop), 0);
        assert_int_equal(cm_fiber_pool_init(loop, &config), 0);
        assert_int_equal(cm_work_lane_new("test", 1, 2, &lane), 0);
        cm_loop_defer(loop, start_main, &job);
        cm_loop_run(loop);
        cm_work_lane_free(&lane);
        cm_fiber_pool_deinit(loop);
        cm_loop_free(&loop);
}

static void test_runs_elsewhere(void **state CM_UNUSED)
{
        run(runs_elsewhere);
}

static void test_waits_for_begun_work(void **state CM_UNUSED)
{
        run(waits_for_begun_work);
}

static void test_queue_has_a_deadline_and_an_end(void **state CM_UNUSED)
{
        run(queue_has_a_deadline_and_an_end);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_runs_elsewhere),
                cmocka_unit_test(test_waits_for_begun_work),
                cmocka_unit_test(test_queue_has_a_deadline_and_an_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
