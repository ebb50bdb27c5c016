#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "apple_scan.h"
#include "base/attr.h"
#include "base/mem.h"

/* Renders tokens as text: "<Name a=v|b=w /" with line and offset, "</Name", "!" for damaged ones.
 */
static void render(struct apple_scan *scan, const struct apple_token *token, struct cm_buf *out)
{
        int64_t line = apple_scan_line(scan);

        if (token->kind == APPLE_DAMAGED) {
                cm_buf_printf(out, "!%ld@%ld;", (long)line, (long)token->offset);
                return;
        }
        cm_buf_printf(out, "%s%.*s", token->kind == APPLE_END ? "/" : "", CM_STR_ARG(token->name));
        for (size_t i = 0; i < token->count; i++)
                cm_buf_printf(out, " %.*s=%.*s", CM_STR_ARG(token->attributes[i].name),
                              CM_STR_ARG(token->attributes[i].value));
        cm_buf_printf(out, "%s:%ld@%ld;", token->empty ? "/" : "", (long)line, (long)token->offset);
}

/* Scans `text` in pieces that end at `split` (and then every `step`). */
static int scan_all(struct cm_str text, size_t split, size_t step,
                    const struct apple_scan_config *config, struct cm_buf *out)
{
        struct apple_scan *scan = apple_scan_new(config);
        struct apple_token token;
        size_t at = 0, end = split;
        int r = APPLE_SCAN_MORE;

        cm_buf_reset(out);
        cm_buf_add(out, "", 0);
        while (at < text.len && r == APPLE_SCAN_MORE) {
                /* A copy of its own, so that a sanitizer sees reads beyond the piece. */
                size_t len = (end < text.len ? end : text.len) - at;
                char *piece = cm_alloc(len ? len : 1);

                memcpy(piece, text.data + at, len);
                apple_scan_feed(scan, piece, len);
                while ((r = apple_scan_next(scan, &token)) == 0)
                        render(scan, &token, out);
                at += len;
                end = at + step;
                memset(piece, '\n', len); /* the scanner may keep nothing of the piece */
                cm_free(piece);
        }
        apple_scan_free(&scan);
        return r;
}

struct scan_case {
        const char *name;
        struct cm_str text;
        const char *expected;
};

#define CASE(name, text, expected)                                                                 \
        {                                                                                          \
                name, CM_STR(text), expected                                                       \
        }
