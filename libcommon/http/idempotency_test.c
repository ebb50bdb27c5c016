#include "http/idempotency.h"

#include "base/error.h"
#include "http/request_internal.h"
#include "http/test_support.h"
#include "sys/log.h"

/* Against a real server: TEST_POSTGRES is a conninfo of a superuser; the routes act as a role that
 * the policies bind. */

static struct harness harness, replica;
static struct cm_pg *admin, *pg;

static const struct cm_pg_statement effect = {
        .name = "effect",
        .sql = "INSERT INTO idempotency_effect SELECT count(*) FROM idempotency_effect RETURNING n",
        .writes = true,
};

struct thing {
        int64_t number;
};

static const struct cm_schema number_schema = { .name = "Number",
                                                .type = CM_TYPE_INTEGER,
                                                .size = sizeof(int64_t) };
static const struct cm_member thing_members[] = { { "number", &number_schema, 0, CM_NO_OFFSET,
                                                    false, false } };
static const struct cm_schema thing_schema = { .name = "Thing",
                                               .type = CM_TYPE_OBJECT,
                                               .size = sizeof(struct thing),
                                               .members = thing_members,
                                               .member_count = 1 };

/* Makes a thing; what the path says decides how it goes. */
static int make(struct cm_request *request, int64_t pause_us, bool fails)
{
        struct cm_idempotency attempt;
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        const struct cm_pg_scope scope = { &cm_request_claims(request)->sub, 1, NULL };
        struct thing thing;
        int r = cm_idempotency_init(&attempt, request);

        if (r == 0)
                r = cm_pg_begin(pg, &scope, &tx);
        if (r == 0)
                r = cm_idempotency_claim(&attempt, tx);
        if (r)
                return r < 0 ? r : 0;
        r = cm_pg_tx_query(tx, &effect, NULL, &result);
        if (r == 0)
                r = cm_fiber_sleep(pause_us);
        if (r || fails)
                return -CM_E_UNAVAILABLE;
        thing.number = cm_pg_int(&result, 0, 0);
        cm_reply_header(request, "Location", CM_STR("/things/1"));
        cm_reply_header(request, "X-Other", CM_STR("x"));
        return cm_idempotency_commit_json(&attempt, &tx, 201, &thing_schema, &thing);
}

static int call_make(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        return make(request, 0, false);
}

static int call_slow(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        return make(request, 100 * CM_MILLISECOND, false);
}

static int call_fail(struct cm_request *request, const void *params CM_UNUSED,
                     const void *body CM_UNUSED)
{
        static int calls;

        return make(request, 0, calls++ == 0);
}

#define POST .method = "POST", .scope = "x", .media = "text/plain", .idempotent = true
static const struct cm_route route_table[] = {
        { POST, .path = "/make", .operation = "make", .call = call_make },
        { POST, .path = "/slow", .operation = "slow", .call = call_slow },
        { POST, .path = "/fail", .operation = "fail", .call = call_fail },
};
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), NULL };
static const struct cm_routes *const tables[] = { &routes };

/* X-User: one digit, who asks. */
static int guard(struct cm_request *request, const struct cm_route *route CM_UNUSED,
                 void *arg CM_UNUSED)
{
        struct cm_str user = cm_request_header(request, "x-user");
        struct cm_claims claims = { .sub = { { user.len ? (uint8_t)user.data[0] : 1 } } };

        cm_request_set_claims(request, &claims);
        return 0;
}

/* ---- the database */

/* Scripts go through psql, as in a migration: one text, several statements. */
static void psql(const char *what)
{
        char command[1024];

        (void)snprintf(command, sizeof(command), "psql -qX -v ON_ERROR_STOP=1 \"%s\" %s >&2",
                       getenv("TEST_POSTGRES"), what);
        assert_int_equal(system(command), 0);
}

static void wait_until_ready(struct cm_pg *pool)
{
        while (!cm_pg_is_ready(pool))
                assert_int_equal(cm_fiber_sleep(CM_MILLISECOND), 0);
}

static void prepare(void *arg CM_UNUSED)
{
        wait_until_ready(admin);
        wait_until_ready(pg);
        cm_loop_stop(harness.loop);
}

