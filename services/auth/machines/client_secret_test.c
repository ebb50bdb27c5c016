#include "client_secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "schemas.h"

static struct cm_arena arena;

static void secrets(void **state CM_UNUSED)
{
        char one[CLIENT_SECRET_SIZE], two[CLIENT_SECRET_SIZE];
        uint8_t a[CM_SHA256_SIZE], b[CM_SHA256_SIZE];

        assert_int_equal(strlen(client_secret_make(one)), 46);
        assert_string_not_equal(one, client_secret_make(two));
        client_secret_digest(CM_STR("pepper"), cm_str_from(one), a);
        client_secret_digest(CM_STR("pepper"), cm_str_from(one), b);
        assert_memory_equal(a, b, sizeof(a));
        client_secret_digest(CM_STR("pepper"), cm_str_from(two), b);
        assert_memory_not_equal(a, b, sizeof(a));
        client_secret_digest(CM_STR("paprika"), cm_str_from(one), b);
        assert_memory_not_equal(a, b, sizeof(a));
}

static void basic(void **state CM_UNUSED)
{
        static const struct {
                const char *header, *id, *secret; /* NULL: refused */
        } rows[] = {
                { "Basic aWQ6c2VjcmV0", "id", "secret" },
                { "bASIC   aWQ6c2VjcmV0 ", "id", "secret" },
                { "Basic aWQ6c2U6Y3JldA==", "id", "se:cret" },
                { "Basic aSUzQWQ6cyUyMHQrdQ==", "i:d", "s t u" },
                { "Basic aWQ6", "id", "" },
                { "Basic aWQ=", NULL, NULL },     /* no colon */
                { "Basic aWQ6JXp6", NULL, NULL }, /* a broken escape */
                { "Basic aWQ6_w", NULL, NULL },   /* another alphabet */
                { "Basic !", NULL, NULL },
                { "Basic ", NULL, NULL },
                { "Bearer aWQ6c2VjcmV0", NULL, NULL },
                { NULL, NULL, NULL },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str id = CM_STR_NONE, secret = CM_STR_NONE;
                bool ok = client_basic_parse(&arena, cm_str_from(rows[i].header), &id, &secret);

                if (ok != (rows[i].id != NULL))
                        fail_msg("%s", rows[i].header);
                if (!ok)
                        continue;
                assert_true(cm_str_equal(id, cm_str_from(rows[i].id)));
                assert_true(cm_str_equal(secret, cm_str_from(rows[i].secret)));
        }
}

static void scopes(void **state CM_UNUSED)
{
        static const int32_t both[] = { CLIENT_SCOPE_ADMIN_FLAGS, CLIENT_SCOPE_ADMIN_ACCOUNTS };
        static const struct {
                size_t count;
                const char *wanted, *expected;
        } rows[] = {
                { 2, NULL, "admin:flags admin:accounts" },
                { 1, NULL, "admin:flags" },
                { 2, "admin:accounts", "admin:accounts" },
                { 2, "admin:accounts admin:flags", "admin:flags admin:accounts" },
                { 2, "admin:accounts admin:accounts", "admin:accounts" },
                { 1, "admin:accounts", NULL },
                { 2, "admin:accounts health:read", NULL },
                { 2, "admin", NULL },
                { 2, "", NULL },
                { 0, NULL, NULL },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str text =
                        client_scope_text(&arena, both, rows[i].count, cm_str_from(rows[i].wanted));

                assert_int_equal(text.data != NULL, rows[i].expected != NULL);
                if (text.data)
                        assert_string_equal(text.data, rows[i].expected);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(secrets),
                cmocka_unit_test(basic),
                cmocka_unit_test(scopes),
        };
        int failed;

        cm_arena_init(&arena, 1024);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_arena_deinit(&arena);
        return failed;
}
