#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "codec/json_tree.h"

static struct cm_arena arena;

static int set_up(void **state CM_UNUSED)
{
        cm_arena_init(&arena, 16384);
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        cm_arena_deinit(&arena);
        return 0;
}

static struct cm_json_node *parse(struct cm_str text, struct cm_json_error *error)
{
        return cm_json_parse(text, &arena, error);
}

static void what_is_not_json(void **state CM_UNUSED)
{
        static const struct {
                const char *text, *what;
                int line, column;
        } rows[] = {
                { "", "ends too early", 1, 1 },
                { " \n ", "ends too early", 2, 2 },
                { "{", "ends too early", 1, 2 },
                { "{\"a\"", "ends too early", 1, 5 },
                { "{\"a\":", "ends too early", 1, 6 },
                { "{\"a\":1", "ends too early", 1, 7 },
                { "{\"a\":1,", "ends too early", 1, 8 },
                { "[1,", "ends too early", 1, 4 },
                { "\"a", "ends too early", 1, 3 },
                { "\"a\\", "ends too early", 1, 3 },
                { "-", "ends too early", 1, 2 },
                { "1.", "ends too early", 1, 3 },
                { "1e+", "ends too early", 1, 4 },
                { "{a:1}", "is not JSON", 1, 2 },
                { "{\"a\" 1}", "is not JSON", 1, 6 },
                { "{\"a\":1,}", "is not JSON", 1, 8 },
                { "{\"a\":1 \"b\":2}", "is not JSON", 1, 8 },
                { "[1,]", "is not JSON", 1, 4 },
                { "[1 2]", "is not JSON", 1, 4 },
                { "[}", "is not JSON", 1, 2 },
                { "tru", "is not JSON", 1, 1 },
                { "True", "is not JSON", 1, 1 },
                { "NaN", "is not JSON", 1, 1 },
                { "+1", "is not JSON", 1, 1 },
                { ".5", "is not JSON", 1, 1 },
                { "01", "is not JSON", 1, 3 },
                { "-01", "is not JSON", 1, 4 },
                { "1.x", "is not JSON", 1, 3 },
                { "1ex", "is not JSON", 1, 3 },
                { "'a'", "is not JSON", 1, 1 },
                { "// a\n1", "is not JSON", 1, 1 },
                { "\xEF\xBB\xBF{}", "is not JSON", 1, 1 },
                { "\"\\x\"", "is not JSON", 1, 2 },
                { "\"\\u12g4\"", "is not JSON", 1, 4 },
                { "\"\\u0000\"", "a text contains U+0000", 1, 4 },
                { "\"\\ud800\"", "a text contains half of a surrogate pair", 1, 8 },
                { "\"\\ud800\\u0041\"", "a text contains half of a surrogate pair", 1, 8 },
                { "\"\\udc00\"", "a text contains half of a surrogate pair", 1, 4 },
                { "\"a\nb\"", "a text contains a control character", 1, 3 },
                { "\"\xff\"", "is not valid UTF-8", 1, 4 },
                { "\"\xed\xa0\x80\"", "is not valid UTF-8", 1, 6 },
                { "\"\xc0\xaf\"", "is not valid UTF-8", 1, 5 },
                { "{\"a\":1,\"a\":2}", "a member appears twice", 1, 14 },
                { "{\"a\":1,\"\\u0061\":2}", "a member appears twice", 1, 19 },
                { "9223372036854775808", "a number is out of range", 1, 20 },
                { "-9223372036854775809", "a number is out of range", 1, 21 },
                { "99999999999999999999999", "a number is out of range", 1, 24 },
                { "1e309", "a number is out of range", 1, 6 },
                { "-1e999999999999999999999", "a number is out of range", 1, 25 },
                { "1 1", "something follows the document", 1, 3 },
                { "{}\n}", "something follows the document", 2, 1 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_json_error error = { 0 };

                if (parse(cm_str_from(rows[i].text), &error))
                        fail_msg("taken: %s", rows[i].text);
                if (strcmp(error.what, rows[i].what) || error.line != rows[i].line ||
                    error.column != rows[i].column)
                        fail_msg("%s: %s at %d:%d", rows[i].text, error.what, error.line,
                                 error.column);
        }
}

static void bytes_that_are_no_text(void **state CM_UNUSED)
{
        struct cm_json_error error;

        assert_null(parse((struct cm_str){ "1\0", 2 }, &error));
        assert_null(parse((struct cm_str){ "\"a\0b\"", 5 }, &error));
        assert_null(parse((struct cm_str){ "\"\\\0\"", 4 }, &error));
        assert_null(parse(CM_STR_NONE, &error));
        /* What lies behind the end is not looked at. */
        assert_non_null(parse((struct cm_str){ "12", 1 }, &error));
        assert_null(parse((struct cm_str){ "\"a\"", 2 }, &error));
        assert_null(parse((struct cm_str){ "true", 3 }, &error));
}

static void texts(void **state CM_UNUSED)
{
        static const struct {
                const char *json, *text;
        } rows[] = {
                { "\"\"", "" },
                { "\"a\"", "a" },
                { "\"0123456701234567\\n\"", "0123456701234567\n" },
                { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
                { "\"\\u0041\\u05d0\\u20ac\\ud83d\\ude00.\"", "Aא€😀." },
                { "\"\\uD83D\\uDE00\"", "😀" },
                { "\"א€😀\\n\"", "א€😀\n" },
                { "\"\x7f\"", "\x7f" },
        };
        struct cm_json_error error;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_json_node *node = parse(cm_str_from(rows[i].json), &error);

                assert_non_null(node);
                assert_int_equal(node->type, CM_JSON_TEXT);
                assert_true(cm_str_equal(node->text, cm_str_from(rows[i].text)));
        }
}

static void depth(void **state CM_UNUSED)
{
        char text[65];
        struct cm_json_error error;

        memset(text, '[', 32);
        memset(text + 32, ']', 32);
        assert_non_null(parse((struct cm_str){ text, 64 }, &error));
        memset(text, '[', 33);
        assert_null(parse((struct cm_str){ text, 65 }, &error));
        assert_int_equal(error.column, 33);
}

/* More members than are compared one by one. */
static void many_members(void **state CM_UNUSED)
{
        for (int twin = 0; twin < 2; twin++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
                struct cm_json_error error = { 0 };
                struct cm_json_node *node;

                for (int i = 0; i < 1000; i++)
                        cm_buf_printf(&json, "%c\"m%d\":%d", i ? ',' : '{', i, i);
                cm_buf_printf(&json, ",\"m%d\":0}", twin ? 500 : 1000);
                node = parse(cm_buf_str(&json), &error);
                if (twin)
                        assert_string_equal(error.what, "a member appears twice");
                else
                        assert_int_equal(node->count, 1001);
        }
}

/* ---- the same as jansson, whatever comes */

static bool is_same(const struct cm_json_node *ours, const json_t *theirs);

static bool is_same_object(const struct cm_json_node *ours, const json_t *theirs)
{
        if (ours->count != json_object_size(theirs))
                return false;
        for (const struct cm_json_node *member = ours->first; member; member = member->next) {
                struct cm_str name = cm_arena_str(&arena, member->name);
                const json_t *value = json_object_get(theirs, name.data);

                if (!value || !is_same(member, value))
                        return false;
        }
        return true;
}

static bool is_same_array(const struct cm_json_node *ours, const json_t *theirs)
{
        size_t i = 0;

        if (ours->count != json_array_size(theirs))
                return false;
        for (const struct cm_json_node *item = ours->first; item; item = item->next)
                if (!is_same(item, json_array_get(theirs, i++)))
                        return false;
        return true;
}

static bool is_same(const struct cm_json_node *ours, const json_t *theirs)
{
        struct cm_str text = { json_string_value(theirs), json_string_length(theirs) };

        switch (ours->type) {
        case CM_JSON_NULL:
                return json_is_null(theirs);
        case CM_JSON_BOOL:
                return json_is_boolean(theirs) && json_is_true(theirs) == ours->boolean;
        case CM_JSON_INTEGER:
                return json_is_integer(theirs) && json_integer_value(theirs) == ours->integer;
        case CM_JSON_REAL:
                return json_is_real(theirs) && json_real_value(theirs) == ours->real;
        case CM_JSON_TEXT:
                return json_is_string(theirs) && cm_str_equal(ours->text, text);
        case CM_JSON_ARRAY:
                return json_is_array(theirs) && is_same_array(ours, theirs);
        case CM_JSON_OBJECT:
                return json_is_object(theirs) && is_same_object(ours, theirs);
        }
        return false;
}

static void compare(struct cm_str text)
{
        json_t *theirs =
                json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
        struct cm_json_error error;
        const struct cm_json_node *ours = parse(text, &error);

        if (!ours != !theirs)
                fail_msg("%s by jansson, %s by us: %.*s", theirs ? "taken" : "refused",
                         ours ? "taken" : "refused", CM_STR_ARG(text));
        if (ours && !is_same(ours, theirs))
                fail_msg("not the same: %.*s", CM_STR_ARG(text));
        json_decref(theirs);
}

static uint64_t draw(uint64_t *seed)
{
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        return *seed >> 33;
}

/* Documents with a few bytes changed, taken out, or doubled. */
static void the_same_as_jansson(void **state CM_UNUSED)
{
        static const char *const seeds[] = {
                "{\"a\":[1,-2.5e3,true,false,null,\"x\\u00e9\\ud83d\\ude00\\n\"],\"b\":{\"c\":{}},"
                "\"d\":0}",
                "[0,-0,0.0,1e5,1E+22,1e-23,123456789012345678,9223372036854775807,0.1,2."
                "2250738585072014e-308]",
                "[1.7976931348623157e308,3.141592653589793238462643,1e-400,72.35,"
                "179769313486231580793e289]",
                "\"שלום \\\"עולם\\\" 0123456789 abcdefghijklmnop €\"",
                " {\n\t\"occurred_at\" : \"2026-11-20T20:15:12Z\" , \"value\" : 36.6 }\r\n",
        };
        static const char alphabet[] =
                "{}[]\",:\\u0123456789abcdefDd8C+-.eEtrufalsn \n\t\xc3\xa9\xf0\x9f\x01";
        uint64_t seed = 20261120;

        for (int i = 0; i < 60000; i++) {
                const char *from = seeds[draw(&seed) % CM_COUNT(seeds)];
                size_t len = strlen(from);
                char text[256];

                memcpy(text, from, len);
                for (uint64_t changes = draw(&seed) % 4; changes > 0; changes--) {
                        size_t at = draw(&seed) % len;

                        if (draw(&seed) % 3 == 0 && len > 2)
                                memmove(text + at, text + at + 1, --len - at);
                        else if (draw(&seed) % 2 && len < sizeof(text) - 1)
                                memmove(text + at + 1, text + at, len++ - at);
                        else
                                text[at] = alphabet[draw(&seed) % (sizeof(alphabet) - 1)];
                }
                compare((struct cm_str){ text, len });
                cm_arena_reset(&arena);
        }
}

/* Numbers of every length, against strtod by way of jansson. */
static void numbers_as_jansson_reads_them(void **state CM_UNUSED)
{
        uint64_t seed = 1;
        char text[64];

        for (int i = 0; i < 100000; i++) {
                uint64_t digits = draw(&seed) << 31 | draw(&seed);
                int exponent = (int)(draw(&seed) % 80) - 40, len;

                digits >>= draw(&seed) % 60;
                len = snprintf(text, sizeof(text), "%s%llu.%03llue%d", i % 2 ? "-" : "",
                               (unsigned long long)digits, (unsigned long long)(draw(&seed) % 1000),
                               exponent);
                compare((struct cm_str){ text, (size_t)len });
                cm_arena_reset(&arena);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_not_json),
                cmocka_unit_test(bytes_that_are_no_text),
                cmocka_unit_test(texts),
                cmocka_unit_test(depth),
                cmocka_unit_test(many_members),
                cmocka_unit_test(the_same_as_jansson),
                cmocka_unit_test(numbers_as_jansson_reads_them),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
