#include "http/head.h"

#include <http_parser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* One head: what becomes of it. Expected values are looked at when it is good. */
struct row {
        const char *text;
        int outcome;
        int64_t length;
        bool chunked, keep_alive;
};

#define R "GET /x HTTP/1.1\r\n"
#define H "Host: a\r\n"

static const struct row rows[] = {
        { R H "\r\n", 0, -1, false, true },
        { R H "Connection: close\r\n\r\n", 0, -1, false, false },
        { R H "Connection: TE, Close\r\nConnection: x\r\n\r\n", 0, -1, false, false },
        { "GET /x HTTP/1.0\r\n\r\n", 0, -1, false, false },
        { "GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, -1, false, true },
        { R H "Content-Length: 12\r\n\r\n", 0, 12, false, true },
        { R H "content-length:0\r\n\r\n", 0, 0, false, true },
        { R H "Transfer-Encoding: Chunked\r\n\r\n", 0, -1, true, true },
        { R H "A:\r\nB: \t x y \t\r\n\r\n", 0, -1, false, true },
        { R H "A: \xc3\xa9\r\n\r\n", 0, -1, false, true },
        /* lines */
        { "GET /x HTTP/1.1\nHost: a\n\n", CM_HEAD_BAD },
        { R "Host: a\n\r\n", CM_HEAD_BAD },
        { R H "A: b\r\n c\r\n\r\n", CM_HEAD_BAD },
        { R H " A: b\r\n\r\n", CM_HEAD_BAD },
        { R H "A : b\r\n\r\n", CM_HEAD_BAD },
        { R H "A b\r\n\r\n", CM_HEAD_BAD },
        { R H ": b\r\n\r\n", CM_HEAD_BAD },
        { R H "A: b\x01\r\n\r\n", CM_HEAD_BAD },
        { R H "A: b\rc\r\n\r\n", CM_HEAD_BAD },
        { R H "A: \x7f\r\n\r\n", CM_HEAD_BAD },
        { R H "A(: b\r\n\r\n", CM_HEAD_BAD },
        /* request lines */
        { "GET  /x HTTP/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /x  HTTP/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /x HTTP/1.1 \r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /x\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET HTTP/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /a\tb HTTP/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "G\x01T /x HTTP/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /x http/1.1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /x HTTP/1,1\r\n" H "\r\n", CM_HEAD_BAD },
        { "GET /x HTTP/1.2\r\n" H "\r\n", CM_HEAD_VERSION },
        { "GET /x HTTP/2.0\r\n" H "\r\n", CM_HEAD_VERSION },
        /* what decides where the body ends, and whose request it is */
        { R "\r\n", CM_HEAD_BAD },
        { R H H "\r\n", CM_HEAD_BAD },
        { R H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: 1, 1\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: +1\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: -1\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: 0x1\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: 1 1\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length:\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: 99999999999999999999\r\n\r\n", CM_HEAD_BAD },
        { R H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", CM_HEAD_BAD },
        { R H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", CM_HEAD_BAD },
        { "GET /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CM_HEAD_BAD },
        { R H "Transfer-Encoding: gzip, chunked\r\n\r\n", CM_HEAD_CODING },
        { R H "Transfer-Encoding: xchunked\r\n\r\n", CM_HEAD_CODING },
        { R H "Expect: 200-ok\r\n\r\n", CM_HEAD_EXPECT },
        { R H "Authorization: a\r\nAuthorization: b\r\n\r\n", CM_HEAD_BAD },
        { R H "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n", CM_HEAD_BAD },
        { R H "A: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", CM_HEAD_MANY },
};

static int read_head(const char *text, struct cm_head *head)
{
        struct cm_str bytes = cm_str_from(text);
        size_t scanned = 0, len = 0;
        const char *why;
        int r = cm_head_find_end(bytes, &scanned, &len);

        if (r)
                return r;
        assert_int_equal(len, bytes.len);
        return cm_head_parse(bytes, 4, head, &why);
}

static void test_heads(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_head head;
                int r = read_head(rows[i].text, &head);

                if (r != rows[i].outcome)
                        fail_msg("%d, not %d, for\n%s", r, rows[i].outcome, rows[i].text);
                if (r)
                        continue;
                assert_int_equal(head.content_length, rows[i].length);
                assert_int_equal(head.chunked, rows[i].chunked);
                assert_int_equal(head.keep_alive, rows[i].keep_alive);
        }
}

static void test_a_head_in_pieces(void **state CM_UNUSED)
{
        struct cm_str all = CM_STR(R H "\r\nbody");
        size_t scanned = 0, len = 0;

        for (size_t n = 0; n < all.len - 4; n++)
                assert_int_equal(cm_head_find_end((struct cm_str){ all.data, n }, &scanned, &len),
                                 CM_HEAD_MORE);
        assert_int_equal(cm_head_find_end(all, &scanned, &len), 0);
        assert_int_equal(len, all.len - 4);
}

static void test_headers_are_found_by_name(void **state CM_UNUSED)
{
        struct cm_head head;

        assert_int_equal(read_head(R H "X-Two:  b c \r\nx-two: d\r\n\r\n", &head), 0);
        assert_true(cm_str_equal(cm_head_find(&head, CM_STR("x-TWO")), CM_STR("b c")));
        assert_null(cm_head_find(&head, CM_STR("x-three")).data);
        assert_true(cm_str_equal(head.method, CM_STR("GET")));
        assert_true(cm_str_equal(head.target, CM_STR("/x")));
}

/* The second opinion: http_parser reads what we accept, and reads the same. */
struct opinion {
        size_t url_len;
        size_t headers;
};

static int on_url(http_parser *parser, const char *at CM_UNUSED, size_t len)
{
        ((struct opinion *)parser->data)->url_len += len;
        return 0;
}

static int on_value(http_parser *parser, const char *at CM_UNUSED, size_t len CM_UNUSED)
{
        ((struct opinion *)parser->data)->headers++;
        return 0;
}

static int on_head(http_parser *parser)
{
        http_parser_pause(parser, 1);
        return 0;
}

static void test_another_parser_reads_the_same(void **state CM_UNUSED)
{
        const http_parser_settings settings = { .on_url = on_url,
                                                .on_header_value = on_value,
                                                .on_headers_complete = on_head };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct opinion opinion = { 0 };
                struct cm_head head;
                http_parser parser;

                if (read_head(rows[i].text, &head))
                        continue;
                http_parser_init(&parser, HTTP_REQUEST);
                parser.data = &opinion;
                http_parser_execute(&parser, &settings, rows[i].text, strlen(rows[i].text));
                assert_int_equal(HTTP_PARSER_ERRNO(&parser), HPE_PAUSED);
                assert_int_equal(opinion.url_len, head.target.len);
                assert_int_equal(opinion.headers, head.header_count);
                assert_int_equal(http_should_keep_alive(&parser), head.keep_alive);
                assert_int_equal(
                        parser.content_length == UINT64_MAX ? -1 : (int64_t)parser.content_length,
                        head.content_length);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_heads),
                cmocka_unit_test(test_a_head_in_pieces),
                cmocka_unit_test(test_headers_are_found_by_name),
                cmocka_unit_test(test_another_parser_reads_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
