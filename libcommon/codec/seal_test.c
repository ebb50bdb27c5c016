#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "codec/seal.h"

#define KEY_A "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define KEY_B "b:__79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eA"

static struct cm_seal_keys *keys_of(const char *text)
{
        struct cm_seal_keys *keys = NULL;

        assert_int_equal(cm_seal_keys_parse(cm_str_from(text), &keys), 0);
        return keys;
}

static int open_with(const char *key_text, const char *context, struct cm_str sealed,
                     const char *want)
{
        struct cm_seal_keys *keys = keys_of(key_text);
        struct cm_buf plain = { 0 };
        int r = cm_unseal(keys, cm_str_from(context), sealed, &plain);

        if (r == 0)
                assert_string_equal(plain.data, want);
        cm_buf_deinit(&plain);
        cm_seal_keys_free(&keys);
        return r;
}

static void keys_are_checked(void **state CM_UNUSED)
{
        static const struct {
                const char *text;
                int want;
        } rows[] = {
                { KEY_A, 0 },
                { KEY_A "," KEY_B, 0 },
                { "", -CM_E_MALFORMED },
                { KEY_A ",", -CM_E_MALFORMED },
                { KEY_A "," KEY_A, -CM_E_MALFORMED },
                { "a", -CM_E_MALFORMED },
                { "a:", -CM_E_MALFORMED },
                { ":AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", -CM_E_MALFORMED },
                { "a b:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", -CM_E_MALFORMED },
                { "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh", -CM_E_MALFORMED },
                { "a:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", -CM_E_MALFORMED },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_seal_keys *keys = NULL;

                assert_int_equal(cm_seal_keys_parse(cm_str_from(rows[i].text), &keys),
                                 rows[i].want);
                cm_seal_keys_free(&keys);
        }
}

static void what_was_sealed_opens(void **state CM_UNUSED)
{
        struct cm_seal_keys *keys = keys_of(KEY_A);
        struct cm_buf sealed = { 0 }, again = { 0 };

        cm_seal(keys, CM_STR("keys.pem.1"), CM_STR("secret"), &sealed);
        cm_seal(keys, CM_STR("keys.pem.1"), CM_STR("secret"), &again);
        assert_string_not_equal(sealed.data, again.data);
        assert_null(strstr(sealed.data, "secret"));

        assert_int_equal(open_with(KEY_A, "keys.pem.1", cm_buf_str(&sealed), "secret"), 0);
        assert_int_equal(open_with(KEY_B "," KEY_A, "keys.pem.1", cm_buf_str(&sealed), "secret"),
                         0);
        assert_int_equal(open_with(KEY_A, "keys.pem.2", cm_buf_str(&sealed), ""), CM_SEAL_BROKEN);
        assert_int_equal(open_with(KEY_B, "keys.pem.1", cm_buf_str(&sealed), ""),
                         CM_SEAL_UNKNOWN_KEY);

        cm_buf_reset(&sealed);
        cm_seal(keys, CM_STR("c"), CM_STR(""), &sealed);
        assert_int_equal(open_with(KEY_A, "c", cm_buf_str(&sealed), ""), 0);
        cm_buf_deinit(&sealed);
        cm_buf_deinit(&again);
        cm_seal_keys_free(&keys);
}

/* Whichever bit of the sealed bytes is flipped, nothing opens. */
static void no_flipped_bit_opens(void **state CM_UNUSED)
{
        struct cm_seal_keys *keys = keys_of(KEY_A);
        struct cm_buf sealed = { 0 }, raw = { 0 };

        cm_seal(keys, CM_STR("c"), CM_STR("secret"), &sealed);
        assert_true(cm_base64url_decode(cm_buf_str(&sealed), &raw));
        for (size_t bit = 0; bit < raw.len * 8; bit++) {
                struct cm_buf text = { 0 };

                raw.data[bit / 8] ^= (char)(1 << (bit % 8));
                cm_base64url_encode(raw.data, raw.len, &text);
                assert_true(open_with(KEY_A, "c", cm_buf_str(&text), "") > 0);
                raw.data[bit / 8] ^= (char)(1 << (bit % 8));
                cm_buf_deinit(&text);
        }
        for (size_t len = 0; len < sealed.len; len++)
                assert_true(open_with(KEY_A, "c", (struct cm_str){ sealed.data, len }, "") > 0);
        cm_buf_deinit(&raw);
        cm_buf_deinit(&sealed);
        cm_seal_keys_free(&keys);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keys_are_checked),
                cmocka_unit_test(what_was_sealed_opens),
                cmocka_unit_test(no_flipped_bit_opens),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
