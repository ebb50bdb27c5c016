#include "codec/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "base/uuid.h"

/* A schema of each kind, as the generator would write it. */
struct vital {
        int32_t kind;
        double value;
};
struct words {
        struct cm_str *items;
        size_t count;
};
struct thing {
        struct cm_str name;
        int64_t count;
        uint8_t has_count;
        double weight;
        uint8_t has_weight;
        bool on;
        uint8_t has_on;
        cm_time at;
        uint8_t has_at;
        cm_date day;
        uint8_t has_day;
        struct cm_uuid id;
        uint8_t has_id;
        struct words words;
        uint8_t has_words;
        struct cm_str extra;
        uint8_t has_extra;
        struct cm_str note;
        uint8_t has_note;
};

static const struct cm_schema name_schema = {
        .name = "name",
        .type = CM_TYPE_STRING,
        .size = sizeof(struct cm_str),
        .format = CM_FORMAT_LINE,
        .min_len = 1,
        .max_len = 5,
};
static const struct cm_schema count_schema = {
        .name = "count",
        .type = CM_TYPE_INTEGER,
        .size = sizeof(int64_t),
        .has_min = true,
        .min = -3,
        .has_max = true,
        .max = 10,
};
static const struct cm_schema weight_schema = {
        .name = "weight",
        .type = CM_TYPE_NUMBER,
        .size = sizeof(double),
        .has_min = true,
        .exclusive_min = true,
        .min = 0,
};
static const struct cm_schema on_schema = { .name = "on",
                                            .type = CM_TYPE_BOOLEAN,
                                            .size = sizeof(bool) };
static const struct cm_schema at_schema = { .name = "at",
                                            .type = CM_TYPE_TIME,
                                            .size = sizeof(cm_time) };
static const struct cm_schema day_schema = { .name = "day",
                                             .type = CM_TYPE_DATE,
                                             .size = sizeof(cm_date) };
static const struct cm_schema id_schema = { .name = "id",
                                            .type = CM_TYPE_UUID,
                                            .size = sizeof(struct cm_uuid) };
static const struct cm_schema words_schema = {
        .name = "words",
        .type = CM_TYPE_ARRAY,
        .size = sizeof(struct words),
        .items = &name_schema,
        .min_len = 1,
        .max_len = 3,
        .unique_items = true,
};
static const struct cm_schema extra_schema = {
        .name = "extra",
        .type = CM_TYPE_ANY,
        .size = sizeof(struct cm_str),
        .max_len = 40,
};
#define OPTIONAL(m)                                                                                \
        {                                                                                          \
#m, &m##_schema, offsetof(struct thing, m), offsetof(struct thing, has_##m),       \
                        false, false, false                                                        \
        }
static const struct cm_member thing_members[] = {
        { "na/m~e", &name_schema, offsetof(struct thing, name), CM_NO_OFFSET, true, false, false },
        OPTIONAL(count),
        OPTIONAL(weight),
        OPTIONAL(on),
        OPTIONAL(at),
        OPTIONAL(day),
        OPTIONAL(id),
        OPTIONAL(words),
        OPTIONAL(extra),
        { "note", &name_schema, offsetof(struct thing, note), offsetof(struct thing, has_note),
          false, true, false },
        { "made", &at_schema, offsetof(struct thing, at), offsetof(struct thing, has_at), false,
          false, true },
};
static const struct cm_schema thing_schema = {
        .name = "Thing",
        .type = CM_TYPE_OBJECT,
        .size = sizeof(struct thing),
        .members = thing_members,
        .member_count = CM_COUNT(thing_members),
};

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

/* "pointer: detail" lines of what is wrong with a document, or "" and its encoding in *out. */
static const char *faults_of(const struct cm_schema *schema, const char *json, struct cm_buf *out)
{
        struct cm_faults faults = { 0 };
        void *value = cm_arena_alloc(&arena, schema->size);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        int r = cm_schema_decode(schema, cm_str_from(json), &arena, value, &faults);

        assert_int_equal(r != 0, faults.count != 0);
        for (size_t i = 0; i < faults.count; i++)
                cm_buf_printf(&text, "%s%s: %s", i ? "\n" : "", faults.items[i].pointer.data,
                              faults.items[i].detail.data);
        if (r == 0 && out)
                cm_schema_encode(schema, value, out);
        return cm_arena_str(&arena, cm_buf_str(&text)).data;
}

