#include "stored_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MIB (INT64_C(1) << 20)

/* Made by bcrypt 5.0 and argon2-cffi 25.1 of Python and by its hashlib (OpenSSL). */
static const struct {
        const char *hash;
        enum hash_scheme scheme;
} of_horse[] = {
        { "$2a$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW", HASH_BCRYPT },
        { "$2b$04$QjuImFXImCe0MlZ2fVH3weC1mPcCRkssVXZ1pg4wWdkDExD2D6Qfe", HASH_BCRYPT },
        { "$2y$05$b1yu9VxvtI7IGCOQITrmoOqQMN1aCySKuYd5bD.eTD0XA/ov1lf9W", HASH_BCRYPT },
        { "$argon2id$v=19$m=64,t=2,p=1$c29tZSBzYWx0IG9mIGl0IQ$"
          "VfF8n/tzWpejWwcoTIjHkJYdeaZrpzBATCDdg8g/loQ",
          HASH_ARGON2 },
        { "$argon2id$v=19$m=64,t=3,p=4$c29tZSBzYWx0IG9mIGl0IQ$"
          "ATKUKVF1lIJXuZxv/BRk1vqZrPKaLwgIvAU2ekDfYFY",
          HASH_ARGON2 },
        { "$argon2id$v=19$m=19456,t=1,p=1$c29tZSBzYWx0IG9mIGl0IQ$FobxO1ZiTlNiYLp4nL8bkg",
          HASH_ARGON2 },
        { "$argon2i$v=19$m=64,t=3,p=1$c29tZSBzYWx0IG9mIGl0IQ$"
          "fh2Y1XLSQqXNnN+gCd2Y22ha9aEzBpEFJbgV8u2pflQ",
          HASH_ARGON2 },
        { "$pbkdf2-sha1$i=1000$AAECAwQFBgcICQoLDA0ODw$AOm/kOb/+YAZ3ZwSogYgNu9fO1g", HASH_PBKDF2 },
        { "$pbkdf2-sha256$i=2000$AAECAwQFBgcICQoLDA0ODw$"
          "dHrv0WO6TTplluvGUzKcNCpMnnwd8jlNMK5NBd+OAA4",
          HASH_PBKDF2 },
        { "$pbkdf2-sha512$i=1500$AAECAwQFBgcICQoLDA0ODw$"
          "7JqmOt8wvz8/DCqNlJ1K35XgjJ+XWrFp8c9gqd2BnDSRQHIjnMgarYIV8eUmVi4QtIknH0xRg6s8UwheDQDiaA",
          HASH_PBKDF2 },
        { "$pbkdf2-sha256$i=1200$AAECAwQFBgcICQoLDA0ODw$"
          "cLVC0OlPTMXgGyBMMbYG/8206mrFiQxMhfuNGhvDUsPmK0frqCDCiSabuEPjoLqEo0HkUMLkowr47XOGf7b5og",
          HASH_PBKDF2 },
        { "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$"
          "mp90zEQd5XGhjEv4WArVH4Z0XRSzkGWtJK2S/AXJlRU",
          HASH_SCRYPT },
        { "$scrypt$ln=4,r=1,p=4$AAECAwQFBgcICQoLDA0ODw$"
          "ktzLiNX9yBsnC03KbW9cyZ0NIvNnOkdKlrAoFw+quVs",
          HASH_SCRYPT },
        { "$scrypt$ln=12,r=8,p=2$AAECAwQFBgcICQoLDA0ODw$"
          "BdcB+/HdqgjAObOdYrTCZLqZvrHz+8uTmGYeelHjMnk",
          HASH_SCRYPT },
};

static void fits_only_its_password(void **state)
{
        static const struct cm_str wrong[] = {
                CM_STR(""),
                CM_STR("correct horse battery stapl"),
                CM_STR("correct horse battery staple "),
                CM_STR("Correct horse battery staple"),
                CM_STR("correct horse battery staple\0"),
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(of_horse); i++) {
                struct stored_hash hash;

                assert_int_equal(stored_hash_parse(cm_str_from(of_horse[i].hash), 64 * MIB, &hash),
                                 0);
                assert_int_equal(hash.scheme, of_horse[i].scheme);
                if (!stored_hash_fits(&hash, CM_STR("correct horse battery staple")))
                        fail_msg("does not fit: %s", of_horse[i].hash);
                for (size_t k = 0; k < CM_COUNT(wrong); k++)
                        if (stored_hash_fits(&hash, wrong[k]))
                                fail_msg("%zu fits %s", k, of_horse[i].hash);
        }
}

/* Whatever is cut off: it is refused; or, of a key that has no length of its own, a shorter one
 * that is still long enough. */
static void no_part_of_it_is_taken(void **state)
{
        (void)state;
        for (size_t i = 0; i < CM_COUNT(of_horse); i++)
                for (size_t cut = 0; cut < strlen(of_horse[i].hash); cut++) {
                        struct stored_hash hash;
                        struct cm_str part = { of_horse[i].hash, cut };

                        if (stored_hash_parse(part, 64 * MIB, &hash))
                                continue;
                        assert_int_not_equal(of_horse[i].scheme, HASH_BCRYPT);
                        assert_true(hash.key_len >= 16);
                        if (of_horse[i].scheme == HASH_ARGON2)
                                assert_false(stored_hash_fits(
                                        &hash, CM_STR("correct horse battery staple")));
                }
}

#define SALT "AAECAwQFBgcICQoLDA0ODw"
#define KEY  "dHrv0WO6TTplluvGUzKcNCpMnnwd8jlNMK5NBd+OAA4"

