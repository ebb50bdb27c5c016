#include "store/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "sys/fiber.h"
#include "sys/log.h"

/* Against a real server: TEST_POSTGRES is a conninfo of a superuser. */

static struct cm_loop *loop;
static struct cm_pg *pg;

static const struct cm_uuid alice = { { 1 } }, bob = { { 2 } };

struct job {
        cm_fiber_fn *fn;
};

static void wait_until_ready(void)
{
        while (!cm_pg_is_ready(pg))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void wait_until_idle(void)
{
        /* Rollbacks that nobody waited for. */
        assert_int_equal(cm_fiber_sleep(20 * CM_MILLISECOND), 0);
}

static void main_fiber(void *arg)
{
        wait_until_ready();
        ((struct job *)arg)->fn(NULL);
        wait_until_idle();
        cm_loop_stop(loop);
}

static void start_main(void *arg)
{
        assert_int_equal(cm_fiber_start("test", main_fiber, arg, CM_NEVER), 0);
}

static void run(cm_fiber_fn *fn)
{
        struct job job = { fn };

        cm_loop_defer(loop, start_main, &job);
        cm_loop_run(loop);
}

static void execute(const char *sql)
{
        struct cm_pg_tx *tx = NULL;

        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(cm_pg_tx_exec(tx, sql), 0);
        assert_int_equal(cm_pg_commit(&tx), 0);
}

static int64_t number(const char *sql)
{
        const struct cm_pg_statement statement = { .name = sql, .sql = sql };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(pg, NULL, &statement, NULL, &result), 0);
        assert_int_equal(result.rows, 1);
        return cm_pg_int(&result, 0, 0);
}

static int set_up(void **state CM_UNUSED)
{
        const struct cm_fiber_pool_config fibers = { 65536, 600, 64 };
        const struct cm_pg_config config = {
                .conninfo = getenv("TEST_POSTGRES"),
                .connections = 2,
                .tx_connections = 2,
        };

        cm_log_set_level(CM_LOG_ERROR);
        assert_non_null(config.conninfo);
        assert_int_equal(cm_loop_new(&loop), 0);
        assert_int_equal(cm_fiber_pool_init(loop, &fibers), 0);
        return cm_pg_new(loop, &config, &pg);
}

static int tear_down(void **state CM_UNUSED)
{
        cm_pg_free(&pg);
        cm_fiber_pool_deinit(loop);
        cm_loop_free(&loop);
        return 0;
}

/* ---- values */

static const struct cm_pg_statement echo = {
        .name = "echo",
        .sql = "SELECT $1::text, $2::bool, $3::int2, $4::int4, $5::int8, $6::timestamptz, $7::date,"
               " $8::uuid, $9::jsonb, $10::text, $11::bytea, 0.1::float8",
};

static void values(void *arg CM_UNUSED)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        struct cm_uuid uuid;
        cm_time time;
        cm_date date;

        assert_true(cm_time_parse(CM_STR("1969-07-20T20:17:40.123456Z"), &time, NULL));
        assert_true(cm_date_parse(CM_STR("1999-12-31"), &date));
        cm_pg_put_text(&params, CM_STR("naïve"));
        cm_pg_put_bool(&params, true);
        cm_pg_put_int2(&params, -2);
        cm_pg_put_int4(&params, INT32_MIN);
        cm_pg_put_int8(&params, INT64_MAX);
        cm_pg_put_time(&params, time);
        cm_pg_put_date(&params, date);
        cm_pg_put_uuid(&params, &alice);
        cm_pg_put_jsonb(&params, CM_STR("{\"value\": 0.1}"));
        cm_pg_put_null(&params);
        cm_pg_put_bytes(&params, (struct cm_str){ "\0\1", 2 });
        assert_int_equal(cm_pg_query(pg, NULL, &echo, &params, &result), 0);
        assert_int_equal(result.rows, 1);
        assert_true(cm_str_equal(cm_pg_text(&result, 0, 0), CM_STR("naïve")));
        assert_true(cm_pg_bool(&result, 0, 1));
        assert_int_equal(cm_pg_int(&result, 0, 2), -2);
        assert_int_equal(cm_pg_int(&result, 0, 3), INT32_MIN);
        assert_true(cm_pg_int(&result, 0, 4) == INT64_MAX);
        assert_true(cm_pg_time(&result, 0, 5) == time);
        assert_int_equal(cm_pg_date(&result, 0, 6), date);
        uuid = cm_pg_uuid(&result, 0, 7);
        assert_true(cm_uuid_equal(&uuid, &alice));
        assert_true(cm_str_equal(cm_pg_jsonb(&result, 0, 8), CM_STR("{\"value\": 0.1}")));
        assert_true(cm_pg_is_null(&result, 0, 9));
        assert_null(cm_pg_text(&result, 0, 9).data);
        assert_int_equal(cm_pg_text(&result, 0, 10).len, 2);
        assert_true(cm_pg_real(&result, 0, 11) == 0.1);
}