static void test_what_is_right_comes_out_as_it_came_in(void **state CM_UNUSED)
{
        static const char *const rows[] = {
                "{\"na/m~e\":\"x\"}",
                "{\"na/m~e\":\"\xD7\xA9\xD7\x9C\",\"count\":-3,\"weight\":0.1,\"on\":false}",
                "{\"na/m~e\":\"x\",\"weight\":123456789.012345}",
                ("{\"na/m~e\":\"x\",\"weight\":1e-09,\"day\":\"2026-11-20\","
                 "\"id\":\"0193f2a0-0123-7abc-8def-00112233445f\"}"),
                "{\"na/m~e\":\"q\\\"\\\\q\",\"words\":[\"a\",\"b\"]}",
                "{\"na/m~e\":\"x\",\"extra\":{\"a\":[1,2.5,{\"b\":null}]}}",
                "{\"na/m~e\":\"x\",\"note\":null}",
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

                assert_string_equal(faults_of(&thing_schema, rows[i], &out), "");
                assert_string_equal(out.data, rows[i]);
        }
}

static void test_numbers_keep_fifteen_digits(void **state CM_UNUSED)
{
        static const char *const rows[] = { "0.1",
                                            "0.3",
                                            "99.5",
                                            "36.6",
                                            "72",
                                            "1.005",
                                            "123456789012345",
                                            "0.000123456789012345",
                                            "1.23456789012345e+20" };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

                assert_string_equal(faults_of(&weight_schema, rows[i], &out), "");
                assert_string_equal(out.data, rows[i]);
        }
}