static void refuses(void **state)
{
        static const struct {
                const char *text;
                int expected;
        } rows[] = {
                { "", STORED_HASH_UNKNOWN },
                { "password", STORED_HASH_UNKNOWN },
                { "$", STORED_HASH_UNKNOWN },
                { "$1$salt$qJH7.N4xYta3aEG/dfqo/0", STORED_HASH_UNKNOWN },
                { "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouI"
                  "L9AjRbLCelDCy.g.",
                  STORED_HASH_UNKNOWN },
                { "{SSHA}abc", STORED_HASH_UNKNOWN },
                { "!!", STORED_HASH_UNKNOWN },
                { "$2x$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_UNKNOWN },
                { "$2$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_UNKNOWN },
                { "$2a$04$", STORED_HASH_MALFORMED },
                { "$2a$4$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dWx",
                  STORED_HASH_MALFORMED },
                { "$2a$+4$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_MALFORMED },
                { "$2a$03$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_MALFORMED },
                { "$2a$15$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_TOO_DEAR },
                { "$2a$31$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_TOO_DEAR },
                { "$2a$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6d:",
                  STORED_HASH_MALFORMED },
                { "$s1$2b$04$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW",
                  STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=65537,t=1,p=1$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$argon2id$v=19$m=65536,t=17,p=1$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$argon2id$v=19$m=2147483647,t=2147483647,p=1$" SALT "$" KEY,
                  STORED_HASH_TOO_DEAR },
                { "$argon2id$v=19$m=4294967296,t=1,p=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=65536,t=1,p=65$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$argon2id$v=19$m=64,t=1,p=9$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=16$m=64,t=1,p=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$m=64,t=1,p=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=0,p=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=064,t=1,p=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=1,p=1,keyid=x$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=1,p=1$" SALT "$", STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=1,p=1$" SALT, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=1,p=1$$" KEY, STORED_HASH_MALFORMED },
                { "$argon2id$v=19$m=64,t=1,p=1$AAECAw$" KEY, STORED_HASH_MALFORMED },
                { "$argon2d$v=19$m=64,t=1,p=1$" SALT "$" KEY, STORED_HASH_UNKNOWN },
                { "$pbkdf2-sha256$i=1000$" SALT "$", STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=1000$" SALT "$AAAA", STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=1000$$" KEY, STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=0$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=-1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$1000$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=1000$" SALT "$" KEY "=", STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=1000$" SALT "$" KEY "$", STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=1000$-_8$" KEY, STORED_HASH_MALFORMED },
                { "$pbkdf2-sha256$i=4000001$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$pbkdf2-sha1$i=2000001$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$pbkdf2-sha256$i=2147483647$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$pbkdf2-md5$i=1000$" SALT "$" KEY, STORED_HASH_UNKNOWN },
                { "$pbkdf2$i=1000$" SALT "$" KEY, STORED_HASH_UNKNOWN },
                { "$scrypt$ln=17,r=8,p=1$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$scrypt$ln=16,r=8,p=5$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$scrypt$ln=30,r=1024,p=1024$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$scrypt$ln=63,r=1,p=1$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$scrypt$ln=4,r=2147483647,p=1$" SALT "$" KEY, STORED_HASH_TOO_DEAR },
                { "$scrypt$ln=0,r=8,p=1$" SALT "$" KEY, STORED_HASH_MALFORMED },
                { "$scrypt$ln=14,r=8,p=1$" SALT "$AAAA", STORED_HASH_MALFORMED },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct stored_hash hash;
                int r = stored_hash_parse(cm_str_from(rows[i].text), 64 * MIB, &hash);

                if (r != rows[i].expected)
                        fail_msg("%s: %d instead of %d", rows[i].text, r, rows[i].expected);
                assert_non_null(stored_hash_fault(r));
        }
}

static void takes_what_is_advised(void **state)
{
        static const char *const rows[] = {
                "$argon2id$v=19$m=47104,t=1,p=1$" SALT "$" KEY, /* OWASP */
                "$argon2id$v=19$m=65536,t=3,p=4$" SALT "$" KEY, /* RFC 9106, argon2-cffi */
                "$argon2id$v=19$m=7168,t=5,p=1$" SALT "$" KEY,  /* Keycloak */
                "$pbkdf2-sha1$i=1300000$" SALT "$AOm/kOb/+YAZ3ZwSogYgNu9fO1g", /* OWASP */
                "$pbkdf2-sha256$i=600000$" SALT "$" KEY,
                "$pbkdf2-sha512$i=210000$" SALT "$" KEY,
                "$scrypt$ln=16,r=8,p=2$" SALT "$" KEY,
                "$scrypt$ln=17,r=8,p=1$" SALT "$" KEY,
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct stored_hash hash;

                if (stored_hash_parse(cm_str_from(rows[i]), 128 * MIB, &hash))
                        fail_msg("refused: %s", rows[i]);
                assert_true(hash.memory <= 128 * MIB);
        }
}

static void no_password_fits_none(void **state)
{
        struct stored_hash hash;

        (void)state;
        assert_int_equal(stored_hash_parse(CM_STR(HASH_NO_PASSWORD), MIB, &hash), 0);
        assert_int_equal(hash.scheme, HASH_NONE);
        assert_false(stored_hash_fits(&hash, CM_STR("")));
        assert_false(stored_hash_fits(&hash, CM_STR("!")));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(fits_only_its_password),
                cmocka_unit_test(no_part_of_it_is_taken),
                cmocka_unit_test(refuses),
                cmocka_unit_test(takes_what_is_advised),
                cmocka_unit_test(no_password_fits_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
