#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static void test_text(void **state CM_UNUSED)
{
        static const char *const refused[] = {
                "",
                "0193f2a0-0000-7000-8000-00000000000",
                "0193f2a0-0000-7000-8000-0000000000000",
                "0193f2a0x0000-7000-8000-000000000000",
                "0193f2a0-0000-7000-8000-00000000000g",
                "0193f2a000007000800000000000000000--",
                "{193f2a0-0000-7000-8000-00000000000}",
        };
        struct cm_uuid uuid;
        char out[CM_UUID_TEXT_SIZE];

        assert_true(cm_uuid_parse(CM_STR("0193F2a0-0123-7abc-8DEF-00112233445f"), &uuid));
        assert_string_equal(cm_uuid_format(&uuid, out), "0193f2a0-0123-7abc-8def-00112233445f");
        for (size_t i = 0; i < CM_COUNT(refused); i++)
                assert_false(cm_uuid_parse(cm_str_from(refused[i]), &uuid));
}

static void test_version_7_grows_within_a_millisecond_and_beyond_its_counter(void **state CM_UNUSED)
{
        cm_time now = 1763669712000000;
        struct cm_uuid last = cm_uuid7(now);
        uint64_t ms = 0;

        for (int i = 0; i < 6; i++)
                ms = ms << 8 | last.bytes[i];
        assert_true(ms == (uint64_t)now / 1000);
        for (int i = 0; i < 10000; i++) {
                struct cm_uuid next = cm_uuid7(i % 2 ? now : now - CM_SECOND);

                assert_true(memcmp(last.bytes, next.bytes, 16) < 0);
                assert_int_equal(next.bytes[6] >> 4, 7);
                assert_int_equal(next.bytes[8] >> 6, 2);
                last = next;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_version_7_grows_within_a_millisecond_and_beyond_its_counter),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
