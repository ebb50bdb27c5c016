#include "sys/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/time.h"

static struct cm_loop *loop;
static char trace[128];
static int outcome;
static struct cm_cond cond;

static void note(const char *text)
{
        strncat(trace, text, sizeof(trace) - strlen(trace) - 1);
}

static int64_t soon(int64_t delay_us)
{
        return cm_monotonic_us() + delay_us;
}

static int set_up(void **state CM_UNUSED)
{
        const struct cm_fiber_pool_config config = { 65536, 8, 4 };

        trace[0] = '\0';
        outcome = 99;
        cm_cond_init(&cond);
        assert_int_equal(cm_loop_new(&loop), 0);
        return cm_fiber_pool_init(loop, &config);
}

static int tear_down(void **state CM_UNUSED)
{
        cm_fiber_pool_deinit(loop);
        cm_loop_free(&loop);
        return 0;
}

/* Runs `fn` as the first fiber and the loop until it has ended. */
struct main_fiber {
        cm_fiber_fn *fn;
        int64_t deadline_us;
};

static void main_fiber(void *arg)
{
        const struct main_fiber *job = arg;

        job->fn(NULL);
        cm_loop_stop(loop);
}

static void start_main(void *arg)
{
        const struct main_fiber *job = arg;

        assert_int_equal(cm_fiber_start("test", main_fiber, arg, job->deadline_us), 0);
}

static void run(cm_fiber_fn *fn, int64_t deadline_us)
{
        struct main_fiber job = { fn, deadline_us };

        cm_loop_defer(loop, start_main, &job);
        cm_loop_run(loop);
}

static void sleeps_twice(void *arg CM_UNUSED)
{
        assert_non_null(cm_fiber_self());
        note("a");
        assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        note("b");
        assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        note("c");
}

static void test_a_fiber_is_a_straight_line(void **state CM_UNUSED)
{
        run(sleeps_twice, CM_NEVER);
        assert_string_equal(trace, "abc");
        assert_null(cm_fiber_self());
}

static void sleeps_too_long(void *arg CM_UNUSED)
{
        int64_t begin = cm_monotonic_us();

        outcome = cm_fiber_sleep(10 * CM_SECOND);
        assert_true(cm_monotonic_us() - begin < 5 * CM_SECOND);
        /* Each later wait ends at once as well. */
        assert_int_equal(cm_fiber_sleep(CM_SECOND), -CM_E_DEADLINE);
}

static void test_every_wait_ends_at_the_deadline(void **state CM_UNUSED)
{
        run(sleeps_too_long, soon(20 * CM_MILLISECOND));
        assert_int_equal(outcome, -CM_E_DEADLINE);
}

static void waits_for_cond(void *arg)
{
        assert_int_equal(cm_cond_wait(&cond), 0);
        note(arg);
}

static void signals(void *arg CM_UNUSED)
{
        struct cm_group group;

        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "1", waits_for_cond, "1"), 0);
        assert_int_equal(cm_group_start(&group, "2", waits_for_cond, "2"), 0);
        assert_int_equal(cm_group_start(&group, "3", waits_for_cond, "3"), 0);
        assert_int_equal(cm_fiber_yield(), 0);
        cm_cond_signal(&cond);
        assert_int_equal(cm_fiber_yield(), 0);
        note("|");
        cm_cond_broadcast(&cond);
        assert_int_equal(cm_group_join(&group), 0);
        note("end");
}

static void test_conditions_wake_in_order(void **state CM_UNUSED)
{
        run(signals, CM_NEVER);
        assert_string_equal(trace, "1|23end");
}

static void sleeps_for_ever(void *arg CM_UNUSED)
{
        outcome = cm_fiber_sleep(1000 * CM_SECOND);
        note("child");
}

static void joins_too_long(void *arg CM_UNUSED)
{
        struct cm_group group;

        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "child", sleeps_for_ever, NULL), 0);
        assert_int_equal(cm_group_join(&group), -CM_E_DEADLINE);
        note(" parent");
}

static void test_a_join_that_ends_early_leaves_no_child_behind(void **state CM_UNUSED)
{
        struct cm_fiber_stats stats;

        run(joins_too_long, soon(20 * CM_MILLISECOND));
        assert_string_equal(trace, "child parent");
        assert_true(outcome == -CM_E_CANCELLED || outcome == -CM_E_DEADLINE);
        cm_fiber_stats(loop, &stats);
        assert_int_equal(stats.running, 0);
        assert_int_equal(stats.most_running, 2);
}

