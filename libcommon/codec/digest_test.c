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

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block). */
static void keyed_vectors(void **state CM_UNUSED)
{
        static const struct {
                struct cm_str key;
                struct cm_str text;
                const char *want;
        } rows[] = {
                { CM_STR("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                         "\x0b\x0b"),
                  CM_STR("Hi There"),
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
                { CM_STR("Jefe"), CM_STR("what do ya want for nothing?"),
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        };
        static const char *const long_key_want =
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        char long_key[131];
        uint8_t digest[CM_SHA256_SIZE];
        char hex[2 * CM_SHA256_SIZE + 1];

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                cm_hmac_sha256(rows[i].key, rows[i].text.data, rows[i].text.len, digest);
                cm_hex_encode(digest, sizeof(digest), hex);
                assert_string_equal(hex, rows[i].want);
        }
        for (size_t i = 0; i < sizeof(long_key); i++)
                long_key[i] = (char)0xaa;
        cm_hmac_sha256((struct cm_str){ long_key, sizeof(long_key) },
                       "Test Using Larger Than Block-Size Key - Hash Key First", 54, digest);
        cm_hex_encode(digest, sizeof(digest), hex);
        assert_string_equal(hex, long_key_want);
}

/* RFC 2202, cases 1 and 2. */
static void keyed_sha1_vectors(void **state CM_UNUSED)
{
        static const struct {
                struct cm_str key;
                struct cm_str text;
                const char *want;
        } rows[] = {
                { CM_STR("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
                         "\x0b\x0b"),
                  CM_STR("Hi There"), "b617318655057264e28bc0b6fb378c8ef146be00" },
                { CM_STR("Jefe"), CM_STR("what do ya want for nothing?"),
                  "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                uint8_t digest[CM_SHA1_SIZE];
                char hex[2 * CM_SHA1_SIZE + 1];

                cm_hmac_sha1(rows[i].key, rows[i].text.data, rows[i].text.len, digest);
                cm_hex_encode(digest, sizeof(digest), hex);
                assert_string_equal(hex, rows[i].want);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(vectors),
                cmocka_unit_test(keyed_vectors),
                cmocka_unit_test(keyed_sha1_vectors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