static const struct scan_case cases[] = {
        CASE("empty element", "<a/>", "a/:1@0;"),
        CASE("start and end", "<a>\n text <b x='1'></b>\n</a>",
             "a:1@0;b x=1:2@10;/b:2@19;/a:3@24;"),
        CASE("attributes", "<Record type=\"t\" unit='u'\n value = \"v\" />",
             "Record type=t unit=u value=v/:1@0;"),
        CASE("no blank between attributes", "<a b=\"1\"c=\"2\"/>", "a b=1 c=2/:1@0;"),
        CASE("lines and offsets", "\n\n<a/>\n<b/>", "a/:3@2;b/:4@7;"),
        CASE("namespaces", "<x:a xmlns:x=\"u\" x:b=\"1\"></x:a>", "a x=u b=1:1@0;/a:1@25;"),
        CASE("entities", "<a b=\"&lt;&amp;&gt;&quot;&apos;\"/>", "a b=<&>\"'/:1@0;"),
        CASE("character references", "<a b=\"&#65;&#x1F600;&#x5d0;\"/>",
             "a b=A\xF0\x9F\x98\x80\xD7\x90/:1@0;"),
        CASE("references that are none", "<a b=\"&lol9;&#0;&#xD800;&#x110000;&;&\"/>",
             "a b=&lol9;&#0;&#xD800;&#x110000;&;&/:1@0;"),
        CASE("referenced control character", "<a b=\"x&#11;y&#10;z\"/>", "a b=xy z/:1@0;"),
        CASE("0x0B and its kin", "<a b=\"x\x0by\x01z\x7f\"\x0b c=\"1\"/>", "a b=xyz c=1/:1@0;"),
        CASE("NUL", "<a b=\"x\0y\"/>", "a b=xy/:1@0;"),
        CASE("line breaks in values", "<a b=\"x\r\n\ty\"/>", "a b=x   y/:1@0;"),
        CASE("long value without anything odd",
             "<a b=\"0123456789abcdef0123456789abcdef\" c=\"1\"/>",
             "a b=0123456789abcdef0123456789abcdef c=1/:1@0;"),
        CASE("odd only behind the value", "<a b=\"0123456789\" c=\"&amp;\"/>",
             "a b=0123456789 c=&/:1@0;"),
        CASE("bytes that are no UTF-8", "<a b=\"\xff\xc3(\xe2\x82\"/>",
             "a b=\xEF\xBF\xBD\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD/:1@0;"),
        CASE("C1 controls", "<a b=\"x\xc2\x85y\"/>", "a b=xy/:1@0;"),
        CASE("> inside quotes", "<a b=\"1>2\" c='</a>'/><d/>", "!1@0;/a:1@14;d/:1@21;"),
        CASE("> alone inside quotes", "<a b=\"1>2\"/>", "a b=1>2/:1@0;"),
        CASE("the quote is missing", "<a b=\"1 c=\"2\"/>\n<d e=\"3\"/>", "!1@0;d e=3/:2@16;"),
        CASE("the last quote is missing", "<a b=\"1/>\n<d e=\"3\"/>", "!1@0;d e=3/:2@10;"),
        CASE("no value", "<a b><c/>", "!1@0;c/:1@5;"),
        CASE("no quotes", "<a b=1/><c/>", "!1@0;c/:1@8;"),
        CASE("no name", "<a =\"1\"/><c/></>", "!1@0;c/:1@9;!1@13;"),
        CASE("< in text", "1 < 2 <a/>", "a/:1@6;"),
        CASE("comments", "<!-- <a/> --><b/><!----><c/><!-- - -- --><d/>",
             "b/:1@13;c/:1@24;d/:1@41;"),
        CASE("comment with three dashes", "<!-- x ---><b/>", "b/:1@11;"),
        CASE("CDATA", "<a><![CDATA[<b/> ]] ]]]><c/></a>", "a:1@0;c/:1@24;/a:1@28;"),
        CASE("processing instruction", "<?xml version=\"1.0\"?\?><a/>", "a/:1@22;"),
        CASE("other declarations", "<!NOTATION x><!a/>", ""),
        CASE("byte order mark", "\xEF\xBB\xBF<a/>", "a/:1@3;"),
        CASE("plain doctype", "<!DOCTYPE HealthData><a/>", "a/:1@21;"),
        CASE("external doctype", "<!DOCTYPE a SYSTEM \"x>y\" 'z'><a/>", "a/:1@29;"),
        CASE("doctype with declarations",
             "<!DOCTYPE a [\n<!ELEMENT a (b)*>\n<!ATTLIST a b CDATA \"]>\">\n]>\n<a/>", "a/:5@61;"),
        CASE("doctype with comments", "<!DOCTYPE a [<!-- it's ]> \" --><!ELEMENT a EMPTY>]><a/>",
             "a/:1@51;"),
        CASE("doctype with a tag that is not closed",
             "<!DOCTYPE a [<!ATTLIST a\n b CDATA #IMPLIED\n<!ELEMENT b EMPTY>\n]><a/>", "a/:4@64;"),
        CASE("doctype whose quote never ends",
             "<!DOCTYPE HealthData [\n<!ATTLIST a \"b>\n]>\n<HealthData x=\"1\"><a/>",
             "HealthData x=1:4@42;a/:4@60;"),
        CASE("doctype that never ends", "<!DOCTYPE HealthData [ <HealthData><a/>",
             "HealthData:1@23;a/:1@35;"),
        CASE("entity bomb",
             "<!DOCTYPE b [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><x y=\"&b;\"/>",
             "x y=&b;/:1@60;"),
        CASE("nested brackets", "<!DOCTYPE a [<![INCLUDE[<!ELEMENT a EMPTY>]]>]><a/>", "a/:1@47;"),
};

static void test_every_split(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                for (size_t split = 0; split <= cases[i].text.len; split++) {
                        assert_int_equal(scan_all(cases[i].text, split, SIZE_MAX / 2, NULL, &out),
                                         APPLE_SCAN_MORE);
                        if (strcmp(out.data, cases[i].expected) != 0)
                                fail_msg("%s, split at %zu:\n%s\nexpected\n%s", cases[i].name,
                                         split, out.data, cases[i].expected);
                }
                for (size_t step = 1; step < 5; step++) {
                        assert_int_equal(scan_all(cases[i].text, step, step, NULL, &out),
                                         APPLE_SCAN_MORE);
                        if (strcmp(out.data, cases[i].expected) != 0)
                                fail_msg("%s, steps of %zu:\n%s", cases[i].name, step, out.data);
                }
        }
}

/* A tag beyond the limit is damaged, at the same place however it is split; what follows is read.
 */