static struct cm_fiber *victim;

static void is_cancelled(void *arg CM_UNUSED)
{
        victim = cm_fiber_self();
        assert_int_equal(cm_fiber_sleep(10 * CM_SECOND), -CM_E_CANCELLED);
        cm_fiber_shield();
        assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        note("finished");
}

static void cancels(void *arg CM_UNUSED)
{
        struct cm_group group;

        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "victim", is_cancelled, NULL), 0);
        assert_int_equal(cm_fiber_yield(), 0);
        cm_fiber_cancel(victim);
        assert_int_equal(cm_group_join(&group), 0);
}

static void test_a_cancelled_fiber_may_shield_its_ending(void **state CM_UNUSED)
{
        run(cancels, CM_NEVER);
        assert_string_equal(trace, "finished");
}

static void fills_the_pool(void *arg CM_UNUSED)
{
        struct cm_group group;
        int started = 0;

        cm_group_init(&group);
        while (cm_group_start(&group, "filler", waits_for_cond, "x") == 0)
                started++;
        assert_int_equal(started, 7); /* eight with this one */
        assert_int_equal(cm_fiber_yield(), 0);
        cm_cond_broadcast(&cond);
        assert_int_equal(cm_group_join(&group), 0);
}

static void test_the_pool_has_an_end(void **state CM_UNUSED)
{
        struct cm_fiber_stats stats;

        for (int i = 0; i < 3; i++)
                run(fills_the_pool, CM_NEVER);
        cm_fiber_stats(loop, &stats);
        assert_int_equal(stats.most_running, 8);
}

static void child_context(void *arg CM_UNUSED)
{
        note(cm_fiber_context()->request_id);
        strcpy(cm_fiber_context()->request_id, "child");
}

static void parent_context(void *arg CM_UNUSED)
{
        struct cm_group group;

        strcpy(cm_fiber_context()->request_id, "r-1");
        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "child", child_context, NULL), 0);
        assert_int_equal(cm_group_join(&group), 0);
        note(cm_fiber_context()->request_id);
}

static void test_children_get_a_copy_of_the_context(void **state CM_UNUSED)
{
        run(parent_context, CM_NEVER);
        assert_string_equal(trace, "r-1r-1");
}

static int depth(int n)
{
        volatile char room[512];

        memset((char *)room, n, sizeof(room));
        return n ? depth(n - 1) + room[1] : room[0];
}

static void uses_stack(void *arg CM_UNUSED)
{
        outcome = depth(20);
        assert_int_equal(cm_fiber_sleep(1), 0);
}

static void test_stacks_are_used_again_and_measured(void **state CM_UNUSED)
{
        struct cm_fiber_stats stats;

        for (int i = 0; i < 2000; i++)
                run(uses_stack, CM_NEVER);
        cm_fiber_stats(loop, &stats);
        assert_int_equal(stats.running, 0);
        assert_int_equal(stats.most_running, 1);
#if !defined(CM_ASAN) && !defined(CM_TSAN)
        assert_in_range(stats.stack_high_water, 20 * 512, 60000);
#endif
}

static void nested_inner(void *arg CM_UNUSED)
{
        note("in ");
        assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        note("later ");
        cm_cond_signal(&cond);
}

static void nested_outer(void *arg CM_UNUSED)
{
        assert_int_equal(cm_fiber_enter("inner", nested_inner, NULL, CM_NEVER), 0);
        note("out ");
        assert_int_equal(cm_cond_wait(&cond), 0);
        note("end");
}

static void test_enter_runs_until_the_first_wait(void **state CM_UNUSED)
{
        run(nested_outer, CM_NEVER);
        assert_string_equal(trace, "in out later end");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(test_a_fiber_is_a_straight_line),
                TEST(test_every_wait_ends_at_the_deadline),
                TEST(test_conditions_wake_in_order),
                TEST(test_a_join_that_ends_early_leaves_no_child_behind),
                TEST(test_a_cancelled_fiber_may_shield_its_ending),
                TEST(test_the_pool_has_an_end),
                TEST(test_children_get_a_copy_of_the_context),
                TEST(test_stacks_are_used_again_and_measured),
                TEST(test_enter_runs_until_the_first_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
