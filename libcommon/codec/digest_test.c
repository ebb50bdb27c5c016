#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "codec/digest.h"

/* FIPS 180-2, appendix B. */
static void vectors(void **state CM_UNUSED)
{
        static const struct {
                struct cm_str text;
                const char *want;
        } rows[] = {
                { CM_STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
                { CM_STR("abc"),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
                { CM_STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                uint8_t digest[CM_SHA256_SIZE];
                char hex[2 * CM_SHA256_SIZE + 1];

                cm_sha256(rows[i].text.data, rows[i].text.len, digest);
                cm_hex_encode(digest, sizeof(digest), hex);
                assert_string_equal(hex, rows[i].want);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(vectors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