static void test_values_come_back_as_they_went(void **state CM_UNUSED)
{
        run(values);
}

static const struct cm_pg_statement arrays = {
        .name = "arrays",
        .sql = "SELECT t, n, u, j FROM unnest($1::text[], $2::int8[], $3::uuid[], $4::jsonb[])"
               " AS x(t, n, u, j)",
};

static void array_values(void *arg CM_UNUSED)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        cm_pg_array_begin(&params, CM_PG_TEXT_ARRAY);
        cm_pg_array_text(&params, CM_STR("a"));
        cm_pg_array_null(&params);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_INT8_ARRAY);
        cm_pg_array_int(&params, 7);
        cm_pg_array_int(&params, -7);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        cm_pg_array_uuid(&params, NULL);
        cm_pg_array_uuid(&params, &bob);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_JSONB_ARRAY);
        cm_pg_array_text(&params, CM_STR("[1]"));
        cm_pg_array_text(&params, CM_STR("{}"));
        cm_pg_array_end(&params);
        assert_int_equal(cm_pg_query(pg, NULL, &arrays, &params, &result), 0);
        assert_int_equal(result.rows, 2);
        assert_true(cm_str_equal(cm_pg_text(&result, 0, 0), CM_STR("a")));
        assert_true(cm_pg_is_null(&result, 1, 0));
        assert_int_equal(cm_pg_int(&result, 1, 1), -7);
        assert_true(cm_pg_is_null(&result, 0, 2));
        assert_true(cm_str_equal(cm_pg_jsonb(&result, 0, 3), CM_STR("[1]")));
}

static void test_arrays_unnest(void **state CM_UNUSED)
{
        run(array_values);
}

/* ---- flights */

static const struct cm_pg_statement insert_thing = {
        .name = "insert_thing",
        .sql = "INSERT INTO things (id) VALUES ($1::int4)",
        .writes = true,
};
static const struct cm_pg_statement who = {
        .name = "who",
        .sql = "SELECT current_setting('app.users'), current_setting('app.role')",
};

static int insert_pair(int first, int second, size_t *failed_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params a = { 0 }, b = { 0 };
        const struct cm_pg_flight_item items[] = { { &insert_thing, &a, NULL },
                                                   { &insert_thing, &b, NULL } };

        cm_pg_put_int4(&a, first);
        cm_pg_put_int4(&b, second);
        return cm_pg_flight(pg, NULL, items, 2, failed_r);
}

static void flights(void *arg CM_UNUSED)
{
        size_t failed = 9;

        execute("DROP TABLE IF EXISTS things; ");
        execute("CREATE TABLE things (id int4 PRIMARY KEY CHECK (id < 100))");
        assert_int_equal(insert_pair(1, 2, NULL), 0);
        assert_int_equal(insert_pair(3, 2, &failed), CM_PG_DUPLICATE);
        assert_int_equal(failed, 1);
        assert_int_equal(insert_pair(100, 4, &failed), CM_PG_REFUSED);
        assert_int_equal(failed, 0);
        assert_int_equal(number("SELECT count(*) FROM things"), 2);
}

static void test_a_flight_is_all_or_nothing(void **state CM_UNUSED)
{
        run(flights);
}

