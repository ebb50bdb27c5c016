#include "http/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* Feeds the bytes in pieces of `step`; gives the payload, or NULL when they are malformed. */
static const char *read_body(struct cm_body *body, const char *text, size_t step, size_t *left_r)
{
        static struct cm_buf payload;
        size_t at = 0, len = strlen(text), used;
        struct cm_str piece;

        cm_buf_reset(&payload);
        cm_buf_add(&payload, "", 0);
        while (at < len && !cm_body_ended(body)) {
                size_t n = len - at < step ? len - at : step;

                if (cm_body_next(body, (struct cm_str){ text + at, n }, &used, &piece) < 0)
                        return NULL;
                cm_buf_add_str(&payload, piece);
                at += used;
        }
        *left_r = len - at;
        return payload.data;
}

static const struct {
        const char *text;
        const char *payload; /* NULL: malformed */
        bool ended;
        size_t left;
} rows[] = {
        { "0\r\n\r\n", "", true, 0 },
        { "3\r\nabc\r\n0\r\n\r\nGET", "abc", true, 3 },
        { "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", true, 0 },
        { "3;x=\"y\"\r\nabc\r\n0;z\r\nTrailer: x\r\nB: c\r\n\r\n", "abc", true, 0 },
        { "3\r\nabc\r\n0\r\n", "abc", false, 0 },
        { "3\r\nab", "ab", false, 0 },
        { "\r\n", NULL },
        { "x\r\n", NULL },
        { "3\n", NULL },
        { "3\rX", NULL },
        { "3 \r\nabc\r\n", NULL },
        { "0x3\r\nabc\r\n", NULL },
        { "+3\r\nabc\r\n", NULL },
        { "3\r\nabcd\r\n", NULL },
        { "3\r\nabc\n0\r\n\r\n", NULL },
        { "3\r\nabc\rX", NULL },
        { "3;\x01\r\nabc\r\n", NULL },
        { "1000000000000000\r\n", NULL },
        { "0\r\nA: b\n\r\n", NULL },
        { "0\r\nA: \x01\r\n\r\n", NULL },
};

static void test_chunks_in_pieces_of_any_size(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                for (size_t step = 1; step < 20; step++) {
                        struct cm_body body;
                        size_t left = 0;
                        const char *payload;

                        cm_body_init(&body, -1, true);
                        payload = read_body(&body, rows[i].text, step, &left);
                        if (!payload != !rows[i].payload)
                                fail_msg("%s is %s", rows[i].text, payload ? "good" : "bad");
                        if (!payload)
                                continue;
                        assert_string_equal(payload, rows[i].payload);
                        assert_int_equal(cm_body_ended(&body), rows[i].ended);
                        assert_int_equal(left, rows[i].left);
                        assert_int_equal(body.received, strlen(payload));
                }
        }
}

static void test_a_length(void **state CM_UNUSED)
{
        struct cm_body body;
        size_t left = 0;

        cm_body_init(&body, 5, false);
        assert_string_equal(read_body(&body, "helloGET", 3, &left), "hello");
        assert_true(cm_body_ended(&body));
        assert_int_equal(left, 3);
        cm_body_init(&body, 0, false);
        assert_true(cm_body_ended(&body));
        cm_body_init(&body, -1, false);
        assert_true(cm_body_ended(&body));
}

static void test_trailers_and_extensions_have_a_bound(void **state CM_UNUSED)
{
        static const char *const starts[] = { "0\r\n", "3;" };

        for (size_t i = 0; i < CM_COUNT(starts); i++) {
                struct cm_body body;
                struct cm_str piece;
                size_t used, fed = 0;
                int r;

                cm_body_init(&body, -1, true);
                r = cm_body_next(&body, cm_str_from(starts[i]), &used, &piece);
                while (r == 0 && fed < 100000) {
                        r = cm_body_next(&body, CM_STR("x"), &used, &piece);
                        fed++;
                }
                assert_int_equal(r, -CM_E_MALFORMED);
                assert_true(fed < 5000);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_chunks_in_pieces_of_any_size),
                cmocka_unit_test(test_a_length),
                cmocka_unit_test(test_trailers_and_extensions_have_a_bound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
