#include "sse_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static const struct {
        const char *stream, *events; /* "type|data|id;" each */
} rows[] = {
        { "data: a\n\n", "message|a|;" },
        { "data: a\r\n\r\ndata: b\r\rdata:c\n\n", "message|a|;message|b|;message|c|;" },
        { "\xef\xbb\xbf"
          "data: a\n\n",
          "message|a|;" },
        { "\xef\xbb"
          "data: a\n\ndata: b\n\n",
          "message|b|;" },
        { ": keep-alive\n\n: x\ndata: a\n\n", "message|a|;" },
        { "event: add\nid: 7\ndata: a\ndata: b\n\ndata: c\n\n", "add|a\nb|7;message|c|7;" },
        { "data\n\ndata:\n\n", "message||;message||;" },
        { "event: x\n\ndata: a\n\n", "message|a|;" },
        { "foo: bar\ndata:  two\n\n", "message| two|;" },
        { "id: 1\nid\ndata: a\n\n", "message|a|;" },
        { "retry: 10\ndata: a\n\n", "message|a|;" },
        { "data: [DONE]", "message|[DONE]|;" },
        { "data: a\n\n\n\n", "message|a|;" },
        { "data: \xd7\xa9\xf0\x9f\x98\x80\n\n", "message|\xd7\xa9\xf0\x9f\x98\x80|;" },
};

static void feed(struct sse_parser *parser, struct cm_str piece, struct cm_buf *out)
{
        struct sse_event event;
        int r;

        while ((r = sse_parse(parser, &piece, &event)) == SSE_EVENT)
                cm_buf_printf(out, "%.*s|%.*s|%.*s;", CM_STR_ARG(event.type),
                              CM_STR_ARG(event.data), CM_STR_ARG(event.id));
        assert_int_equal(r, SSE_MORE);
        assert_int_equal(piece.len, 0);
}

static void check(size_t row, size_t first, size_t second)
{
        struct cm_str all = cm_str_from(rows[row].stream);
        struct sse_parser parser;
        struct sse_event event;
        struct cm_buf out = { 0 };

        sse_parser_init(&parser, 1000);
        feed(&parser, (struct cm_str){ all.data, first }, &out);
        feed(&parser, (struct cm_str){ all.data + first, second - first }, &out);
        feed(&parser, (struct cm_str){ all.data + second, all.len - second }, &out);
        if (sse_parse_end(&parser, &event))
                cm_buf_printf(&out, "%.*s|%.*s|%.*s;", CM_STR_ARG(event.type),
                              CM_STR_ARG(event.data), CM_STR_ARG(event.id));
        if (strcmp(out.data ? out.data : "", rows[row].events) != 0)
                fail_msg("row %zu cut at %zu and %zu: %s", row, first, second, out.data);
        cm_buf_deinit(&out);
        sse_parser_deinit(&parser);
}

static void test_every_cut(void **state CM_UNUSED)
{
        for (size_t row = 0; row < CM_COUNT(rows); row++)
                for (size_t first = 0; first <= strlen(rows[row].stream); first++)
                        for (size_t second = first; second <= strlen(rows[row].stream); second++)
                                check(row, first, second);
}

static void test_limits(void **state CM_UNUSED)
{
        struct cm_str line = CM_STR("data: 0123456789012345678901234567890\n\n");
        struct cm_str many = CM_STR("data: 0123456789\ndata: 0123456789\ndata: 0123456789\n\n");
        struct sse_parser parser;
        struct sse_event event;

        sse_parser_init(&parser, 30);
        assert_int_equal(sse_parse(&parser, &line, &event), -CM_E_TOO_LARGE);
        sse_parser_deinit(&parser);
        sse_parser_init(&parser, 30);
        assert_int_equal(sse_parse(&parser, &many, &event), -CM_E_TOO_LARGE);
        sse_parser_deinit(&parser);
}

static void test_retry(void **state CM_UNUSED)
{
        struct cm_str text = CM_STR("retry: 2500\nretry: x\n\n");
        struct sse_parser parser;
        struct sse_event event;

        sse_parser_init(&parser, 100);
        assert_int_equal(sse_parse(&parser, &text, &event), SSE_MORE);
        assert_int_equal(parser.retry_ms, 2500);
        assert_false(sse_parse_end(&parser, &event));
        sse_parser_deinit(&parser);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_cut),
                                            cmocka_unit_test(test_limits),
                                            cmocka_unit_test(test_retry) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