static void scope(void *arg CM_UNUSED)
{
        const struct cm_uuid both[] = { alice, bob };
        const struct cm_pg_scope two = { both, 2, "service" };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(pg, &two, &who, NULL, &result), 0);
        assert_true(cm_str_equal(cm_pg_text(&result, 0, 0),
                                 CM_STR("{01000000-0000-0000-0000-000000000000,"
                                        "02000000-0000-0000-0000-000000000000}")));
        assert_true(cm_str_equal(cm_pg_text(&result, 0, 1), CM_STR("service")));
        cm_pg_result_clear(&result);
        assert_int_equal(cm_pg_query(pg, NULL, &who, NULL, &result), 0);
        assert_true(cm_str_equal(cm_pg_text(&result, 0, 0), CM_STR("{}")));
        assert_true(cm_str_equal(cm_pg_text(&result, 0, 1), CM_STR("user")));
}

static void test_a_transaction_names_its_users(void **state CM_UNUSED)
{
        run(scope);
}

static void bad_statement(void *arg CM_UNUSED)
{
        static const struct cm_pg_statement nonsense = { .name = "nonsense", .sql = "SELEKT 1" };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(pg, NULL, &nonsense, NULL, &result), -CM_E_DATABASE);
        /* And again: it is not believed to be prepared. */
        assert_int_equal(cm_pg_query(pg, NULL, &nonsense, NULL, &result), -CM_E_DATABASE);
        assert_int_equal(number("SELECT 5"), 5);
}

static void ignore_log(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                       void *arg CM_UNUSED)
{
}

static void test_a_fault_of_ours_is_a_database_error(void **state CM_UNUSED)
{
        cm_log_set_hook(ignore_log, NULL);
        run(bad_statement);
        cm_log_set_hook(NULL, NULL);
}

static const struct cm_pg_statement nap = { .name = "nap", .sql = "SELECT pg_sleep(5)" };
static const struct cm_pg_statement nap_writing = {
        .name = "nap_writing",
        .sql = "SELECT pg_sleep(5)",
        .writes = true,
};

static void deadlines(void *arg CM_UNUSED)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int64_t begin = cm_monotonic_us();

        cm_fiber_set_deadline(begin + 100 * CM_MILLISECOND);
        assert_int_equal(cm_pg_query(pg, NULL, &nap, NULL, &result), -CM_E_DEADLINE);
        cm_fiber_set_deadline(cm_monotonic_us() + 100 * CM_MILLISECOND);
        /* The server cancels just before, so even a write has a certain answer. */
        assert_int_equal(cm_pg_query(pg, NULL, &nap_writing, NULL, &result), -CM_E_DEADLINE);
        cm_fiber_set_deadline(CM_NEVER);
        assert_true(cm_monotonic_us() - begin < CM_SECOND);
        assert_int_equal(number("SELECT count(*) FROM pg_stat_activity"
                                " WHERE query LIKE '%pg_sleep(5)%' AND state = 'active'"
                                " AND pid <> pg_backend_pid()"),
                         0);
}

static void test_a_deadline_cancels_on_the_server(void **state CM_UNUSED)
{
        run(deadlines);
}

static const struct cm_pg_statement kill_me = {
        .name = "kill_me",
        .sql = "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)",
};
static const struct cm_pg_statement kill_me_writing = {
        .name = "kill_me_writing",
        .sql = "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)",
        .writes = true,
};

static void losses(void *arg CM_UNUSED)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(pg, NULL, &kill_me, NULL, &result), -CM_E_UNAVAILABLE);
        wait_until_ready();
        assert_int_equal(cm_pg_query(pg, NULL, &kill_me_writing, NULL, &result), -CM_E_UNCERTAIN);
        wait_until_ready();
        assert_int_equal(number("SELECT 6"), 6);
}

static void test_a_lost_connection_comes_back(void **state CM_UNUSED)
{
        cm_log_set_hook(ignore_log, NULL);
        run(losses);
        cm_log_set_hook(NULL, NULL);
}

/* ---- transactions */

static int insert_in(struct cm_pg_tx *tx, int id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_int4(&params, id);
        return cm_pg_tx_query(tx, &insert_thing, &params, NULL);
}

static void leave_open(void)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;

        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(insert_in(tx, 11), 0);
}

