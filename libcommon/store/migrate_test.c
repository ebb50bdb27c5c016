#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <pthread.h>

#include "base/error.h"
#include "sys/fiber.h"
#include "sys/log.h"

/* Against a real server: TEST_POSTGRES is a conninfo of a superuser. Each test has its own
 * database. */

static char conninfo[512];
static int warnings;

static const struct cm_migration items[] = {
        { 1, "base", "CREATE TABLE a (x int); INSERT INTO a VALUES (1)", "DROP TABLE a" },
        { 2, "more", "ALTER TABLE a ADD y int", "ALTER TABLE a DROP y" },
        { 3, "last", "CREATE TABLE b ()", "DROP TABLE b" },
};
static const struct cm_migrations two = { items, 2 }, three = { items, 3 };

static const struct cm_migration altered_items[] = {
        { 1, "base", "CREATE TABLE a (x bigint)", "DROP TABLE a" },
        { 2, "more", "ALTER TABLE a ADD y int", "ALTER TABLE a DROP y" },
};
static const struct cm_migrations altered = { altered_items, 2 };

static const struct cm_migration broken_items[] = {
        { 1, "base", "CREATE TABLE a (x int); INSERT INTO a VALUES (1)", "DROP TABLE a" },
        { 2, "broken", "CREATE TABLE half (); SELECT 1/0", "" },
};
static const struct cm_migrations broken = { broken_items, 2 };

static void count(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                  void *arg CM_UNUSED)
{
        __atomic_add_fetch(&warnings, 1, __ATOMIC_RELAXED);
}

static void text_of(const char *where, const char *sql, char out[128])
{
        PGconn *db = PQconnectdb(where);
        PGresult *result = PQexec(db, sql);

        if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
                fail_msg("%s: %s", sql, PQerrorMessage(db));
        snprintf(out, 128, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
        PQclear(result);
        PQfinish(db);
}

static void execute(const char *where, const char *sql)
{
        char text[128];

        text_of(where, sql, text);
}

static void assert_sql(const char *sql, const char *want)
{
        char text[128];

        text_of(conninfo, sql, text);
        assert_string_equal(text, want);
}

static int set_up(void **state CM_UNUSED)
{
        static int number;
        const char *server = getenv("TEST_POSTGRES");
        char sql[96];

        assert_non_null(server);
        snprintf(sql, sizeof(sql), "CREATE DATABASE migrate_%d_%d", (int)getpid(), ++number);
        execute(server, sql);
        snprintf(conninfo, sizeof(conninfo), "%s dbname=migrate_%d_%d", server, (int)getpid(),
                 number);
        warnings = 0;
        cm_log_set_level(CM_LOG_WARN);
        cm_log_set_hook(count, NULL);
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        cm_log_set_hook(NULL, NULL);
        return 0;
}

/* The daemon's look, through a pool. */
struct look {
        struct cm_loop *loop;
        struct cm_pg *pg;
        const struct cm_migrations *migrations;
        int state;
};

static void look_fiber(void *arg)
{
        struct look *look = arg;

        while (!cm_pg_is_ready(look->pg))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
        look->state = cm_migrate_check(look->pg, look->migrations);
        cm_loop_stop(look->loop);
}

static void look_start(void *arg)
{
        assert_int_equal(cm_fiber_start("look", look_fiber, arg, CM_NEVER), 0);
}

static int check(const struct cm_migrations *migrations)
{
        const struct cm_fiber_pool_config fibers = { 65536, 8, 2 };
        const struct cm_pg_config config = { .conninfo = conninfo, .connections = 1 };
        struct look look = { .migrations = migrations };

        assert_int_equal(cm_loop_new(&look.loop), 0);
        assert_int_equal(cm_fiber_pool_init(look.loop, &fibers), 0);
        assert_int_equal(cm_pg_new(look.loop, &config, &look.pg), 0);
        cm_loop_defer(look.loop, look_start, &look);
        cm_loop_run(look.loop);
        cm_pg_free(&look.pg);
        cm_fiber_pool_deinit(look.loop);
        cm_loop_free(&look.loop);
        return look.state;
}

static void up_and_down(void **state CM_UNUSED)
{
        assert_int_equal(check(&three), CM_SCHEMA_BEHIND);
        assert_int_equal(cm_migrate_up(conninfo, &two), 0);
        assert_int_equal(check(&two), CM_SCHEMA_CURRENT);
        assert_int_equal(check(&three), CM_SCHEMA_BEHIND);
        assert_int_equal(cm_migrate_up(conninfo, &three), 0);
        assert_int_equal(cm_migrate_up(conninfo, &three), 0); /* nothing left */
        assert_sql(
                "SELECT string_agg(version || name, ',' ORDER BY version) FROM schema_migrations",
                "1base,2more,3last");
        assert_int_equal(check(&three), CM_SCHEMA_CURRENT);
        assert_int_equal(check(&two), CM_SCHEMA_TOO_NEW);

        assert_int_equal(cm_migrate_down(conninfo, &three, 2), 0);
        assert_sql("SELECT max(version) FROM schema_migrations", "1");
        assert_sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'a'", "1");
        assert_int_equal(cm_migrate_down(conninfo, &three, 9), 0);
        assert_sql("SELECT count(*) FROM schema_migrations", "0");
        assert_sql("SELECT to_regclass('a') IS NULL", "t");
        assert_int_equal(cm_migrate_up(conninfo, &three), 0);
        assert_int_equal(warnings, 0);
}

static void a_schema_that_is_too_new_is_left_alone(void **state CM_UNUSED)
{
        assert_int_equal(cm_migrate_up(conninfo, &three), 0);
        assert_int_equal(cm_migrate_up(conninfo, &two), CM_SCHEMA_TOO_NEW);
        assert_int_equal(cm_migrate_down(conninfo, &two, 1), CM_SCHEMA_TOO_NEW);
        assert_sql("SELECT max(version) FROM schema_migrations", "3");
        assert_int_equal(warnings, 2);
}

static void an_altered_migration_is_noticed(void **state CM_UNUSED)
{
        assert_int_equal(cm_migrate_up(conninfo, &two), 0);
        assert_int_equal(cm_migrate_up(conninfo, &altered), CM_SCHEMA_ALTERED);
        assert_int_equal(check(&altered), CM_SCHEMA_ALTERED);
        assert_int_equal(warnings, 1);
}

static void a_step_that_fails_leaves_nothing(void **state CM_UNUSED)
{
        assert_int_equal(cm_migrate_up(conninfo, &broken), -CM_E_DATABASE);
        assert_sql("SELECT max(version) FROM schema_migrations", "1");
        assert_sql("SELECT to_regclass('half') IS NULL", "t");
        assert_int_equal(warnings, 1);
        assert_int_equal(cm_migrate_up(conninfo, &three), 0);
}

static void *migrate_too(void *arg)
{
        *(int *)arg = cm_migrate_up(conninfo, &three);
        return NULL;
}

/* The lock: of many that start at once, one works and the others find it done. */
static void many_at_once(void **state CM_UNUSED)
{
        pthread_t threads[6];
        int results[CM_COUNT(threads)];

        for (size_t i = 0; i < CM_COUNT(threads); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, migrate_too, &results[i]), 0);
        for (size_t i = 0; i < CM_COUNT(threads); i++)
                pthread_join(threads[i], NULL);
        for (size_t i = 0; i < CM_COUNT(threads); i++)
                assert_int_equal(results[i], 0);
        assert_sql("SELECT count(*) FROM a", "1");
        assert_int_equal(warnings, 0);
}

