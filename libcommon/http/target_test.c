#include "http/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_targets(void **state CM_UNUSED)
{
        static const struct {
                const char *raw;
                int outcome;
                size_t segments;
                const char *query; /* NULL: none */
        } rows[] = {
                { "/", 0, 0, NULL },
                { "/a/b-c/%20d", 0, 3, NULL },
                { "/a?", 0, 1, "" },
                { "/a?x=1&y=/../?", 0, 1, "x=1&y=/../?" },
                { "http://host:1/a?b", 0, 1, "b" },
                { "HTTPS://host", 0, 0, NULL },
                { "*", 0, 0, NULL },
                { "/...", 0, 1, NULL },
                { "/.well-known/x", 0, 2, NULL },
                { "/a@b:c;d=e,(f)!$&'*+~", 0, 1, NULL },
                { "//", CM_TARGET_NOT_FOUND },
                { "/a/", CM_TARGET_NOT_FOUND },
                { "//a", CM_TARGET_NOT_FOUND },
                { "/a//b", CM_TARGET_NOT_FOUND },
                { "/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7", CM_TARGET_NOT_FOUND },
                { "", CM_TARGET_BAD },
                { "a", CM_TARGET_BAD },
                { "host:443", CM_TARGET_BAD },
                { "ftp://host/", CM_TARGET_BAD },
                { "http:///a", CM_TARGET_BAD },
                { "/a#b", CM_TARGET_BAD },
                { "/a/../b", CM_TARGET_BAD },
                { "/./a", CM_TARGET_BAD },
                { "/a/..", CM_TARGET_BAD },
                { "/a/.%2e/b", CM_TARGET_BAD },
                { "/%2E%2e", CM_TARGET_BAD },
                { "/a%2Fb", CM_TARGET_BAD },
                { "/a%5cb", CM_TARGET_BAD },
                { "/a\\b", CM_TARGET_BAD },
                { "/a%00", CM_TARGET_BAD },
                { "/a%1f", CM_TARGET_BAD },
                { "/a%7f", CM_TARGET_BAD },
                { "/a%", CM_TARGET_BAD },
                { "/a%2", CM_TARGET_BAD },
                { "/a%2g", CM_TARGET_BAD },
                { "/a|b", CM_TARGET_BAD },
                { "/a\"b", CM_TARGET_BAD },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_target target;
                int r = cm_target_parse(cm_str_from(rows[i].raw), &target);

                if (r != rows[i].outcome)
                        fail_msg("%d for %s", r, rows[i].raw);
                if (r)
                        continue;
                assert_int_equal(target.segment_count, rows[i].segments);
                assert_int_equal(!target.query.data, !rows[i].query);
                assert_true(cm_str_equal(target.query, cm_str_from(rows[i].query)));
        }
}

static void test_percent_decoding(void **state CM_UNUSED)
{
        static const struct {
                const char *raw;
                bool plus;
                const char *text; /* NULL: refused */
        } rows[] = {
                { "abc", false, "abc" }, { "a%20b", false, "a b" }, { "a+b", false, "a+b" },
                { "a+b", true, "a b" },  { "%D7%A9", true, "ש" },   { "%2B", true, "+" },
                { "%00", false, NULL },  { "%ff", false, NULL },    { "%c0%80", false, NULL },
                { "%", false, NULL },    { "%4", false, NULL },     { "%zz", false, NULL },
                { "", false, "" },
        };
        struct cm_arena arena;

        cm_arena_init(&arena, 256);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str text =
                        cm_percent_decode(&arena, cm_str_from(rows[i].raw), rows[i].plus);

                assert_int_equal(!text.data, !rows[i].text);
                assert_true(cm_str_equal(text, cm_str_from(rows[i].text)));
        }
        cm_arena_deinit(&arena);
}

static void test_queries(void **state CM_UNUSED)
{
        struct cm_str rest = CM_STR("a=1&b&c==x&=&"), name, value;
        static const char *const want[][2] = {
                { "a", "1" }, { "b", "" }, { "c", "=x" }, { "", "" }
        };

        for (size_t i = 0; i < CM_COUNT(want); i++) {
                assert_true(cm_query_next(&rest, &name, &value));
                assert_true(cm_str_equal(name, cm_str_from(want[i][0])));
                assert_true(cm_str_equal(value, cm_str_from(want[i][1])));
        }
        assert_false(cm_query_next(&rest, &name, &value));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_percent_decoding),
                cmocka_unit_test(test_queries),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