static void transactions(void *arg CM_UNUSED)
{
        struct cm_pg_tx *tx = NULL;

        execute("DROP TABLE IF EXISTS things");
        execute("CREATE TABLE things (id int4 PRIMARY KEY CHECK (id < 100))");
        for (int i = 0; i < 5; i++)
                leave_open();
        assert_int_equal(number("SELECT count(*) FROM things"), 0);

        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(insert_in(tx, 1), 0);
        assert_int_equal(cm_pg_savepoint(tx), 0);
        assert_int_equal(insert_in(tx, 1), CM_PG_DUPLICATE);
        assert_int_equal(insert_in(tx, 2), -CM_E_UNAVAILABLE);
        assert_int_equal(cm_pg_rollback_to_savepoint(tx), 0);
        assert_int_equal(insert_in(tx, 2), 0);
        assert_int_equal(cm_pg_commit(&tx), 0);
        assert_null(tx);
        assert_int_equal(number("SELECT count(*) FROM things"), 2);

        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(insert_in(tx, 1), CM_PG_DUPLICATE);
        assert_int_equal(cm_pg_commit(&tx), -CM_E_UNAVAILABLE);
        assert_null(tx);
}

static void begin_and_commit_with_statements(void *arg CM_UNUSED)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params three = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params four = { 0 };
        const struct cm_pg_flight_item first = { &insert_thing, &three, NULL };
        const struct cm_pg_flight_item last = { &insert_thing, &four, NULL };
        struct cm_pg_tx *tx = NULL;

        execute("DROP TABLE IF EXISTS things");
        execute("CREATE TABLE things (id int4 PRIMARY KEY CHECK (id < 100))");
        cm_pg_put_int4(&three, 3);
        cm_pg_put_int4(&four, 4);
        assert_int_equal(cm_pg_begin_with(pg, NULL, &first, &tx), 0);
        assert_int_equal(number("SELECT count(*) FROM things"), 0);
        assert_int_equal(cm_pg_commit_with(&tx, &last), 0);
        assert_null(tx);
        assert_int_equal(number("SELECT count(*) FROM things"), 2);

        /* Refused at either end, nothing of it stays, and the connection can be leased again. */
        assert_int_equal(cm_pg_begin_with(pg, NULL, &first, &tx), CM_PG_DUPLICATE);
        assert_null(tx);
        for (int i = 0; i < 5; i++) {
                assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
                assert_int_equal(insert_in(tx, 5), 0);
                assert_int_equal(cm_pg_commit_with(&tx, &last), CM_PG_DUPLICATE);
                assert_null(tx);
        }
        assert_int_equal(number("SELECT count(*) FROM things"), 2);
}

static void test_begin_and_commit_with_statements(void **state CM_UNUSED)
{
        run(begin_and_commit_with_statements);
}

static void test_transactions(void **state CM_UNUSED)
{
        run(transactions);
}

static void lease_and_hold(void *arg)
{
        struct cm_pg_tx *tx = NULL;

        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(cm_fiber_sleep(2 * CM_MILLISECOND), 0);
        assert_int_equal(cm_pg_commit(&tx), 0);
        ++*(int *)arg;
}

static void leases(void *arg CM_UNUSED)
{
        struct cm_group group;
        int done = 0;

        cm_group_init(&group);
        for (int i = 0; i < 20; i++)
                assert_int_equal(cm_group_start(&group, "lease", lease_and_hold, &done), 0);
        assert_int_equal(cm_group_join(&group), 0);
        assert_int_equal(done, 20);
}

static void test_more_transactions_than_connections_take_turns(void **state CM_UNUSED)
{
        run(leases);
}