/* Rollbacks that nobody waits for. */
static void settle(void *arg CM_UNUSED)
{
        assert_int_equal(cm_fiber_sleep(20 * CM_MILLISECOND), 0);
        cm_loop_stop(harness.loop);
}

static int64_t found;

static void count_effects(void *arg CM_UNUSED)
{
        static const struct cm_pg_statement count = {
                .name = "count",
                .sql = "SELECT count(*) FROM idempotency_effect",
        };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        assert_int_equal(cm_pg_query(admin, NULL, &count, NULL, &result), 0);
        found = cm_pg_int(&result, 0, 0);
        cm_loop_stop(harness.loop);
}

static void start_fiber(void *arg)
{
        assert_int_equal(cm_fiber_start("test", *(cm_fiber_fn **)arg, NULL, CM_NEVER), 0);
}

static void run_fiber(cm_fiber_fn *fn)
{
        cm_loop_defer(harness.loop, start_fiber, &fn);
        cm_loop_run(harness.loop);
}

static int64_t effects(void)
{
        run_fiber(count_effects);
        return found;
}

static int setup(void **state CM_UNUSED)
{
        struct cm_server_config config = { .routes = tables, .routes_count = 1, .guard = guard };
        struct cm_pg_config database = { .conninfo = getenv("TEST_POSTGRES"),
                                         .connections = 1,
                                         .tx_connections = 4 };
        static char conninfo[512];

        cm_log_set_level(CM_LOG_ERROR);
        assert_non_null(database.conninfo);
        psql("-c 'CREATE ROLE idempotency_app' -c 'CREATE TABLE idempotency_effect (n bigint)'"
             " -f libcommon/http/idempotency.up.sql"
             " -c 'GRANT ALL ON idempotency_key, idempotency_effect TO idempotency_app'");
        harness_start(&harness, &config, 100);
        assert_int_equal(cm_pg_new(harness.loop, &database, &admin), 0);
        (void)snprintf(conninfo, sizeof(conninfo), "%s options='-c role=idempotency_app'",
                       database.conninfo);
        database.conninfo = conninfo;
        assert_int_equal(cm_pg_new(harness.loop, &database, &pg), 0);
        run_fiber(prepare);
        replica.loop = config.loop = harness.loop;
        config.listen = "127.0.0.1:0";
        assert_int_equal(cm_server_new(&config, &replica.server), 0);
        cm_server_start(replica.server);
        replica.port = cm_server_port(replica.server);
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        run_fiber(settle);
        cm_server_free(&replica.server);
        cm_pg_free(&pg);
        cm_pg_free(&admin);
        harness_stop(&harness);
        psql("-f libcommon/http/idempotency.down.sql -c 'DROP TABLE idempotency_effect'"
             " -c 'DROP ROLE idempotency_app'");
        return 0;
}

/* ---- talking */

static char *post(struct harness *to, const char *path, const char *headers, const char *body)
{
        char request[1024];

        (void)snprintf(request, sizeof(request),
                       "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
                       "text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
                       path, strlen(body), headers, body);
        return exchange(to, request, 0);
}

static void expect(const char *path, const char *headers, const char *body, const char *want,
                   bool replayed)
{
        char *reply = post(&harness, path, headers, body);

        if (!strstr(reply, want) || !strstr(reply, "Idempotency-Replayed: true") != !replayed)
                fail_msg("no %s in\n%s", want, reply);
        cm_free(reply);
}

static void test_the_same_again_is_replayed(void **state CM_UNUSED)
{
        char *first = post(&harness, "/make", "Idempotency-Key: k1\r\n", "a");
        char *second = post(&harness, "/make", "Idempotency-Key: \"k1\"\r\n", "a");

        assert_non_null(strstr(first, "201 Created"));
        assert_non_null(strstr(first, "{\"number\":0}"));
        assert_non_null(strstr(second, "201 Created"));
        assert_non_null(strstr(second, "{\"number\":0}"));
        assert_non_null(strstr(second, "Idempotency-Replayed: true"));
        assert_non_null(strstr(second, "Location: /things/1"));
        assert_non_null(strstr(second, "Content-Type: application/json"));
        assert_null(strstr(second, "X-Other"));
        assert_int_equal(effects(), 1);
        cm_free(first);
        cm_free(second);
}

