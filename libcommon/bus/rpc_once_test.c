#include "bus/rpc_once.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "errors.h"
#include "store/migrate.h"
#include "store/test_redis.h"
#include "sys/log.h"

/* Once in effect, against a real server: TEST_POSTGRES is a conninfo of a superuser. */

struct reply {
        int64_t n;
};

static const struct cm_schema number_schema = { .name = "n",
                                                .type = CM_TYPE_INTEGER,
                                                .size = sizeof(int64_t) };
static const struct cm_member members[] = {
        { "n", &number_schema, 0, CM_NO_OFFSET, .required = true },
};
static const struct cm_schema reply_schema = { .name = "Reply",
                                               .type = CM_TYPE_OBJECT,
                                               .size = sizeof(struct reply),
                                               .members = members,
                                               .member_count = 1 };
static const struct cm_rpc_method write_method = { .type = "test.write.v1",
                                                   .reply = &reply_schema,
                                                   .idempotent = true };
static const struct cm_rpc_method other_method = { .type = "test.other.v1",
                                                   .reply = &reply_schema,
                                                   .idempotent = true };

static struct cm_loop *loop;
static struct cm_pg *pg;
static struct cm_arena arena;
static char up[8192], down[1024];
static struct cm_migration migration = { 1, "once", up, down };
static const struct cm_migrations migrations = { &migration, 1 };

static void read_file(const char *path, char *into, size_t size)
{
        FILE *file = fopen(path, "r");

        assert_non_null(file);
        into[fread(into, 1, size - 1, file)] = '\0';
        fclose(file);
}

static void ignore_log(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                       void *arg CM_UNUSED)
{
}

static int set_up(void **state CM_UNUSED)
{
        const struct cm_pg_config config = { .conninfo = getenv("TEST_POSTGRES"),
                                             .connections = 1,
                                             .tx_connections = 2 };

        if (!config.conninfo)
                return 0;
        read_file("libcommon/http/idempotency.up.sql", up, sizeof(up));
        strcat(up, "CREATE TABLE rpc_once_effect (n bigint);");
        read_file("libcommon/http/idempotency.down.sql", down, sizeof(down));
        strcat(down, "DROP TABLE rpc_once_effect;");
        cm_log_set_hook(ignore_log, NULL);
        loop = test_loop_new();
        cm_arena_init(&arena, 4096);
        return cm_migrate_up(config.conninfo, &migrations) || cm_pg_new(loop, &config, &pg) ? -1
                                                                                            : 0;
}

static int tear_down(void **state CM_UNUSED)
{
        if (!getenv("TEST_POSTGRES"))
                return 0;
        cm_pg_free(&pg);
        cm_arena_deinit(&arena);
        test_loop_free(&loop);
        return cm_migrate_down(getenv("TEST_POSTGRES"), &migrations, 1);
}

static void in_fiber(void (*fn)(void))
{
        if (!getenv("TEST_POSTGRES"))
                skip();
        test_run(loop, fn);
}

static const struct cm_pg_statement effect = {
        .name = "effect",
        .sql = "INSERT INTO rpc_once_effect SELECT count(*) + 1 FROM rpc_once_effect RETURNING n",
        .writes = true,
};

static struct cm_rpc_request request(const struct cm_rpc_method *method, const char *key,
                                     const char *body)
{
        return (struct cm_rpc_request){ .method = method,
                                        .arena = &arena,
                                        .user = { { 7 } },
                                        .key = cm_str_from(key),
                                        .body = cm_str_from(body) };
}

/* A handler as it should be; pauses in the middle. */
static int serve_slowly(struct cm_rpc_request *call, int64_t pause_us, struct reply *out)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        const struct cm_pg_scope scope = { &call->user, 1, NULL };
        int r = cm_pg_begin(pg, &scope, &tx);

        if (r == 0)
                r = cm_rpc_claim(call, tx);
        if (r == 0)
                r = cm_pg_tx_query(tx, &effect, NULL, &result);
        if (r == 0 && pause_us)
                r = cm_fiber_sleep(pause_us);
        if (r)
                return r;
        out->n = cm_pg_int(&result, 0, 0);
        return cm_rpc_commit(call, &tx, out);
}

static int serve(struct cm_rpc_request *call, struct reply *out)
{
        return serve_slowly(call, 0, out);
}

static int64_t effects(void)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        static const struct cm_pg_statement count = {
                .name = "count", .sql = "SELECT count(*) FROM rpc_once_effect"
        };

        assert_int_equal(cm_pg_query(pg, NULL, &count, NULL, &result), 0);
        return cm_pg_int(&result, 0, 0);
}

static void await_database(void)
{
        while (!cm_pg_is_ready(pg))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void again_is_the_first_reply(void)
{
        struct cm_rpc_request first = request(&write_method, "k", "{}"), again = first;
        struct cm_rpc_request other = request(&write_method, "k", "{ }");
        struct cm_rpc_request method = request(&other_method, "k", "{}");
        struct reply reply = { 0 };

        await_database();
        assert_int_equal(serve(&first, &reply), 0);
        assert_true(cm_str_equal(first.replay, CM_STR("{\"n\":1}")));
        assert_int_equal(serve(&again, &reply), CM_RPC_REPLAYED);
        assert_true(cm_str_equal(again.replay, CM_STR("{\"n\":1}")));
        assert_int_equal(effects(), 1);
        /* The key of another request is refused; another method may use it. */
        assert_int_equal(serve(&other, &reply), CM_RPC_REFUSED);
        assert_true(cm_str_equal(other.problem.code, CM_STR(CM_CODE_IDEMPOTENCY_CONFLICT)));
        assert_int_equal(serve(&method, &reply), 0);
        assert_int_equal(effects(), 2);
}

static void test_again_is_the_first_reply(void **state CM_UNUSED)
{
        in_fiber(again_is_the_first_reply);
}

static int slow_result;

static void slow_body(void *arg CM_UNUSED)
{
        struct cm_rpc_request slow = request(&write_method, "slow", "{}");
        struct reply reply;

        slow_result = serve_slowly(&slow, 300 * CM_MILLISECOND, &reply);
}

static void two_at_once_have_one_effect(void)
{
        struct cm_rpc_request second;
        struct cm_group group;
        struct reply reply;
        int r = 0;

        await_database();
        cm_group_init(&group);
        assert_int_equal(cm_group_start(&group, "slow", slow_body, NULL), 0);
        assert_int_equal(cm_fiber_yield(), 0);
        /* Whoever of the two is first: the other is told to come again, and then gets the reply. */
        while (r != CM_RPC_REPLAYED) {
                second = request(&write_method, "slow", "{}");
                r = serve(&second, &reply);
                if (r != CM_RPC_REFUSED)
                        continue;
                assert_true(
                        cm_str_equal(second.problem.code, CM_STR(CM_CODE_IDEMPOTENCY_IN_PROGRESS)));
                assert_int_equal(second.problem.retry_after_s, 1);
        }
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(effects(), 1);
}

static void test_two_at_once_have_one_effect(void **state CM_UNUSED)
{
        in_fiber(two_at_once_have_one_effect);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_again_is_the_first_reply, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_two_at_once_have_one_effect, set_up,
                                                tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
