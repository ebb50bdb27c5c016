#include "import_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BCRYPT "$2a$10$divL9LItgtU3F5sKE4JYVuXMvtmKudqj/xINocfkwXVavtqqGZ6dW"

static struct cm_arena arena;
static const struct import_defaults defaults = {
        .language = { "en", 2 },
        .time_zone = { "UTC", 3 },
        .hash_memory = 64 << 20,
        .now = 1800000000 * CM_SECOND,
};

static const char *map(enum import_shape shape, const char *json, struct imported_account *account)
{
        const char *reason = NULL;
        int r = import_map(shape, cm_str_from(json), &defaults, &arena, account, &reason);

        assert_int_equal(r, reason ? 1 : 0);
        return reason;
}

static void rows(void **state)
{
        struct imported_account account;
        char id[CM_UUID_TEXT_SIZE];

        (void)state;
        assert_null(
                map(IMPORT_ROWS,
                    "{\"instance_id\": \"00000000-0000-0000-0000-000000000000\", \"id\": "
                    "\"c7b0bd2f-28d0-4f0b-8e3f-1d2a3b4c5d6e\", \"aud\": \"authenticated\","
                    "\"email\": \"Dana@Example.org\", \"encrypted_password\": \"" BCRYPT "\","
                    "\"email_confirmed_at\": \"2024-03-01 10:20:30.5+00\", \"banned_until\": null,"
                    "\"created_at\": \"2024-03-01T10:00:00Z\", \"deleted_at\": null,"
                    "\"phone\": \"972501234567\","
                    "\"phone_confirmed_at\": \"2024-03-01T10:00:00Z\","
                    "\"raw_user_meta_data\": {\"name\": \"Dana\", \"full_name\": \"Dana Levi\","
                    "\"avatar_url\": \"https://example.org/a.png\", \"locale\": \"he_IL\","
                    "\"timezone\": \"Asia/Jerusalem\", \"email_verified\": true}}",
                    &account));
        assert_string_equal(cm_uuid_format(&account.user.id, id),
                            "c7b0bd2f-28d0-4f0b-8e3f-1d2a3b4c5d6e");
        assert_true(cm_str_equal(account.user.email, CM_STR("Dana@Example.org")));
        assert_true(cm_str_equal(account.email_key, CM_STR("dana@example.org")));
        assert_true(cm_str_equal(account.password_hash, CM_STR(BCRYPT)));
        assert_true(cm_str_equal(account.user.display_name, CM_STR("Dana")));
        assert_true(cm_str_equal(account.user.full_name, CM_STR("Dana Levi")));
        assert_true(cm_str_equal(account.user.avatar_url, CM_STR("https://example.org/a.png")));
        assert_true(cm_str_equal(account.user.language, CM_STR("he-IL")));
        assert_true(cm_str_equal(account.user.time_zone, CM_STR("Asia/Jerusalem")));
        assert_int_equal(account.user.status, USER_STATUS_ACTIVE);
        assert_int_equal(account.user.user_type, USER_TYPE_PATIENT);
        assert_int_equal(account.user.created_at, 1709287200 * CM_SECOND);
        assert_int_equal(account.verified_at, 1709288430 * CM_SECOND + 500000);
        assert_true(cm_str_equal(account.user.phone_number, CM_STR("+972501234567")));
        assert_int_equal(account.user.phone_confirmed_at, 1709287200 * CM_SECOND);
}

static void rows_with_little(void **state)
{
        struct imported_account account, again;

        (void)state;
        assert_null(map(IMPORT_ROWS,
                        "{\"email\": \"dana@example.org\", \"encrypted_password\": \"\","
                        "\"phone\": \"0501234567\", \"phone_confirmed_at\": \"2024-03-01\","
                        "\"banned_until\": \"2100-01-01 00:00:00+00\", \"raw_user_meta_data\": "
                        "\"{\\\"name\\\": \\\"two\\\\nlines\\\", \\\"locale\\\": \\\"?\\\","
                        "\\\"timezone\\\": \\\"Mars\\\", \\\"picture\\\": \\\"http://x.y/\\\"}\"}",
                        &account));
        assert_true(cm_str_equal(account.password_hash, CM_STR("!")));
        assert_false(account.user.has_display_name || account.user.has_avatar_url);
        assert_true(cm_str_equal(account.user.language, CM_STR("en")));
        assert_true(cm_str_equal(account.user.time_zone, CM_STR("UTC")));
        assert_int_equal(account.user.status, USER_STATUS_INACTIVE);
        assert_int_equal(account.user.created_at, defaults.now);
        assert_int_equal(account.verified_at, 0);
        assert_false(account.user.has_phone_number || account.user.phone_confirmed_at);
        assert_null(map(IMPORT_ROWS, "{\"id\": 7, \"email\": \"DANA@example.org\"}", &again));
        assert_memory_equal(&again.user.id, &account.user.id, sizeof(again.user.id));
}