static void test_each_fault_has_its_pointer(void **state CM_UNUSED)
{
        static const char *const rows[][2] = {
                { "{}", "/na~1m~0e: is required" },
                { "[]", ": must be an object" },
                { "{\"na/m~e\":1}", "/na~1m~0e: must be a text" },
                { "{\"na/m~e\":null}", "/na~1m~0e: must be a text" },
                { "{\"na/m~e\":\"\"}", "/na~1m~0e: must have at least 1 character" },
                { "{\"na/m~e\":\"sixsix\"}", "/na~1m~0e: must have at most 5 characters" },
                { "{\"na/m~e\":\"a\\nb\"}", "/na~1m~0e: must not contain control characters" },
                { "{\"na/m~e\":\"x\",\"a~/\":1}", "/a~0~1: is not a member of Thing" },
                { "{\"na/m~e\":\"x\",\"count\":11}", "/count: must be at most 10" },
                { "{\"na/m~e\":\"x\",\"count\":-4}", "/count: must be at least -3" },
                { "{\"na/m~e\":\"x\",\"count\":1.5}", "/count: must be a whole number" },
                { "{\"na/m~e\":\"x\",\"count\":\"1\"}", "/count: must be a whole number" },
                { "{\"na/m~e\":\"x\",\"count\":1e300}", "/count: must be a whole number" },
                { "{\"na/m~e\":\"x\",\"weight\":0}", "/weight: must be greater than 0" },
                { "{\"na/m~e\":\"x\",\"weight\":true}", "/weight: must be a number" },
                { "{\"na/m~e\":\"x\",\"on\":0}", "/on: must be true or false" },
                { "{\"na/m~e\":\"x\",\"at\":\"2026-11-20\"}",
                  "/at: must be a date-time with an offset (RFC 3339)" },
                { "{\"na/m~e\":\"x\",\"day\":\"2026-02-30\"}",
                  "/day: must be a date as YYYY-MM-DD" },
                { "{\"na/m~e\":\"x\",\"id\":\"x\"}", "/id: must be a UUID" },
                { "{\"na/m~e\":\"x\",\"words\":[]}", "/words: must have at least 1 item" },
                { "{\"na/m~e\":\"x\",\"words\":[\"a\",\"b\",\"c\",\"d\"]}",
                  "/words: must have at most 3 items" },
                { "{\"na/m~e\":\"x\",\"words\":[\"a\",7,\"a\"]}",
                  "/words/1: must be a text\n/words/2: must not appear twice" },
                { "{\"na/m~e\":\"x\",\"words\":{}}", "/words: must be an array" },
                { "{\"na/m~e\":\"x\",\"extra\":[]}", "/extra: must be an object" },
                { "{\"na/m~e\":\"x\",\"extra\":{\"a\":\"12345678901234567890123456789012345\"}}",
                  "/extra: must have at most 40 bytes" },
                { "{\"na/m~e\":\"x\",\"made\":\"2026-11-20T00:00:00Z\"}",
                  "/made: is set by the server" },
                { "{\"na/m~e\":\"x\",\"na/m~e\":\"y\"}",
                  ": a member appears twice (line 1, column 28)" },
                { "{\"na/m~e\":\"\\u0000\"}", ": a text contains U+0000 (line 1, column 14)" },
                { "{\"na/m~e\":\"\xFF\"}", ": is not valid UTF-8 (line 1, column 14)" },
                { "{\"na/m~e\":\"x\",\"count\":99999999999999999999}",
                  ": a number is out of range (line 1, column 43)" },
                { "{\"na/m~e\":\"x\",\"weight\":1e400}",
                  ": a number is out of range (line 1, column 29)" },
                { "{\"na/m~e\":\"x\",\"weight\":NaN}", ": is not JSON (line 1, column 24)" },
                { "", ": ends too early (line 1, column 1)" },
                { "{} x", ": something follows the document (line 1, column 4)" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_string_equal(faults_of(&thing_schema, rows[i][0], NULL), rows[i][1]);
}

static void test_depth_is_refused_before_it_hurts(void **state CM_UNUSED)
{
        static char deep[200001];

        memset(deep, '[', sizeof(deep) - 1);
        assert_string_equal(faults_of(&thing_schema, deep, NULL),
                            ": is nested deeper than 32 levels (line 1, column 33)");
        /* Brackets inside a text do not count. */
        strcpy(deep, "{\"na/m~e\":\"\\\"[[[\"}");
        assert_string_equal(faults_of(&thing_schema, deep, NULL), "");
}

static void test_at_most_sixteen_faults_are_told(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct cm_faults faults = { 0 };
        struct thing thing;

        cm_buf_add_char(&json, '{');
        for (int i = 0; i < 100; i++)
                cm_buf_printf(&json, "\"m%d\":1,", i);
        cm_buf_add_str(&json, CM_STR("\"na/m~e\":\"x\"}"));
        assert_int_equal(
                cm_schema_decode(&thing_schema, cm_buf_str(&json), &arena, &thing, &faults),
                CM_DECODE_FAULTS);
        assert_int_equal(faults.count, 16);
}

struct cat {
        int32_t kind;
        int64_t lives;
};
struct dog {
        int32_t kind;
        struct cm_str name;
};
struct pet {
        int32_t kind;
        union {
                struct cat cat;
                struct dog dog;
        };
};
static const char *const cat_values[] = { "cat" }, *const dog_values[] = { "dog" };
static const struct cm_schema cat_kind = {
        .name = "kind", .type = CM_TYPE_ENUM, .size = 4, .values = cat_values, .value_count = 1
};
static const struct cm_schema dog_kind = {
        .name = "kind", .type = CM_TYPE_ENUM, .size = 4, .values = dog_values, .value_count = 1
};
static const struct cm_member cat_members[] = {
        { "kind", &cat_kind, offsetof(struct cat, kind), CM_NO_OFFSET, true, false, false },
        { "lives", &count_schema, offsetof(struct cat, lives), CM_NO_OFFSET, true, false, false },
};
static const struct cm_member dog_members[] = {
        { "kind", &dog_kind, offsetof(struct dog, kind), CM_NO_OFFSET, true, false, false },
        { "name", &name_schema, offsetof(struct dog, name), CM_NO_OFFSET, true, false, false },
};
static const struct cm_schema cat_schema = { .name = "Cat",
                                             .type = CM_TYPE_OBJECT,
                                             .size = sizeof(struct cat),
                                             .members = cat_members,
                                             .member_count = 2 };
static const struct cm_schema dog_schema = { .name = "Dog",
                                             .type = CM_TYPE_OBJECT,
                                             .size = sizeof(struct dog),
                                             .members = dog_members,
                                             .member_count = 2 };
static const struct cm_variant pet_variants[] = { { "cat", &cat_schema, 1 },
                                                  { "dog", &dog_schema, 2 } };
static const struct cm_schema pet_schema = {
        .name = "Pet",
        .type = CM_TYPE_ONE_OF,
        .size = sizeof(struct pet),
        .discriminator = "kind",
        .variants = pet_variants,
        .variant_count = 2,
        .union_offset = offsetof(struct pet, cat),
};

static void test_one_of(void **state CM_UNUSED)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

        assert_string_equal(faults_of(&pet_schema, "{\"name\":\"Rex\",\"kind\":\"dog\"}", &out),
                            "");
        assert_string_equal(out.data, "{\"kind\":\"dog\",\"name\":\"Rex\"}");
        assert_string_equal(faults_of(&pet_schema, "{\"kind\":\"cat\",\"name\":\"Rex\"}", NULL),
                            "/name: is not a member of Cat\n/lives: is required");
        assert_string_equal(faults_of(&pet_schema, "{\"kind\":\"cow\"}", NULL),
                            "/kind: must be one of: cat, dog");
        assert_string_equal(faults_of(&pet_schema, "{\"kind\":3}", NULL),
                            "/kind: must be one of: cat, dog");
        assert_string_equal(faults_of(&pet_schema, "{}", NULL), "/kind: must be one of: cat, dog");
        assert_string_equal(faults_of(&pet_schema, "7", NULL), ": must be an object");
}

static void test_parameters(void **state CM_UNUSED)
{
        static const struct {
                const struct cm_schema *schema;
                const char *text;
                const char *fault; /* NULL: right */
        } rows[] = {
                { &count_schema, "7", NULL },
                { &count_schema, "11", "must be at most 10" },
                { &count_schema, "7.0", "must be a whole number" },
                { &weight_schema, "1.", "must be a number" },
                { &weight_schema, "01.5", "must be a number" },
                { &weight_schema, " 1", "must be a number" },
                { &weight_schema, "0x1", "must be a number" },
                { &weight_schema, "1e5", NULL },
                { &count_schema, "", "must be a whole number" },
                { &weight_schema, "0.5", NULL },
                { &weight_schema, "5e-1", NULL },
                { &weight_schema, "+5", "must be a number" },
                { &weight_schema, ".5", "must be a number" },
                { &weight_schema, "0x10", "must be a number" },
                { &weight_schema, "inf", "must be a number" },
                { &weight_schema, "1e999", "must be a number" },
                { &on_schema, "true", NULL },
                { &on_schema, "TRUE", "must be true or false" },
                { &at_schema, "2026-11-20T00:00:00+02:00", NULL },
                { &name_schema, "abc", NULL },
                { &name_schema, "a\xC3", "must be valid UTF-8 without U+0000" },
                { &words_schema, "a,b", NULL },
                { &words_schema, "a,b,c,d", "must have at most 3 items" },
                { &words_schema, "a,,b", "must have at least 1 character" },
        };
        union {
                struct cm_items items;
                double number;
                int64_t integer;
                struct cm_str text;
        } out;

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_faults faults = { 0 };
                int r = cm_schema_decode_text(rows[i].schema, cm_str_from(rows[i].text),
                                              CM_STR("/query/x"), &arena, &out, &faults);

                assert_int_equal(r, rows[i].fault ? CM_DECODE_FAULTS : 0);
                if (!rows[i].fault)
                        continue;
                assert_string_equal(faults.items[0].pointer.data, "/query/x");
                assert_string_equal(faults.items[0].detail.data, rows[i].fault);
        }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(test_what_is_right_comes_out_as_it_came_in),
                TEST(test_numbers_keep_fifteen_digits),
                TEST(test_each_fault_has_its_pointer),
                TEST(test_depth_is_refused_before_it_hurts),
                TEST(test_at_most_sixteen_faults_are_told),
                TEST(test_one_of),
                TEST(test_parameters),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
