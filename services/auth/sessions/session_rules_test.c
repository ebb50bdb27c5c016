#include "session_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "auth_api.h"

static struct cm_arena arena;

static void scopes_by_type(void **state)
{
        static const struct {
                int32_t type;
                const char *has;
                const char *lacks;
        } rows[] = {
                { USER_TYPE_PATIENT, "health:write", "admin:" },
                { USER_TYPE_DOCTOR, "health:read", "admin:" },
                { USER_TYPE_PATIENT, "memory:write", "admin:" },
                { USER_TYPE_ADMIN, "profile:read", "memory:" },
                { USER_TYPE_INSTITUTION, "profile:write", "memory:" },
                { USER_TYPE_PATIENT, "chat:write", "admin:" },
                { USER_TYPE_ADMIN, "admin:accounts", "health:" },
                { USER_TYPE_ADMIN, "profile:read", "chat:" },
                { USER_TYPE_INSTITUTION, "profile:read", "health:" },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                assert_non_null(strstr(session_rules_scope(rows[i].type, false), rows[i].has));
                assert_null(strstr(session_rules_scope(rows[i].type, false), rows[i].lacks));
        }
        assert_string_equal(session_rules_scope(0, false), "");
        assert_string_equal(session_rules_scope(99, false), "");
        assert_string_equal(session_rules_scope(USER_TYPE_ADMIN, true), "password:change");
}

static void networks(void **state)
{
        static const struct {
                const char *address;
                const char *network;
        } rows[] = {
                { "192.0.2.7", "192.0.2.7" },
                { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
                { "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64" },
                { "2001:db8:1:3::1", "2001:db8:1:3::/64" },
                { "::1", "::/64" },
                { "::ffff:192.0.2.7", "192.0.2.7" },
                { "unix", "unknown" },
                { "", "unknown" },
                { "192.0.2.7.example.org.and.more.than.fits.into.an.address", "unknown" },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_string_equal(
                        session_rules_network(&arena, cm_str_from(rows[i].address)).data,
                        rows[i].network);
        assert_string_equal(session_rules_network(&arena, CM_STR_NONE).data, "unknown");
}

static void user_agents(void **state)
{
        char many[700];
        struct cm_str kept;

        (void)state;
        assert_string_equal(session_rules_user_agent(&arena, CM_STR("curl/7.88.1")).data,
                            "curl/7.88.1");
        assert_string_equal(session_rules_user_agent(&arena, CM_STR("a\r\nb\x7f")).data, "a  b ");
        assert_string_equal(session_rules_user_agent(&arena, CM_STR("\xff\xfe")).data, "");
        assert_string_equal(session_rules_user_agent(&arena, CM_STR_NONE).data, "");
        for (size_t i = 0; i < sizeof(many); i += 2)
                memcpy(many + i, "\xd7\xa1", 2);
        many[0] = 'x';
        many[1] = 'y';
        kept = session_rules_user_agent(&arena, (struct cm_str){ many, sizeof(many) });
        assert_int_equal(kept.len, 300);
        many[1] = 'x';
        kept = session_rules_user_agent(&arena, (struct cm_str){ many + 1, sizeof(many) - 1 });
        assert_int_equal(kept.len, 299);
        assert_true(cm_utf8_is_valid(kept));
}

static void seconds_left(void **state)
{
        (void)state;
        assert_int_equal(session_rules_seconds_left(0, 90 * CM_SECOND), 90);
        assert_int_equal(session_rules_seconds_left(0, 90 * CM_SECOND - 1), 89);
        assert_int_equal(session_rules_seconds_left(5, 5), 0);
        assert_int_equal(session_rules_seconds_left(CM_DAY, 0), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(scopes_by_type),
                cmocka_unit_test(networks),
                cmocka_unit_test(user_agents),
                cmocka_unit_test(seconds_left),
        };
        int failed;

        cm_arena_init(&arena, 1024);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_arena_deinit(&arena);
        return failed;
}
