#include "account_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct user dana(void)
{
        return (struct user){
                .display_name = CM_STR("Dana"),
                .has_display_name = CM_PRESENT,
                .language = CM_STR("en"),
                .time_zone = CM_STR("UTC"),
                .preferences = CM_STR("{\"units\": \"metric\"}"),
                .privacy_settings = CM_STR("{}"),
                .version = 4,
                .updated_at = 100,
        };
}

/* Nothing was merged. */
static struct account_merge as_is(const struct user *user)
{
        return (struct account_merge){ user->preferences, user->privacy_settings };
}

#define SET(member, text) .member = CM_STR(text), .has_##member = CM_PRESENT
#define CLEAR(member)     .has_##member = CM_NULL

static void another_number_is_not_confirmed(void **state)
{
        const struct user_patch same = { SET(phone_number, "+972501234567") };
        const struct user_patch other = { SET(phone_number, "+972501234568") };
        struct user user = dana();
        const struct account_merge merged = as_is(&user);

        (void)state;
        user.phone_number = CM_STR("+972501234567");
        user.has_phone_number = user.has_phone_confirmed_at = CM_PRESENT;
        user.phone_confirmed_at = 50;
        assert_int_equal(account_rules_change(&user, &same, &merged, 200), ACCOUNT_UNCHANGED);
        assert_int_equal(user.has_phone_confirmed_at, CM_PRESENT);
        assert_int_equal(account_rules_change(&user, &other, &merged, 200), 0);
        assert_int_equal(user.has_phone_confirmed_at, CM_ABSENT);
}

static void changes(void **state)
{
        static const struct {
                const char *what;
                struct user_patch patch;
                int expected;
        } rows[] = {
                { "nothing", { .has_bio = CM_ABSENT }, ACCOUNT_UNCHANGED },
                { "another name", { SET(display_name, "D.") }, 0 },
                { "the same name", { SET(display_name, "Dana") }, ACCOUNT_UNCHANGED },
                { "no name", { CLEAR(display_name) }, 0 },
                { "clears what is not there", { CLEAR(bio) }, ACCOUNT_UNCHANGED },
                { "a first name", { SET(first_name, "Dana") }, 0 },
                { "a full name", { SET(full_name, "Dana Levi") }, 0 },
                { "a bio", { SET(bio, "I walk.") }, 0 },
                { "language", { SET(language, "he") }, 0 },
                { "the same language", { SET(language, "en") }, ACCOUNT_UNCHANGED },
                { "time zone", { SET(time_zone, "Asia/Jerusalem") }, 0 },
                { "no preferences", { CLEAR(preferences) }, 0 },
                { "a username", { SET(username, "dana.levi-7_x") }, 0 },
                { "a username in capitals", { SET(username, "Dana") }, ACCOUNT_USERNAME_BAD },
                { "a username with a blank", { SET(username, "da na") }, ACCOUNT_USERNAME_BAD },
                { "a phone number", { SET(phone_number, "+972501234567") }, 0 },
                { "a local number", { SET(phone_number, "0501234567") }, ACCOUNT_PHONE_BAD },
                { "a country zero", { SET(phone_number, "+0501234567") }, ACCOUNT_PHONE_BAD },
                { "letters", { SET(phone_number, "+9725CALLME") }, ACCOUNT_PHONE_BAD },
                { "no privacy settings, of none", { CLEAR(privacy_settings) }, ACCOUNT_UNCHANGED },
                { "picture", { SET(avatar_url, "https://example.org/a.png") }, 0 },
                { "http picture",
                  { SET(avatar_url, "http://example.org/a.png") },
                  ACCOUNT_AVATAR_NOT_HTTPS },
                { "script picture",
                  { SET(avatar_url, "javascript:alert(1)") },
                  ACCOUNT_AVATAR_NOT_HTTPS },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct user user = dana();
                const struct account_merge merged = as_is(&user);
                int r = account_rules_change(&user, &rows[i].patch, &merged, 200);

                if (r != rows[i].expected)
                        fail_msg("%s: %d instead of %d", rows[i].what, r, rows[i].expected);
                assert_int_equal(user.version, r ? 4 : 5);
                assert_int_equal(user.updated_at, r ? 100 : 200);
        }
}

static void keeps_what_is_left_out(void **state)
{
        const struct user_patch patch = { SET(language, "he") };
        struct user user = dana();
        const struct account_merge merged = as_is(&user);

        (void)state;
        assert_int_equal(account_rules_change(&user, &patch, &merged, 200), 0);
        assert_string_equal(user.language.data, "he");
        assert_string_equal(user.display_name.data, "Dana");
        assert_string_equal(user.time_zone.data, "UTC");
        assert_string_equal(user.preferences.data, "{\"units\": \"metric\"}");
}

static void clears(void **state)
{
        const struct user_patch patch = { CLEAR(display_name), CLEAR(preferences) };
        struct user user = dana();
        const struct account_merge merged = as_is(&user);

        (void)state;
        assert_int_equal(account_rules_change(&user, &patch, &merged, 200), 0);
        assert_int_equal(user.has_display_name, CM_ABSENT);
        assert_null(user.display_name.data);
        assert_string_equal(user.preferences.data, "{}");
}

static void time_does_not_go_back(void **state)
{
        const struct user_patch patch = { SET(language, "he") };
        struct user user = dana();
        const struct account_merge merged = as_is(&user);

        (void)state;
        assert_int_equal(account_rules_change(&user, &patch, &merged, 50), 0);
        assert_int_equal(user.updated_at, 100);
        assert_int_equal(user.version, 5);
}

static void objects_have_a_limit(void **state)
{
        static char big[16385];
        static const struct {
                size_t preferences, privacy;
                int expected;
        } rows[] = {
                { 16384, 2, 0 },
                { 16385, 2, ACCOUNT_PREFERENCES_TOO_LARGE },
                { 2, 4096, 0 },
                { 2, 4097, ACCOUNT_PRIVACY_TOO_LARGE },
        };
        const struct user_patch patch = { .has_preferences = CM_PRESENT };

        (void)state;
        memset(big, ' ', sizeof(big));
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct user user = dana();
                const struct account_merge merged = { { big, rows[i].preferences },
                                                      { big, rows[i].privacy } };

                assert_int_equal(account_rules_change(&user, &patch, &merged, 200),
                                 rows[i].expected);
        }
}

static void ref_has_what_others_need(void **state)
{
        struct user user = dana();
        struct user_ref ref;

        (void)state;
        user.user_type = USER_TYPE_DOCTOR;
        user.status = USER_STATUS_INACTIVE;
        account_rules_ref(&user, &ref);
        assert_int_equal(ref.user_type, USER_TYPE_DOCTOR);
        assert_int_equal(ref.status, USER_STATUS_INACTIVE);
        assert_int_equal(ref.version, 4);
        assert_int_equal(ref.changed_at, 100);
        assert_string_equal(ref.language.data, "en");
        assert_string_equal(ref.time_zone.data, "UTC");
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(changes),
                cmocka_unit_test(another_number_is_not_confirmed),
                cmocka_unit_test(keeps_what_is_left_out),
                cmocka_unit_test(clears),
                cmocka_unit_test(time_does_not_go_back),
                cmocka_unit_test(objects_have_a_limit),
                cmocka_unit_test(ref_has_what_others_need),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