static void status_tells(void **state CM_UNUSED)
{
        assert_int_equal(cm_migrate_status(conninfo, &three), CM_SCHEMA_BEHIND);
        assert_int_equal(cm_migrate_up(conninfo, &two), 0);
        assert_int_equal(cm_migrate_status(conninfo, &three), CM_SCHEMA_BEHIND);
        assert_int_equal(cm_migrate_status(conninfo, &two), CM_SCHEMA_CURRENT);
        assert_int_equal(cm_migrate_status(conninfo, &altered), CM_SCHEMA_ALTERED);
        assert_int_equal(cm_migrate_up(conninfo, &three), 0);
        assert_int_equal(cm_migrate_status(conninfo, &two), CM_SCHEMA_TOO_NEW);
        assert_int_equal(warnings, 0);
}

static void no_server(void **state CM_UNUSED)
{
        assert_int_equal(cm_migrate_up("host=/nonexistent", &three), -CM_E_UNAVAILABLE);
        assert_int_equal(warnings, 1);
}

/* The service's own role owns nothing, and still sees which version is there. */
static void the_application_role_may_look(void **state CM_UNUSED)
{
        const char *as_nobody = " user=migrate_nobody";

        assert_int_equal(cm_migrate_up(conninfo, &three), 0);
        execute(conninfo, "DO $$ BEGIN CREATE ROLE migrate_nobody LOGIN;"
                          " EXCEPTION WHEN duplicate_object THEN NULL; END $$");
        strncat(conninfo, as_nobody, sizeof(conninfo) - strlen(conninfo) - 1);
        assert_int_equal(check(&three), CM_SCHEMA_CURRENT);
        assert_int_equal(cm_migrate_status(conninfo, &three), CM_SCHEMA_CURRENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(up_and_down),
                TEST(a_schema_that_is_too_new_is_left_alone),
                TEST(an_altered_migration_is_noticed),
                TEST(a_step_that_fails_leaves_nothing),
                TEST(many_at_once),
                TEST(status_tells),
                TEST(no_server),
                TEST(the_application_role_may_look),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