static void test_a_key_belongs_to_one_request_of_one_user(void **state CM_UNUSED)
{
        expect("/make", "Idempotency-Key: k\r\n", "a", "201", false);
        expect("/make", "Idempotency-Key: k\r\n", "b", "\"code\":\"idempotency_conflict\"", false);
        expect("/slow", "Idempotency-Key: k\r\n", "a", "422", false);
        expect("/make?x", "Idempotency-Key: k\r\n", "a", "400", false);
        expect("/make", "Idempotency-Key: k\r\nX-User: b\r\n", "b", "201", false);
        assert_int_equal(effects(), 2);
}

static void test_without_a_key_each_request_counts(void **state CM_UNUSED)
{
        expect("/make", "", "a", "{\"number\":0}", false);
        expect("/make", "", "a", "{\"number\":1}", false);
}

static void test_keys_have_a_form(void **state CM_UNUSED)
{
        char endless[400] = "Idempotency-Key: ";

        memset(endless + strlen(endless), 'k', 256);
        strcat(endless, "\r\n");
        expect("/make", endless, "a", "/header/idempotency-key", false);
        expect("/make", "Idempotency-Key:\r\n", "a", "400", false);
        expect("/make", "Idempotency-Key: \"\"\r\n", "a", "400", false);
        expect("/make", "Idempotency-Key: a b\r\n", "a", "400", false);
        expect("/make", "Idempotency-Key: \xc3\xa9\r\n", "a", "400", false);
        assert_int_equal(effects(), 0);
}

static void test_what_failed_is_not_remembered(void **state CM_UNUSED)
{
        expect("/fail", "Idempotency-Key: k\r\n", "a", "503", false);
        run_fiber(settle);
        assert_int_equal(effects(), 0);
        expect("/fail", "Idempotency-Key: k\r\n", "a", "201", false);
        expect("/fail", "Idempotency-Key: k\r\n", "a", "201", true);
        assert_int_equal(effects(), 1);
}

static void story_race(struct client *client)
{
        static const char request[] = "POST /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                      "Idempotency-Key: k\r\nContent-Length: 0\r\n\r\n";
        int first = client_connect(client->harness), second = client_connect(client->arg);

        client_send(first, request, sizeof(request) - 1);
        usleep(30000);
        client_send(second, request, sizeof(request) - 1);
        client_read(second, &client->reply, NULL);
        client_read(first, &client->reply, NULL);
        close(first);
        close(second);
}

static void race(struct harness *second)
{
        struct client client = { .harness = &harness, .story = story_race, .arg = second };
        char *conflict, *created;

        client_run(&client);
        conflict = strstr(client.reply.data, "\"code\":\"idempotency_in_progress\"");
        created = strstr(client.reply.data, "201 Created");
        assert_non_null(conflict);
        assert_true(created > conflict);
        assert_int_equal(effects(), 1);
        cm_buf_deinit(&client.reply);
}

static void test_while_the_first_runs_in_this_worker(void **state CM_UNUSED)
{
        race(&harness);
}

static void test_while_the_first_runs_in_another_replica(void **state CM_UNUSED)
{
        race(&replica);
}

static void forget(void *arg CM_UNUSED)
{
        assert_int_equal(cm_idempotency_forget(pg, CM_HOUR, &found), 0);
        assert_int_equal(found, 0);
        assert_int_equal(cm_idempotency_forget(pg, 0, &found), 0);
        cm_loop_stop(harness.loop);
}

static void test_old_answers_are_forgotten(void **state CM_UNUSED)
{
        expect("/make", "Idempotency-Key: k1\r\n", "a", "201", false);
        expect("/make", "Idempotency-Key: k2\r\nX-User: b\r\n", "a", "201", false);
        run_fiber(forget);
        assert_int_equal(found, 2);
        expect("/make", "Idempotency-Key: k1\r\n", "a", "201", false);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_the_same_again_is_replayed),
                T(test_a_key_belongs_to_one_request_of_one_user),
                T(test_without_a_key_each_request_counts),
                T(test_keys_have_a_form),
                T(test_what_failed_is_not_remembered),
                T(test_while_the_first_runs_in_this_worker),
                T(test_while_the_first_runs_in_another_replica),
                T(test_old_answers_are_forgotten),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