#define CREDENTIAL(secret, data)                                                                   \
        "{\"username\": \"dana\", \"email\": \"dana@example.org\", \"credentials\": ["             \
        "{\"type\": \"otp\", \"secretData\": \"{}\", \"credentialData\": \"{}\"},"                 \
        "{\"id\": \"x\", \"type\": \"password\", \"secretData\": \"" secret                        \
        "\", \"credentialData\": \"" data "\"}]}"
#define SECRET                                                                                     \
        "{\\\"value\\\":\\\"dHrv0WO6TTplluvGUzKcNCpMnnwd8jlNMK5NBd+OAA4=\\\","                     \
        "\\\"salt\\\":\\\"AAECAwQFBgcICQoLDA0ODw==\\\",\\\"additionalParameters\\\":{}}"
#define SALT_AND_KEY "$AAECAwQFBgcICQoLDA0ODw$dHrv0WO6TTplluvGUzKcNCpMnnwd8jlNMK5NBd+OAA4"
#define PBKDF2(rounds, name)                                                                       \
        "{\\\"hashIterations\\\":" rounds ",\\\"algorithm\\\":\\\"" name                           \
        "\\\",\\\"additionalParameters\\\":{}}"
#define ARGON2(type, memory, version)                                                              \
        "{\\\"hashIterations\\\":5,\\\"algorithm\\\":\\\"argon2\\\",\\\"additionalParameters\\\":" \
        "{"                                                                                        \
        "\\\"hashLength\\\":[\\\"32\\\"],\\\"memory\\\":[\\\"" memory                              \
        "\\\"],\\\"type\\\":[\\\"" type "\\\"],\\\"version\\\":[\\\"" version                      \
        "\\\"],\\\"parallelism\\\":[\\\"1\\\"]}}"

static void hashes_of_keycloak(void **state)
{
        static const struct {
                const char *json;
                const char *hash; /* NULL: refused */
        } table[] = {
                { CREDENTIAL(SECRET, PBKDF2("2000", "pbkdf2-sha256")),
                  "$pbkdf2-sha256$i=2000" SALT_AND_KEY },
                { CREDENTIAL(SECRET, PBKDF2("2000", "pbkdf2-sha512")),
                  "$pbkdf2-sha512$i=2000" SALT_AND_KEY },
                { CREDENTIAL(SECRET, PBKDF2("20000", "pbkdf2")),
                  "$pbkdf2-sha1$i=20000" SALT_AND_KEY },
                { CREDENTIAL(SECRET, ARGON2("id", "7168", "1.3")),
                  "$argon2id$v=19$m=7168,t=5,p=1" SALT_AND_KEY },
                { CREDENTIAL("{\\\"value\\\":\\\"" BCRYPT "\\\",\\\"salt\\\":\\\"\\\"}",
                             PBKDF2("10", "bcrypt")),
                  BCRYPT },
                { "{\"email\": \"dana@example.org\", \"credentials\": [{\"type\": \"password\","
                  "\"hashedSaltedValue\": \"dHrv0WO6TTplluvGUzKcNCpMnnwd8jlNMK5NBd+OAA4=\","
                  "\"salt\": \"AAECAwQFBgcICQoLDA0ODw==\", \"hashIterations\": 27500,"
                  "\"counter\": 0, \"algorithm\": \"pbkdf2-sha256\"}]}",
                  "$pbkdf2-sha256$i=27500" SALT_AND_KEY },
                { "{\"email\": \"dana@example.org\"}", "!" },
                { "{\"email\": \"dana@example.org\", \"credentials\": []}", "!" },
                { CREDENTIAL(SECRET, ARGON2("id", "7168", "1.0")), NULL },
                { CREDENTIAL(SECRET, ARGON2("d", "7168", "1.3")), NULL },
                { CREDENTIAL(SECRET, ARGON2("id", "71680000", "1.3")), NULL },
                { CREDENTIAL(SECRET, ARGON2("id", "8,t=1,p=1", "1.3")), NULL },
                { CREDENTIAL(SECRET, PBKDF2("0", "pbkdf2-sha256")), NULL },
                { CREDENTIAL(SECRET, PBKDF2("2147483647", "pbkdf2-sha256")), NULL },
                { CREDENTIAL(SECRET, PBKDF2("99999999999999", "pbkdf2-sha256")), NULL },
                { CREDENTIAL(SECRET, PBKDF2("1", "md5-crypt")), NULL },
                { CREDENTIAL(SECRET, PBKDF2("1", "s1")), NULL },
                { CREDENTIAL("{\\\"value\\\":\\\"\\\",\\\"salt\\\":\\\"\\\"}",
                             PBKDF2("1", "pbkdf2-sha256")),
                  NULL },
                { CREDENTIAL("{}", "{}"), NULL },
                { CREDENTIAL("[", "]"), NULL },
                { "{\"email\": \"dana@example.org\", \"credentials\": [{\"type\": \"password\","
                  "\"value\": \"in the clear\"}]}",
                  NULL },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(table); i++) {
                struct imported_account account;
                const char *reason = map(IMPORT_REALM, table[i].json, &account);

                if (!table[i].hash != (reason != NULL))
                        fail_msg("%s: %s", table[i].json, reason);
                if (table[i].hash)
                        assert_true(
                                cm_str_equal(account.password_hash, cm_str_from(table[i].hash)));
        }
}