static void test_long_tag(void **state CM_UNUSED)
{
        const struct apple_scan_config config = { .max_token = 64 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 }, text = { 0 };

        cm_buf_add_str(&text, CM_STR("<a b=\""));
        for (int i = 0; i < 200; i++)
                cm_buf_add_char(&text, 'x');
        cm_buf_add_str(&text,
                       CM_STR("\"/><c d=\"01234567890123456789012345678901234567890123456\"/>"));
        for (size_t split = 0; split <= text.len; split++) {
                assert_int_equal(scan_all(cm_buf_str(&text), split, 7, &config, &out),
                                 APPLE_SCAN_MORE);
                assert_string_equal(
                        out.data,
                        "!1@0;c d=01234567890123456789012345678901234567890123456/:1@209;");
        }
}

static void test_doctype_limit(void **state CM_UNUSED)
{
        const struct apple_scan_config config = { .max_doctype = 32 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

        assert_int_equal(scan_all(CM_STR("<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaaaaaaaa\">]><a/>"), 9,
                                  3, &config, &out),
                         APPLE_SCAN_TOO_LARGE);
        assert_int_equal(
                scan_all(CM_STR("<!DOCTYPE a [<!ENTITY a \"a\">]><a/>"), 9, 3, &config, &out),
                APPLE_SCAN_MORE);
}

static void test_many_attributes(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        struct apple_scan *scan = apple_scan_new(NULL);
        struct apple_token token;

        cm_buf_add_str(&text, CM_STR("<a"));
        for (int i = 0; i < 100; i++)
                cm_buf_printf(&text, " a%d='&amp;%d'", i, i);
        cm_buf_add_str(&text, CM_STR("/>"));
        apple_scan_feed(scan, text.data, text.len);
        assert_int_equal(apple_scan_next(scan, &token), 0);
        assert_int_equal(token.count, APPLE_MAX_ATTRIBUTES);
        assert_true(cm_str_equal(apple_token_get(&token, "a0"), CM_STR("&0")));
        assert_true(cm_str_equal(apple_token_get(&token, "a47"), CM_STR("&47")));
        assert_null(apple_token_get(&token, "a48").data);
        apple_scan_free(&scan);
}

/* What is found from a resumed position on is what was found the first time. */
static void test_resume(void **state CM_UNUSED)
{
        const struct cm_str text = CM_STR("<r>\n<a x='1'/>\n\n<b\n y='2'/> <c/>\n</r>");
        CM_CLEANUP(cm_buf_deinit) struct cm_buf whole = { 0 };
        struct apple_scan *scan = apple_scan_new(NULL);
        struct apple_token token;
        int64_t offsets[8], lines[8];
        size_t ends[8], count = 0;

        apple_scan_feed(scan, text.data, text.len);
        while (apple_scan_next(scan, &token) == 0) {
                render(scan, &token, &whole);
                apple_scan_position(scan, &offsets[count], &lines[count]);
                ends[count++] = whole.len;
        }
        apple_scan_free(&scan);
        assert_int_equal(count, 5);
        for (size_t i = 0; i < count; i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf rest = { 0 };

                cm_buf_add(&rest, "", 0);
                scan = apple_scan_new(NULL);
                apple_scan_resume(scan, offsets[i], lines[i]);
                apple_scan_feed(scan, text.data + offsets[i], text.len - (size_t)offsets[i]);
                while (apple_scan_next(scan, &token) == 0)
                        render(scan, &token, &rest);
                assert_string_equal(rest.data, whole.data + ends[i]);
                apple_scan_free(&scan);
        }
}

static void test_inside(void **state CM_UNUSED)
{
        static const struct {
                struct cm_str text;
                bool inside;
        } ends[] = {
                { CM_STR("<a>"), false },   { CM_STR("<a> text"), false },
                { CM_STR("<a"), true },     { CM_STR("<a b=\"1\""), true },
                { CM_STR("<!-- x"), true }, { CM_STR("<!DOCTYPE a ["), true },
                { CM_STR("<"), true },
        };

        for (size_t i = 0; i < CM_COUNT(ends); i++) {
                struct apple_scan *scan = apple_scan_new(NULL);
                struct apple_token token;

                apple_scan_feed(scan, ends[i].text.data, ends[i].text.len);
                while (apple_scan_next(scan, &token) == 0)
                        ;
                assert_int_equal(apple_scan_is_inside(scan), ends[i].inside);
                apple_scan_free(&scan);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_split),   cmocka_unit_test(test_long_tag),
                cmocka_unit_test(test_doctype_limit), cmocka_unit_test(test_many_attributes),
                cmocka_unit_test(test_resume),        cmocka_unit_test(test_inside),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
