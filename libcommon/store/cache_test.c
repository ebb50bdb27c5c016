#include "store/cache.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/error.h"
#include "store/test_redis.h"
#include "sys/log.h"

static struct test_client client;
static struct cm_cache *cache;
static int loads;

static void ignore_warning(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                           void *arg CM_UNUSED)
{
        /* The test that kills the server announces the loss. */
}

static int set_up(void **state CM_UNUSED)
{
        int r = test_client_set_up(&client);

        loads = 0;
        cm_log_set_hook(ignore_warning, NULL);
        if (r == 0 && client.redis)
                cache = cm_cache_new(client.redis);
        return r;
}

static int tear_down(void **state CM_UNUSED)
{
        cm_cache_free(&cache);
        test_client_tear_down(&client);
        return 0;
}

static void in_fiber(void (*fn)(void))
{
        TEST_CLIENT_RUN(&client, fn);
}

/* Takes a while, so that others come meanwhile; the value counts the loads. */
static int load(void *arg, struct cm_arena *into, struct cm_str *value_r)
{
        assert_int_equal(cm_fiber_sleep(20 * CM_MILLISECOND), 0);
        loads++;
        if (arg)
                return *(int *)arg;
        *value_r = cm_arena_printf(into, "value %d", loads);
        return 0;
}

static void get(const char *expected)
{
        struct cm_str value;

        assert_int_equal(
                cm_cache_get(cache, CM_STR("key"), CM_MINUTE, &client.arena, load, NULL, &value),
                0);
        assert_string_equal(value.data, expected);
}

static void get_first(void *arg CM_UNUSED)
{
        get("value 1");
}

static void one_of_many_loads_fiber(void)
{
        struct cm_group group;

        cm_group_init(&group);
        for (int i = 0; i < 10; i++)
                assert_int_equal(cm_group_start(&group, "get", get_first, NULL), 0);
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(loads, 1);
        get("value 1");
        assert_int_equal(loads, 1);
}

static void one_of_many_loads(void **state CM_UNUSED)
{
        in_fiber(one_of_many_loads_fiber);
}

static void drop_makes_the_next_load_fiber(void)
{
        get("value 1");
        assert_int_equal(cm_cache_drop(cache, CM_STR("key")), 0);
        get("value 2");
        get("value 2");
}

static void drop_makes_the_next_load(void **state CM_UNUSED)
{
        in_fiber(drop_makes_the_next_load_fiber);
}

/* The value that was being loaded is older than the drop: the one who asked gets it, nobody else.
 */
static void load_under_way_is_not_stored_fiber(void)
{
        struct cm_group group;

        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "get", get_first, NULL), 0);
        assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(cm_cache_drop(cache, CM_STR("key")), 0);
        assert_int_equal(cm_group_join(&group), 0);
        get("value 2");
}

static void load_under_way_is_not_stored(void **state CM_UNUSED)
{
        in_fiber(load_under_way_is_not_stored_fiber);
}

static void drop_in_another_process_fiber(void)
{
        struct cm_cache *other = cm_cache_new(client.redis);
        struct cm_group group;

        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "get", get_first, NULL), 0);
        assert_int_equal(cm_fiber_sleep(10 * CM_MILLISECOND), 0);
        assert_int_equal(cm_cache_drop(other, CM_STR("key")), 0);
        assert_int_equal(cm_group_join(&group), 0);
        get("value 2");
        cm_cache_free(&other);
}

static void drop_in_another_process(void **state CM_UNUSED)
{
        in_fiber(drop_in_another_process_fiber);
}

static void outcomes_are_not_cached_fiber(void)
{
        int not_found = 7;
        struct cm_str value;

        for (int i = 1; i <= 2; i++) {
                assert_int_equal(cm_cache_get(cache, CM_STR("key"), CM_MINUTE, &client.arena, load,
                                              &not_found, &value),
                                 7);
                assert_int_equal(loads, i);
        }
}

static void outcomes_are_not_cached(void **state CM_UNUSED)
{
        in_fiber(outcomes_are_not_cached_fiber);
}

static void a_cache_that_is_gone_is_a_miss_fiber(void)
{
        get("value 1");
        test_redis_kill(&client.server);
        get("value 2");
        get("value 3");
        assert_true(cm_cache_drop(cache, CM_STR("key")) < 0);
        test_redis_boot(&client.server);
}

static void a_cache_that_is_gone_is_a_miss(void **state CM_UNUSED)
{
        in_fiber(a_cache_that_is_gone_is_a_miss_fiber);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_of_many_loads, set_up, tear_down),
                cmocka_unit_test_setup_teardown(drop_makes_the_next_load, set_up, tear_down),
                cmocka_unit_test_setup_teardown(load_under_way_is_not_stored, set_up, tear_down),
                cmocka_unit_test_setup_teardown(drop_in_another_process, set_up, tear_down),
                cmocka_unit_test_setup_teardown(outcomes_are_not_cached, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_cache_that_is_gone_is_a_miss, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