static void copies(void *arg CM_UNUSED)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf rows = { 0 };
        struct cm_pg_tx *tx = NULL;
        int64_t count = 0;

        execute("DROP TABLE IF EXISTS copied");
        execute("CREATE TABLE copied (id int8, name text, at timestamptz, who uuid, data jsonb)");
        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(cm_pg_copy_start(tx, "COPY copied FROM STDIN (FORMAT binary)"), 0);
        cm_pg_copy_header(&rows);
        for (int64_t i = 0; i < 20000; i++) {
                cm_pg_copy_row(&rows, 5);
                cm_pg_copy_int8(&rows, i);
                cm_pg_copy_bytes(&rows, CM_STR("a name of some length, so that it fills buffers"));
                cm_pg_copy_time(&rows, i * CM_SECOND);
                cm_pg_copy_uuid(&rows, &alice);
                cm_pg_copy_jsonb(&rows, CM_STR("{\"value\":1.5}"));
                if (rows.len < 60000)
                        continue;
                assert_int_equal(cm_pg_copy_put(tx, cm_buf_str(&rows)), 0);
                cm_buf_reset(&rows);
        }
        cm_pg_copy_trailer(&rows);
        assert_int_equal(cm_pg_copy_put(tx, cm_buf_str(&rows)), 0);
        assert_int_equal(cm_pg_copy_end(tx, &count), 0);
        assert_int_equal(count, 20000);
        assert_int_equal(cm_pg_commit(&tx), 0);
        assert_int_equal(number("SELECT count(*) FROM copied WHERE data->>'value' = '1.5'"), 20000);

        /* Broken rows refuse the transaction, and the connection lives on. */
        assert_int_equal(cm_pg_begin(pg, NULL, &tx), 0);
        assert_int_equal(cm_pg_copy_start(tx, "COPY copied FROM STDIN (FORMAT binary)"), 0);
        assert_int_equal(cm_pg_copy_put(tx, CM_STR("this is no row")), 0);
        assert_int_equal(cm_pg_copy_end(tx, &count), CM_PG_REFUSED);
        cm_pg_rollback(&tx);
        assert_int_equal(number("SELECT count(*) FROM copied"), 20000);
}

static void test_copy(void **state CM_UNUSED)
{
        run(copies);
}

/* ---- gathering */

struct thing {
        int id;
        bool was_there;
};

static const struct cm_pg_statement gather_things = {
        .name = "gather_things",
        .sql = "WITH rows AS (SELECT id, place FROM unnest($1::int4[]) WITH ORDINALITY AS x(id, "
               "place)),"
               " added AS (INSERT INTO things SELECT id FROM rows ON CONFLICT DO NOTHING RETURNING "
               "id)"
               " SELECT added.id IS NULL FROM rows LEFT JOIN added USING (id) ORDER BY place",
        .writes = true,
};

