#include "http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "sys/log.h"

static const struct cm_param id_param[] = { { "id", CM_IN_PATH, NULL, 0, CM_NO_OFFSET } };
static const struct cm_param two_params[] = { { "b", CM_IN_PATH, NULL, 0, CM_NO_OFFSET },
                                              { "q", CM_IN_QUERY, NULL, 0, CM_NO_OFFSET },
                                              { "a", CM_IN_PATH, NULL, 0, CM_NO_OFFSET } };

static const struct cm_route table[] = {
        { .method = "GET", .path = "/v1/things", .operation = "list" },
        { .method = "POST", .path = "/v1/things", .operation = "make" },
        { .method = "GET",
          .path = "/v1/things/{id}",
          .operation = "read",
          .params = id_param,
          .param_count = 1 },
        { .method = "GET", .path = "/v1/things/special", .operation = "special" },
        { .method = "GET", .path = "/v1/things/special/x", .operation = "special_x" },
        { .method = "GET",
          .path = "/v1/things/{id}/y",
          .operation = "thing_y",
          .params = id_param,
          .param_count = 1 },
        { .method = "PUT",
          .path = "/v1/{a}/in/{b}",
          .operation = "two",
          .params = two_params,
          .param_count = 3 },
};
static const struct cm_routes routes = { table, CM_COUNT(table), "{}" };
static const struct cm_routes *const tables[] = { &routes };

static void test_routes_are_found(void **state CM_UNUSED)
{
        static const struct {
                const char *method, *path, *operation, *allow, *value;
        } rows[] = {
                { "GET", "/v1/things", "list", "GET, POST, HEAD, OPTIONS", NULL },
                { "HEAD", "/v1/things", "list", "GET, POST, HEAD, OPTIONS", NULL },
                { "POST", "/v1/things", "make", "GET, POST, HEAD, OPTIONS", NULL },
                { "DELETE", "/v1/things", NULL, "GET, POST, HEAD, OPTIONS", NULL },
                { "get", "/v1/things", NULL, "GET, POST, HEAD, OPTIONS", NULL },
                { "GET", "/v1/things/7", "read", "GET, HEAD, OPTIONS", "7" },
                { "GET", "/v1/things/special", "special", "GET, HEAD, OPTIONS", NULL },
                { "GET", "/v1/things/special/x", "special_x", "GET, HEAD, OPTIONS", NULL },
                { "GET", "/v1/things/special/y", "thing_y", "GET, HEAD, OPTIONS", "special" },
                { "GET", "/v1/things/7/x", NULL, NULL, NULL },
                { "GET", "/v1", NULL, NULL, NULL },
                { "GET", "/", NULL, NULL, NULL },
                { "PUT", "/v1/a1/in/b1", "two", "PUT, OPTIONS", "a1" },
                { "GET", "/openapi.json", "openapi", "GET, HEAD, OPTIONS", NULL },
        };
        struct cm_router *router;

        assert_int_equal(cm_router_new(tables, 1, &router), 0);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_target target;
                struct cm_match match;

                assert_int_equal(cm_target_parse(cm_str_from(rows[i].path), &target), 0);
                cm_router_match(router, cm_str_from(rows[i].method), &target, &match);
                assert_int_equal(!match.endpoint, !rows[i].operation);
                if (match.endpoint)
                        assert_string_equal(match.endpoint->route->operation, rows[i].operation);
                assert_int_equal(!match.allow, !rows[i].allow);
                if (match.allow)
                        assert_string_equal(match.allow, rows[i].allow);
                assert_int_equal(match.value_count > 0, rows[i].value != NULL);
                if (rows[i].value)
                        assert_true(cm_str_equal(match.values[0], cm_str_from(rows[i].value)));
        }
        cm_router_free(&router);
}

static void test_parameters_are_bound_by_name(void **state CM_UNUSED)
{
        struct cm_router *router;
        struct cm_target target;
        struct cm_match match;

        assert_int_equal(cm_router_new(tables, 1, &router), 0);
        assert_int_equal(cm_target_parse(CM_STR("/v1/a1/in/b1"), &target), 0);
        cm_router_match(router, CM_STR("PUT"), &target, &match);
        assert_true(cm_str_equal(match.values[match.endpoint->path_index[0]], CM_STR("b1")));
        assert_true(cm_str_equal(match.values[match.endpoint->path_index[2]], CM_STR("a1")));
        cm_router_free(&router);
}

static int logged;

static void count_log(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                      void *arg CM_UNUSED)
{
        logged++;
}

static void test_tables_that_cannot_be_served(void **state CM_UNUSED)
{
        static const struct cm_route bad[][2] = {
                { { .method = "GET", .path = "/a", .operation = "x" },
                  { .method = "GET", .path = "/a", .operation = "y" } },
                { { .method = "GET", .path = "a", .operation = "x" } },
                { { .method = "GET", .path = "/a//b", .operation = "x" } },
                { { .method = "GET", .path = "/a/x{id}", .operation = "x" } },
                { { .method = "GET", .path = "/a/{id}.json", .operation = "x" } },
                { { .method = "GET",
                    .path = "/a/{id}",
                    .operation = "x" } }, /* no such parameter */
        };

        cm_log_set_hook(count_log, NULL);
        for (size_t i = 0; i < CM_COUNT(bad); i++) {
                const struct cm_routes one = { bad[i], bad[i][1].method ? 2 : 1, NULL };
                const struct cm_routes *list[] = { &one };
                struct cm_router *router = NULL;

                logged = 0;
                assert_int_equal(cm_router_new(list, 1, &router), -CM_E_CONFIG);
                assert_int_equal(logged, 1);
        }
        cm_log_set_hook(NULL, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_routes_are_found),
                cmocka_unit_test(test_parameters_are_bound_by_name),
                cmocka_unit_test(test_tables_that_cannot_be_served),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