static void users_of_a_realm(void **state)
{
        struct imported_account account;

        (void)state;
        assert_null(map(IMPORT_REALM,
                        "{\"id\": \"c7b0bd2f-28d0-4f0b-8e3f-1d2a3b4c5d6e\", \"username\": "
                        "\"dana@example.org\", \"firstName\": \"Dana\", \"lastName\": \"Levi\","
                        "\"emailVerified\": true, \"enabled\": false, \"createdTimestamp\": "
                        "1709287200123, \"attributes\": {\"locale\": [\"he\"], \"zoneinfo\": "
                        "[\"Asia/Jerusalem\"]}, \"realmRoles\": [\"default-roles-x\"]}",
                        &account));
        assert_true(cm_str_equal(account.user.email, CM_STR("dana@example.org")));
        assert_true(cm_str_equal(account.user.first_name, CM_STR("Dana")));
        assert_true(cm_str_equal(account.user.full_name, CM_STR("Dana Levi")));
        assert_true(cm_str_equal(account.user.language, CM_STR("he")));
        assert_true(cm_str_equal(account.user.time_zone, CM_STR("Asia/Jerusalem")));
        assert_int_equal(account.user.status, USER_STATUS_INACTIVE);
        assert_int_equal(account.user.created_at, 1709287200123 * CM_MILLISECOND);
        assert_int_equal(account.verified_at, account.user.created_at);
}

static void refuses(void **state)
{
        static const struct {
                enum import_shape shape;
                const char *json;
        } table[] = {
                { IMPORT_ROWS, "" },
                { IMPORT_ROWS, "[]" },
                { IMPORT_ROWS, "null" },
                { IMPORT_ROWS, "{" },
                { IMPORT_ROWS, "{}" },
                { IMPORT_ROWS, "{\"email\": null, \"is_anonymous\": true}" },
                { IMPORT_ROWS, "{\"email\": \"\", \"phone\": \"972501234567\"}" },
                { IMPORT_ROWS, "{\"email\": \"dana\"}" },
                { IMPORT_ROWS, "{\"email\": 7}" },
                { IMPORT_ROWS, "{\"email\": \"d@example.org\", \"email\": \"e@example.org\"}" },
                { IMPORT_ROWS, "{\"email\": \"d@example.org\", \"deleted_at\": \"2024-01-01\"}" },
                { IMPORT_ROWS,
                  "{\"email\": \"d@example.org\", \"encrypted_password\": \"password\"}" },
                { IMPORT_ROWS, "{\"email\": \"d@example.org\", \"encrypted_password\": \"!\"}" },
                { IMPORT_ROWS,
                  "{\"email\": \"d@example.org\", \"encrypted_password\": \"$s1$01234567" BCRYPT
                  "\"}" },
                { IMPORT_ROWS, "{\"email\": \"d@example.org\", \"encrypted_password\": "
                               "\"$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=abc=$c2Fs$aGFzaA==\"}" },
                { IMPORT_REALM, "{\"username\": \"dana\"}" },
                { IMPORT_REALM, "{\"username\": \"service-account-x\", \"email\": "
                                "\"d@example.org\", \"serviceAccountClientId\": \"x\"}" },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(table); i++) {
                struct imported_account account;

                if (!map(table[i].shape, table[i].json, &account))
                        fail_msg("taken: %s", table[i].json);
        }
}

