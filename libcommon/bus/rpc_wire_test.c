#include "bus/rpc_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/time.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define REPLY "s1:reply:chat.00ff"

static struct cm_arena arena;

static int set_up(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 4096);
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

static const struct rpc_envelope whole = {
        .id = { ID, 32 },
        .source = { "/salus/chat", 11 },
        .type = { "memory.recall.v1", 16 },
        .traceparent = { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 55 },
        .reply = { REPLY, 18 },
        .timeout_us = 2 * CM_SECOND,
        .key = { "k", 1 },
        .data = { "{}", 2 },
};

static void comes_back_as_it_went(void **state CM_UNUSED)
{
        struct cm_str fields[RPC_ENVELOPE_TEXTS];
        struct rpc_envelope back;
        const char *what;
        size_t count = rpc_envelope_fields(&whole, &arena, fields);

        assert_int_equal(count, RPC_ENVELOPE_TEXTS);
        assert_int_equal(rpc_envelope_parse(fields, count, 2, &back, &what), 0);
        assert_true(cm_str_equal(back.id, whole.id));
        assert_true(cm_str_equal(back.source, whole.source));
        assert_true(cm_str_equal(back.type, whole.type));
        assert_true(cm_str_equal(back.traceparent, whole.traceparent));
        assert_true(cm_str_equal(back.reply, whole.reply));
        assert_true(cm_str_equal(back.key, whole.key));
        assert_true(cm_str_equal(back.data, whole.data));
        assert_int_equal(back.timeout_us, whole.timeout_us);
        assert_int_equal(rpc_envelope_parse(fields, count, 1, &back, &what), RPC_TOO_LARGE);
}

/* One field of a good request is changed (NULL: left out). */
static const struct {
        const char *name;
        const char *value;
        int fault;
} changes[] = {
        { "ce_id", NULL, RPC_UNANSWERABLE },
        { "ce_id", "", RPC_UNANSWERABLE },
        { "ce_id", "0123456789ABCDEF0123456789abcdef", RPC_UNANSWERABLE },
        { "ce_id", ID "0", RPC_UNANSWERABLE },
        { "reply", NULL, RPC_UNANSWERABLE },
        { "reply", "s1:signal:auth.keys", RPC_UNANSWERABLE },
        { "reply", "s1:reply:", RPC_UNANSWERABLE },
        { "reply", "s1:reply:chat", RPC_UNANSWERABLE },
        { "reply", "s1:reply:chat.", RPC_UNANSWERABLE },
        { "reply", "s1:reply:.x", RPC_UNANSWERABLE },
        { "reply", "s1:reply:chat.x\ny", RPC_UNANSWERABLE },
        { "ce_specversion", "0.3", RPC_MALFORMED },
        { "ce_specversion", NULL, RPC_MALFORMED },
        { "ce_datacontenttype", "text/plain", RPC_MALFORMED },
        { "ce_source", "", RPC_MALFORMED },
        { "ce_type", "a b", RPC_MALFORMED },
        { "ce_type", NULL, RPC_MALFORMED },
        { "timeout_ms", NULL, RPC_MALFORMED },
        { "timeout_ms", "0", RPC_MALFORMED },
        { "timeout_ms", "-1", RPC_MALFORMED },
        { "timeout_ms", "60001", RPC_MALFORMED },
        { "timeout_ms", "1e3", RPC_MALFORMED },
        { "timeout_ms", "9223372036854775808", RPC_MALFORMED },
        { "timeout_ms", "60000", 0 },
        { "timeout_ms", "1", 0 },
        { "idempotency_key", "", RPC_MALFORMED },
        { "idempotency_key", "a b", RPC_MALFORMED },
        { "idempotency_key", NULL, 0 },
        { "ce_traceparent", "nonsense", 0 },
        { "ce_traceparent", NULL, 0 },
        { "data", NULL, RPC_MALFORMED },
};

static void each_field_is_looked_at(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(changes); i++) {
                struct cm_str fields[RPC_ENVELOPE_TEXTS];
                struct rpc_envelope back;
                const char *what = NULL;
                size_t count = rpc_envelope_fields(&whole, &arena, fields);
                int r;

                for (size_t j = 0; j < count; j += 2) {
                        if (!cm_str_equal(fields[j], cm_str_from(changes[i].name)))
                                continue;
                        if (!changes[i].value)
                                fields[j] = CM_STR("other");
                        fields[j + 1] = cm_str_from(changes[i].value ?: "");
                }
                r = rpc_envelope_parse(fields, count, 100, &back, &what);
                if (r != changes[i].fault)
                        fail_msg("%s = %s: %d", changes[i].name, changes[i].value, r);
                if (r)
                        assert_string_equal(what, changes[i].name);
        }
}

static void an_answer_is_a_line_and_json(void **state CM_UNUSED)
{
        struct cm_buf out = { 0 };
        struct rpc_answer answer;

        rpc_answer_begin(&out, CM_STR(ID), RPC_OK);
        cm_buf_add_str(&out, CM_STR("{\"a\":\n1}"));
        assert_true(rpc_answer_parse(cm_buf_str(&out), &answer));
        assert_true(cm_str_equal(answer.id, CM_STR(ID)));
        assert_true(cm_str_equal(answer.code, RPC_OK));
        assert_true(cm_str_equal(answer.json, CM_STR("{\"a\":\n1}")));
        cm_buf_deinit(&out);

        assert_false(rpc_answer_parse(CM_STR(""), &answer));
        assert_false(rpc_answer_parse(CM_STR(ID), &answer));
        assert_false(rpc_answer_parse(CM_STR(ID " ok"), &answer));
        assert_false(rpc_answer_parse(CM_STR(ID " \n{}"), &answer));
        assert_false(rpc_answer_parse(CM_STR(ID "\n{}"), &answer));
        assert_false(rpc_answer_parse(CM_STR("0123 ok\n{}"), &answer));
}

static void a_problem_comes_back_as_it_went(void **state CM_UNUSED)
{
        const struct cm_rpc_problem problem = {
                .detail = CM_STR("too \"old\""),
                .faults = { .items = { { CM_STR("/a"), CM_STR("b") }, { CM_STR(""), CM_STR("c") } },
                            .count = 2 },
                .retry_after_s = 7,
        };
        struct cm_rpc_problem back;
        struct cm_buf out = { 0 };

        rpc_problem_write(&out, &problem);
        assert_int_equal(rpc_problem_read(cm_buf_str(&out), &arena, &back), 0);
        assert_true(cm_str_equal(back.detail, problem.detail));
        assert_int_equal(back.faults.count, 2);
        assert_true(cm_str_equal(back.faults.items[0].pointer, CM_STR("/a")));
        assert_true(cm_str_equal(back.faults.items[1].detail, CM_STR("c")));
        assert_int_equal(back.retry_after_s, 7);
        cm_buf_deinit(&out);
        assert_int_equal(rpc_problem_read(CM_STR("[]"), &arena, &back), -CM_E_PROTOCOL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(comes_back_as_it_went, set_up, tear_down),
                cmocka_unit_test_setup_teardown(each_field_is_looked_at, set_up, tear_down),
                cmocka_unit_test_setup_teardown(an_answer_is_a_line_and_json, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_problem_comes_back_as_it_went, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
