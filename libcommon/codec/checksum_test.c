#include "codec/checksum.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* FIPS 180-2, appendices A and B: "abc", in pieces. */
static void test_pieces(void **state CM_UNUSED)
{
        static const struct {
                enum cm_checksum_kind kind;
                const char *want;
        } rows[] = {
                { CM_CHECKSUM_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
                { CM_CHECKSUM_SHA256,
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_checksum *checksum = cm_checksum_new(rows[i].kind);
                uint8_t digest[CM_CHECKSUM_MAX_SIZE];
                char hex[2 * CM_CHECKSUM_MAX_SIZE + 1];

                cm_checksum_add(checksum, CM_STR("a"));
                cm_checksum_add(checksum, CM_STR(""));
                cm_checksum_add(checksum, CM_STR("bc"));
                cm_hex_encode(digest, cm_checksum_finish(checksum, digest), hex);
                assert_string_equal(hex, rows[i].want);
                cm_checksum_free(&checksum);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_pieces) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
