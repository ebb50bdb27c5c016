#include "sys/work.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
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

/* ---- work that is left alone: `gate` holds it until the fiber has gone */

static sem_t gate, released;

struct heap_work {
        int answer;
        bool holds;
};

static struct heap_work *heap_work(int answer, bool holds)
{
        struct heap_work *work = CM_NEW(struct heap_work);

        work->answer = answer;
        work->holds = holds;
        return work;
}

static int answers(void *arg)
{
        struct heap_work *work = arg;

        if (work->holds)
                (void)sem_wait(&gate);
        return work->answer;
}

static void releases(void *arg)
{
        cm_free(arg);
        (void)sem_post(&released);
}

static void begun_work_is_left_at_the_deadline(void *arg CM_UNUSED)
{
        struct heap_work *work = heap_work(5, false);
        bool left;

        assert_int_equal(cm_work_run_or_leave(lane, answers, work, releases, &left), 5);
        assert_false(left);
        work->holds = true;
        cm_fiber_set_deadline(cm_monotonic_us() + 50 * CM_MILLISECOND);
        assert_int_equal(cm_work_run_or_leave(lane, answers, work, releases, &left),
                         -CM_E_DEADLINE);
        assert_true(left); /* the thread has it now */

        work = heap_work(6, false); /* waits behind it, and is taken back */
        cm_fiber_set_deadline(cm_monotonic_us() + 5 * CM_MILLISECOND);
        assert_int_equal(cm_work_run_or_leave(lane, answers, work, releases, &left),
                         -CM_E_DEADLINE);
        assert_false(left);
        assert_int_equal(sem_trywait(&released), -1);
        (void)sem_post(&gate);
        assert_int_equal(sem_wait(&released), 0);
        cm_fiber_set_deadline(CM_NEVER);
        assert_int_equal(cm_work_run_or_leave(lane, answers, work, releases, &left), 6);
        assert_false(left);
        cm_free(work);
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

static void test_begun_work_is_left_at_the_deadline(void **state CM_UNUSED)
{
        (void)sem_init(&gate, 0, 0);
        (void)sem_init(&released, 0, 0);
        run(begun_work_is_left_at_the_deadline);
        (void)sem_destroy(&gate);
        (void)sem_destroy(&released);
}

static int own_nice(void *arg CM_UNUSED)
{
        return getpriority(PRIO_PROCESS, (id_t)gettid());
}

static void gives_way(void *arg CM_UNUSED)
{
        struct cm_work_lane *nice = NULL;

        assert_int_equal(cm_work_lane_new_nice("nice", 1, 2, 10, &nice), 0);
        assert_int_equal(cm_work_run(nice, own_nice, NULL), getpriority(PRIO_PROCESS, 0) + 10);
        assert_int_equal(cm_work_run(lane, own_nice, NULL), getpriority(PRIO_PROCESS, 0));
        cm_work_lane_free(&nice);
        cm_loop_stop(loop);
}

static void test_gives_way(void **state CM_UNUSED)
{
        run(gives_way);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_runs_elsewhere),
                cmocka_unit_test(test_gives_way),
                cmocka_unit_test(test_waits_for_begun_work),
                cmocka_unit_test(test_queue_has_a_deadline_and_an_end),
                cmocka_unit_test(test_begun_work_is_left_at_the_deadline),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