/* ---- the file */

/* "LINE INDEX json;" of each record; "LINE INDEX ?;" damaged; "LINE !" the file is. */
static const char *split(const char *text, int shape, char out[1000])
{
        struct import_source source;
        struct import_record record;
        size_t len = 0;
        int r = import_source_init(&source, cm_str_from(text));

        out[0] = 0;
        if (r)
                (void)snprintf(out, 1000, "none");
        else
                assert_int_equal(source.shape, shape);
        while (!r || r == IMPORT_RECORD_DAMAGED) {
                r = import_source_next(&source, &arena, &record);
                if (r == IMPORT_FILE_DAMAGED)
                        len += (size_t)snprintf(out + len, 1000 - len, "%d !", (int)record.line);
                else if (r != IMPORT_END)
                        len += (size_t)snprintf(out + len, 1000 - len, "%d %d %.*s;",
                                                (int)record.line, (int)record.index,
                                                r ? 1 : (int)record.json.len,
                                                r ? "?" : record.json.data);
        }
        import_source_deinit(&source);
        return out;
}

static void splits(void **state)
{
        static const struct {
                const char *text;
                enum import_shape shape;
                const char *expected;
        } table[] = {
                { "{\"a\": 1}\n\n  {\"b\": 2}\r\n{\"c\"\n", IMPORT_ROWS,
                  "1 1 {\"a\": 1};3 2 {\"b\": 2};4 3 {\"c\";" },
                { "\xef\xbb\xbf{\"a\": 1}", IMPORT_ROWS, "1 1 {\"a\": 1};" },
                { "{\"users\": 1}", IMPORT_ROWS, "1 1 {\"users\": 1};" },
                { "[]", IMPORT_ROWS, "" },
                { "[{\"a\": \"}]\\\"\"},\n {\"b\": [{}, []]}, 7]", IMPORT_ROWS,
                  "1 1 {\"a\": \"}]\\\"\"};2 2 {\"b\": [{}, []]};2 3 7;" },
                { "[{\"a\": 1}, {\"b\"", IMPORT_ROWS, "1 1 {\"a\": 1};1 !" },
                { "[{\"a\": 1}", IMPORT_ROWS, "1 1 {\"a\": 1};1 !" },
                { "{\"realm\": \"x\", \"a\": {\"users\": []}, \"n\": -1, \"users\" :\n[ {\"u\": "
                  "1},\n"
                  "{\"v\": 2} ], \"clients\": [{}]}\n",
                  IMPORT_REALM, "2 1 {\"u\": 1};3 2 {\"v\": 2};" },
                { "{\"realm\": \"\\\"users\\\": [\", \"users\": []}", IMPORT_REALM, "" },
                { "id,email,raw\n1,a@b.c,\"{\"\"x\"\": \"\"y\n\"\"}\"\r\n2,,\"\"\n3\n4,a,b,c\n5,d,",
                  IMPORT_ROWS,
                  "2 1 {\"id\":\"1\",\"email\":\"a@b.c\",\"raw\":\"{\\\"x\\\": \\\"y\\n\\\"}\"};"
                  "4 2 {\"id\":\"2\",\"raw\":\"\"};5 3 ?;6 4 ?;7 5 "
                  "{\"id\":\"5\",\"email\":\"d\"};" },
                { "email\n\"open", IMPORT_ROWS, "2 !" },
                { "email\n\xff\nx\n", IMPORT_ROWS, "2 1 ?;3 2 {\"email\":\"x\"};" },
                { "id,name\n1,2\n", IMPORT_ROWS, "none" },
                { "", IMPORT_ROWS, "none" },
                { "PK\x03\x04", IMPORT_ROWS, "none" },
        };
        char out[1000];

        (void)state;
        for (size_t i = 0; i < CM_COUNT(table); i++)
                assert_string_equal(split(table[i].text, table[i].shape, out), table[i].expected);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(rows),
                cmocka_unit_test(rows_with_little),
                cmocka_unit_test(hashes_of_keycloak),
                cmocka_unit_test(users_of_a_realm),
                cmocka_unit_test(refuses),
                cmocka_unit_test(splits),
        };
        int failed;

        cm_arena_init(&arena, 4096);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_arena_deinit(&arena);
        return failed;
}
