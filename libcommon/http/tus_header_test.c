#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "http/tus_internal.h"

static void test_numbers_are_plain_decimals(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                int64_t number; /* -1: refused */
        } rows[] = {
                { "0", 0 },    { "007", 7 },  { "9007199254740992", INT64_C(1) << 53 },
                { "", -1 },    { "-1", -1 },  { "+1", -1 },
                { " 1", -1 },  { "1x", -1 },  { "9007199254740993", -1 },
                { "0x1", -1 }, { "1.0", -1 }, { "99999999999999999", -1 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                int64_t number = -1;

                if (!cm_tus_parse_number(cm_str_from(rows[i].text), &number))
                        number = -1;
                assert_int_equal(number, rows[i].number);
        }
}

static void test_metadata(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                bool valid;
        } rows[] = {
                { "filename ZXhwb3J0LnppcA==", true },
                { "filename ZXhwb3J0LnppcA==,empty", true },
                { "filename ZXhwb3J0LnppcA==, type YQ==", true },
                { "a YQ==,a Yg==", false },
                { "a YQ", false },
                { "a Y===", false },
                { "a Y-==", false },
                { "a YQ== x", false },
                { "", false },
                { ",", false },
                { "a YQ==,", false },
                { " YQ==", true }, /* a key without a value */
                { "\x01 YQ==", false },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                if (cm_tus_metadata_is_valid(cm_str_from(rows[i].text)) != rows[i].valid)
                        fail_msg("%s", rows[i].text);
}

static void test_metadata_has_a_limit(void **state CM_UNUSED)
{
        char text[CM_TUS_MAX_METADATA + 8];

        memset(text, 'A', sizeof(text));
        memcpy(text, "a ", 2);
        assert_true(cm_tus_metadata_is_valid((struct cm_str){ text, CM_TUS_MAX_METADATA - 2 }));
        assert_false(cm_tus_metadata_is_valid((struct cm_str){ text, CM_TUS_MAX_METADATA + 2 }));
}

static void test_metadata_values_are_found(void **state CM_UNUSED)
{
        const struct cm_str metadata = CM_STR("name ZXhwb3J0LnppcA==,empty,bad /w==");
        struct cm_arena arena;

        cm_arena_init(&arena, 1024);
        assert_string_equal(cm_tus_metadata_find(metadata, CM_STR("name"), &arena).data,
                            "export.zip");
        assert_int_equal(cm_tus_metadata_find(metadata, CM_STR("empty"), &arena).len, 0);
        assert_non_null(cm_tus_metadata_find(metadata, CM_STR("empty"), &arena).data);
        assert_null(cm_tus_metadata_find(metadata, CM_STR("bad"), &arena).data);
        assert_null(cm_tus_metadata_find(metadata, CM_STR("nam"), &arena).data);
        cm_arena_deinit(&arena);
}

static void test_checksums(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                size_t size; /* 0: refused */
        } rows[] = {
                { "sha1 Lve95gjOVATpfV8EL5X4nxwjKHE=", 20 },
                { "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", 32 },
                { "sha256 Lve95gjOVATpfV8EL5X4nxwjKHE=", 0 },
                { "md5 Lve95gjOVATpfV8EL5X4nxwjKHE=", 0 },
                { "sha1", 0 },
                { "sha1 ", 0 },
                { "", 0 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_tus_checksum checksum = { 0 };
                bool good = cm_tus_parse_checksum(cm_str_from(rows[i].text), &checksum);

                assert_int_equal(good ? checksum.size : 0, rows[i].size);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_are_plain_decimals),
                cmocka_unit_test(test_metadata),
                cmocka_unit_test(test_metadata_has_a_limit),
                cmocka_unit_test(test_metadata_values_are_found),
                cmocka_unit_test(test_checksums),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
