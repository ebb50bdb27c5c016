#include "tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "codec/json_tree.h"
#include "schemas.h"

static struct cm_arena arena;

static int setup(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 16384);
        return 0;
}

static int teardown(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

static const struct {
        const char *name, *arguments;
        int result;
        const char *why;
} rows[] = {
        { "remember", "{\"text\":\"x\"}", 0, NULL },
        { "list_reminders", "", 0, NULL },
        { "list_reminders", " ", 0, NULL },
        { "launch", "{}", CHAT_CALL_UNKNOWN_TOOL, "no such tool" },
        { "", "{}", CHAT_CALL_UNKNOWN_TOOL, "no such tool" },
        { "remember", "", CHAT_CALL_INVALID, "/text" },
        { "remember", "not json", CHAT_CALL_INVALID, "not valid" },
        { "remember", "[]", CHAT_CALL_INVALID, "not valid" },
        { "remember", "{\"text\":\"\"}", CHAT_CALL_INVALID, "/text" },
        { "remember", "{\"text\":\"x\",\"more\":1}", CHAT_CALL_INVALID, "/more" },
        { "remember", "{\"text\":\"x\",\"text\":\"y\"}", CHAT_CALL_INVALID, "not valid" },
        { "log_exercise", "{\"exercise\":\"a\",\"exercise_name\":\"a\",\"sets\":1000}",
          CHAT_CALL_INVALID, "/sets" },
        { "forget", "{\"memory_id\":\"1\"}", CHAT_CALL_INVALID, "/memory_id" },
};

static void test_calls(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str why = CM_STR("");
                struct chat_tool_call call;
                int r = chat_tool_call_read(&arena, cm_str_from(rows[i].name),
                                            cm_str_from(rows[i].arguments), &call, &why);

                if (r != rows[i].result || (rows[i].why && !strstr(why.data, rows[i].why)))
                        fail_msg("row %zu: %d %s", i, r, why.data);
        }
}

/* The same call is the same, however it was written. */
static void test_same(void **state CM_UNUSED)
{
        struct chat_tool_call a, b, c;
        struct cm_str why;

        assert_int_equal(chat_tool_call_read(&arena, CM_STR("recall"),
                                             CM_STR("{\"limit\":5, \"query\":\"\\u0061\"}"), &a,
                                             &why),
                         0);
        assert_int_equal(chat_tool_call_read(&arena, CM_STR("recall"),
                                             CM_STR("{\"query\":\"a\",\"limit\":5}"), &b, &why),
                         0);
        assert_int_equal(chat_tool_call_read(&arena, CM_STR("recall"), CM_STR("{\"query\":\"b\"}"),
                                             &c, &why),
                         0);
        assert_true(chat_tool_call_same(&a, &b));
        assert_false(chat_tool_call_same(&a, &c));
}

static void test_results(void **state CM_UNUSED)
{
        struct chat_tool_result right =
                chat_tool_result_read(&arena, CHAT_TOOL_FORGET, CM_STR("{\"forgotten\":true}"));
        struct chat_tool_result wrong =
                chat_tool_result_read(&arena, CHAT_TOOL_FORGET, CM_STR("{\"forgotten\":1}"));
        const struct forget_result *decoded = right.decoded;

        assert_int_equal(right.status, CHAT_RESULT_DONE);
        assert_true(decoded->forgotten);
        assert_int_equal(wrong.status, CHAT_RESULT_UNAVAILABLE);
}

/* What a model reads: JSON, every tool, nothing that is only ours. */
static void test_registry(void **state CM_UNUSED)
{
        struct cm_json_writer writer;
        struct cm_json_error error;
        struct cm_json_node *root;
        struct cm_buf out = { 0 };

        cm_json_writer_init(&writer, &out);
        chat_tools_write(&writer);
        root = cm_json_parse(cm_buf_str(&out), &arena, &error);
        assert_non_null(root);
        assert_int_equal(root->count, CHAT_TOOLS);
        assert_int_equal(CHAT_TOOLS, 15);
        assert_null(strstr(out.data, "x-"));
        assert_null(strstr(out.data, "$ref"));
        assert_non_null(strstr(out.data, "\"enum\":[\"bad\",\"fair\",\"good\"]"));
        assert_int_equal(chat_tool_find(CM_STR("week_summary")), CHAT_TOOL_WEEK_SUMMARY);
        assert_int_equal(chat_tool_find(CM_STR("week")), CHAT_TOOLS);
        cm_buf_deinit(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_calls),
                                            cmocka_unit_test(test_same),
                                            cmocka_unit_test(test_results),
                                            cmocka_unit_test(test_registry) };

        return cmocka_run_group_tests(tests, setup, teardown);
}