static void encode_things(void *const *rows, size_t count, struct cm_pg_params *params)
{
        cm_pg_array_begin(params, CM_PG_INT4_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(params, ((struct thing *)rows[i])->id);
        cm_pg_array_end(params);
}

static int answer_thing(void *row, size_t index, const struct cm_pg_result *result)
{
        ((struct thing *)row)->was_there = result->rows && cm_pg_bool(result, (int)index, 0);
        return 0;
}

static const struct cm_uuid *user_of_thing(const void *row CM_UNUSED)
{
        return &alice;
}

static void count_commit(void *arg)
{
        ++*(int *)arg;
}

static struct cm_pg_gather *gather;
static int outcomes[500];

static void gather_one(void *arg)
{
        int *outcome = arg;
        struct thing thing = { .id = (int)(outcome - outcomes) };

        *outcome = cm_pg_gather_row(gather, &thing);
        if (*outcome == 0 && thing.was_there)
                *outcome = 77;
}

static void gathers(void *arg CM_UNUSED)
{
        int commits = 0;
        const struct cm_pg_gather_spec spec = {
                .statement = &gather_things,
                .max_rows = 128,
                .encode = encode_things,
                .answer = answer_thing,
                .user = user_of_thing,
                .committed = count_commit,
                .arg = &commits,
        };
        struct cm_group group;

        execute("DROP TABLE IF EXISTS things");
        execute("CREATE TABLE things (id int4 PRIMARY KEY CHECK (id <> 250))");
        execute("INSERT INTO things VALUES (7)");
        assert_int_equal(cm_pg_gather_new(pg, &spec, &gather), 0);
        cm_group_init(&group);
        for (size_t i = 0; i < CM_COUNT(outcomes); i++)
                assert_int_equal(cm_group_start(&group, "row", gather_one, &outcomes[i]), 0);
        assert_int_equal(cm_group_join(&group), 0);
        for (int i = 0; i < (int)CM_COUNT(outcomes); i++)
                assert_int_equal(outcomes[i], i == 7 ? 77 : i == 250 ? CM_PG_REFUSED : 0);
        assert_int_equal(number("SELECT count(*) FROM things"), 499);
        /* Four statements; the one with the bad row as 128 of its own, or fewer if it came last. */
        assert_in_range(commits, 3, 132);
        cm_pg_gather_free(&gather);
}

static void test_gathered_rows_get_their_own_answers(void **state CM_UNUSED)
{
        run(gathers);
}

static void plans_once(void *arg CM_UNUSED)
{
        static const struct cm_pg_statement is_planned_once = {
                .name = "is_planned_once",
                .sql = "SELECT current_setting('plan_cache_mode') = 'force_generic_plan'"
                       " FROM unnest($1::int4[])",
        };
        const struct cm_pg_gather_spec spec = {
                .statement = &is_planned_once,
                .encode = encode_things,
                .answer = answer_thing,
                .user = user_of_thing,
        };

        assert_int_equal(cm_pg_gather_new(pg, &spec, &gather), 0);
        gather_one(&outcomes[0]);
        assert_int_equal(outcomes[0], 77);
        cm_pg_gather_free(&gather);
}

static void test_a_gathered_statement_is_planned_once(void **state CM_UNUSED)
{
        run(plans_once);
}

static const struct cm_pg_statement plain_things = {
        .name = "plain_things",
        .sql = "INSERT INTO things SELECT unnest($1::int4[])",
        .writes = true,
};

static const struct cm_pg_statement told_things = {
        .name = "told_things",
        .sql = "INSERT INTO told SELECT unnest($1::int4[])",
        .writes = true,
};

static bool claim_thing(const void *row, int64_t *lock_r)
{
        *lock_r = ((const struct thing *)row)->id;
        return *lock_r != 100;
}

/* Somebody else has 3, 8 and 100, of which nobody claims the last; 7 is there before. */
static void claims(void *arg CM_UNUSED)
{
        struct cm_pg_tx *other = NULL;
        int commits = 0;
        const struct cm_pg_gather_spec spec = {
                .statement = &plain_things,
                .encode = encode_things,
                .beside = { &told_things, encode_things },
                .careful = { &gather_things, encode_things },
                .claim = claim_thing,
                .answer = answer_thing,
                .user = user_of_thing,
                .committed = count_commit,
                .arg = &commits,
        };
        struct cm_group group;

        execute("DROP TABLE IF EXISTS things, told");
        execute("CREATE TABLE things (id int4 PRIMARY KEY)");
        execute("CREATE TABLE told (id int4)");
        execute("INSERT INTO things VALUES (7)");
        assert_int_equal(cm_pg_begin(pg, NULL, &other), 0);
        assert_int_equal(cm_pg_tx_exec(other, "SELECT pg_advisory_xact_lock(lock) FROM "
                                              "unnest('{3,8,100}'::int8[]) AS t(lock)"),
                         0);
        assert_int_equal(cm_pg_gather_new(pg, &spec, &gather), 0);
        for (int turn = 0; turn < 2; turn++) {
                cm_group_init(&group);
                for (int i = turn ? 0 : 50; i < 120; i++)
                        assert_int_equal(cm_group_start(&group, "row", gather_one, &outcomes[i]),
                                         0);
                assert_int_equal(cm_group_join(&group), 0);
                for (int i = turn ? 0 : 50; i < 120; i++)
                        assert_int_equal(outcomes[i], i == 3 || i == 8              ? CM_PG_LOCKED
                                                      : i == 7 || (turn && i >= 50) ? 77
                                                                                    : 0);
        }
        assert_in_range(commits, 2, 20);
        assert_int_equal(number("SELECT count(*) FROM things"), 118);
        assert_in_range(number("SELECT count(*) FROM told"), 70,
                        117); /* careful ones tell nothing */
        assert_int_equal(number("SELECT count(*) FROM told WHERE id IN (3, 7, 8)"), 0);
        assert_int_equal(cm_pg_commit(&other), 0);
        gather_one(&outcomes[3]);
        assert_int_equal(outcomes[3], 0);
        cm_pg_gather_free(&gather);
}

static void test_a_row_whose_claim_is_taken_does_not_wait(void **state CM_UNUSED)
{
        run(claims);
}

static int heard;

static void on_notify(void *arg CM_UNUSED)
{
        heard++;
}

static void notifications(void *arg CM_UNUSED)
{
        assert_int_equal(cm_pg_listen(pg, "things", on_notify, NULL), 0);
        while (heard < 1)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        execute("NOTIFY things");
        while (heard < 2)
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void test_notifications_and_one_after_connecting(void **state CM_UNUSED)
{
        run(notifications);
}

static void nowhere(void *arg CM_UNUSED)
{
        struct cm_pg_config config = { .conninfo = "host=/nonexistent", .tx_connections = 1 };
        struct cm_pg *gone = NULL;
        struct cm_pg_tx *tx = NULL;
        struct thing thing = { 1, false };
        const struct cm_pg_gather_spec spec = { .statement = &gather_things,
                                                .encode = encode_things,
                                                .answer = answer_thing,
                                                .user = user_of_thing };

        assert_int_equal(cm_pg_new(loop, &config, &gone), 0);
        assert_false(cm_pg_is_ready(gone));
        assert_int_equal(cm_pg_query(gone, NULL, &echo, NULL, NULL), -CM_E_UNAVAILABLE);
        assert_int_equal(cm_pg_begin(gone, NULL, &tx), -CM_E_UNAVAILABLE);
        assert_int_equal(cm_pg_gather_new(gone, &spec, &gather), 0);
        assert_int_equal(cm_pg_gather_row(gather, &thing), -CM_E_UNAVAILABLE);
        cm_pg_gather_free(&gather);
        cm_pg_free(&gone);
}

static void test_without_a_server_the_answer_comes_at_once(void **state CM_UNUSED)
{
        cm_log_set_hook(ignore_log, NULL);
        run(nowhere);
        cm_log_set_hook(NULL, NULL);
}

static const struct cm_pg_statement session = {
        .name = "session",
        .sql = "SELECT current_setting('enable_seqscan'), current_setting('enable_sort'),"
               " current_setting('work_mem')",
};
static const struct cm_pg_statement session_by_index = {
        .name = "session-by-index",
        .sql = "SELECT current_setting('enable_seqscan'), current_setting('enable_sort'),"
               " current_setting('work_mem')",
        .by_index = true,
};

static void says(struct cm_pg *which, const struct cm_pg_statement *statement, const char *sort)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(which, NULL, statement, NULL, &result), 0);
        assert_string_equal(cm_pg_text(&result, 0, 0).data, "off");
        assert_string_equal(cm_pg_text(&result, 0, 1).data, sort);
        assert_string_equal(cm_pg_text(&result, 0, 2).data, "5MB");
}

