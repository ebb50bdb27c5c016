#include "store/lock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/ratelimit.h"
#include "store/test_redis.h"

static struct test_client client;

static int set_up(void **state CM_UNUSED)
{
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

static int take(const char *holder, int64_t lease_us, int64_t *fence)
{
        return cm_lock_take(client.redis, CM_STR("s1:lock:test"), cm_str_from(holder), lease_us,
                            fence);
}

static void one_holder_and_a_growing_fence_fiber(void)
{
        const struct cm_str name = CM_STR("s1:lock:test");
        int64_t first, second, third;

        assert_int_equal(take("a", CM_MINUTE, &first), 0);
        assert_int_equal(take("b", CM_MINUTE, &second), CM_LOCK_HELD);
        assert_int_equal(cm_lock_extend(client.redis, name, CM_STR("b"), CM_MINUTE), CM_LOCK_HELD);
        assert_int_equal(cm_lock_release(client.redis, name, CM_STR("b")), CM_LOCK_HELD);
        assert_int_equal(cm_lock_extend(client.redis, name, CM_STR("a"), CM_MINUTE), 0);
        assert_int_equal(cm_lock_release(client.redis, name, CM_STR("a")), 0);
        assert_int_equal(take("b", 30 * CM_MILLISECOND, &second), 0);
        assert_true(second > first);
        while (take("a", CM_MINUTE, &third) == CM_LOCK_HELD)
                assert_int_equal(cm_fiber_sleep(5 * CM_MILLISECOND), 0);
        assert_true(third > second);
        assert_int_equal(cm_lock_release(client.redis, name, CM_STR("b")), CM_LOCK_HELD);
}

static void one_holder_and_a_growing_fence(void **state CM_UNUSED)
{
        in_fiber(one_holder_and_a_growing_fence_fiber);
}

/* ---- store/ratelimit */

static struct cm_rate_decision ask(int64_t limit, int64_t window_us)
{
        struct cm_rate_decision decision;

        assert_int_equal(cm_rate_limit(client.redis, CM_STR("s1:rate_limit:test"), limit, window_us,
                                       &decision),
                         0);
        assert_int_equal(decision.limit, limit);
        return decision;
}

static void limit_is_exact_fiber(void)
{
        struct cm_rate_decision decision;

        for (int i = 0; i < 5; i++) {
                decision = ask(5, CM_MINUTE);
                assert_true(decision.allowed);
                assert_int_equal(decision.remaining, 4 - i);
        }
        assert_in_range(decision.reset_us, 55 * CM_SECOND, CM_MINUTE);
        for (int i = 0; i < 3; i++) {
                decision = ask(5, CM_MINUTE);
                assert_false(decision.allowed);
                assert_int_equal(decision.remaining, 0);
        }
        assert_in_range(decision.reset_us, 55 * CM_SECOND, CM_MINUTE);
        assert_true(ask(6, CM_MINUTE).allowed);
}

static void limit_is_exact(void **state CM_UNUSED)
{
        in_fiber(limit_is_exact_fiber);
}

/* In any window of that length at most `limit` pass, and each that leaves makes room for one. */
static void window_slides_fiber(void)
{
        enum { WINDOW_US = 100 * CM_MILLISECOND, LIMIT = 4 };
        int64_t allowed_at[64], end = cm_monotonic_us() + 5 * WINDOW_US;
        size_t count = 0;

        while (cm_monotonic_us() < end && count < CM_COUNT(allowed_at)) {
                int64_t before = cm_monotonic_us();

                if (ask(LIMIT, WINDOW_US).allowed)
                        allowed_at[count++] = before;
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        }
        assert_in_range(count, 3 * LIMIT, 6 * LIMIT);
        for (size_t i = LIMIT; i < count; i++)
                assert_true(allowed_at[i] - allowed_at[i - LIMIT] > WINDOW_US - 5 * CM_MILLISECOND);
}

static void window_slides(void **state CM_UNUSED)
{
        in_fiber(window_slides_fiber);
}

static int64_t take_several(int64_t want, int64_t window_us)
{
        struct cm_rate_decision decision;

        assert_int_equal(cm_rate_limit_take(client.redis, CM_STR("s1:rate_limit:several"), 10,
                                            window_us, want, &decision),
                         0);
        return decision.granted;
}

/* As many as there is room for; and in a window of no time there is room for all. */
static void several_are_counted_fiber(void)
{
        for (int turn = 0; turn < 3; turn++) {
                assert_int_equal(take_several(4, CM_MINUTE), 4);
                assert_int_equal(take_several(5, CM_MINUTE), 5);
                assert_int_equal(take_several(5, CM_MINUTE), 1);
                assert_int_equal(take_several(5, CM_MINUTE), 0);
                assert_int_equal(take_several(11, 0), 10);
        }
}

/* It is in nobody's way. */
static void what_is_no_entry_is_dropped_fiber(void)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena = { 0 };
        struct cm_redis_reply reply;

        cm_arena_init(&arena, 1024);
        assert_int_equal(cm_redis_call(client.redis, &arena, &reply, CM_STR("RPUSH"),
                                       CM_STR("s1:rate_limit:several"),
                                       CM_STR("9999999999999999 5"), CM_STR_NONE),
                         0);
        assert_int_equal(take_several(4, CM_MINUTE), 4);
        assert_int_equal(take_several(9, CM_MINUTE), 6);
        assert_int_equal(take_several(1, CM_MINUTE), 0);
}

static void what_is_no_entry_is_dropped(void **state CM_UNUSED)
{
        in_fiber(what_is_no_entry_is_dropped_fiber);
}

static void several_are_counted(void **state CM_UNUSED)
{
        in_fiber(several_are_counted_fiber);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_holder_and_a_growing_fence, set_up, tear_down),
                cmocka_unit_test_setup_teardown(limit_is_exact, set_up, tear_down),
                cmocka_unit_test_setup_teardown(window_slides, set_up, tear_down),
                cmocka_unit_test_setup_teardown(several_are_counted, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_entry_is_dropped, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