static void sessions(void *arg CM_UNUSED)
{
        char conninfo[512];
        const struct cm_pg_config config = { .conninfo = conninfo, .connections = 1 };
        struct cm_pg *own = NULL;

        snprintf(conninfo, sizeof(conninfo), "%s options='-c work_mem=5MB'",
                 getenv("TEST_POSTGRES"));
        assert_int_equal(cm_pg_new(loop, &config, &own), 0);
        while (!cm_pg_is_ready(own))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        says(own, &session, "on");
        says(own, &session_by_index, "off");
        says(own, &session, "on");
        cm_pg_free(&own);
}

static void test_tables_are_read_by_index_and_the_operators_options_hold(void **state CM_UNUSED)
{
        run(sessions);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(test_values_come_back_as_they_went),
                TEST(test_arrays_unnest),
                TEST(test_a_flight_is_all_or_nothing),
                TEST(test_a_transaction_names_its_users),
                TEST(test_a_fault_of_ours_is_a_database_error),
                TEST(test_a_deadline_cancels_on_the_server),
                TEST(test_a_lost_connection_comes_back),
                TEST(test_transactions),
                TEST(test_begin_and_commit_with_statements),
                TEST(test_more_transactions_than_connections_take_turns),
                TEST(test_copy),
                TEST(test_gathered_rows_get_their_own_answers),
                TEST(test_a_gathered_statement_is_planned_once),
                TEST(test_a_row_whose_claim_is_taken_does_not_wait),
                TEST(test_notifications_and_one_after_connecting),
                TEST(test_without_a_server_the_answer_comes_at_once),
                TEST(test_tables_are_read_by_index_and_the_operators_options_hold),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
