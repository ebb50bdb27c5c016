#include "password_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"

static struct cm_arena arena;

static struct common_passwords *load(struct cm_str list, size_t max)
{
        char path[] = "/tmp/common-passwords.XXXXXX";
        int file = mkstemp(path);
        struct common_passwords *common = NULL;

        assert_true(file >= 0);
        assert_int_equal(write(file, list.data, list.len), (ssize_t)list.len);
        (void)close(file);
        assert_int_equal(common_passwords_load(path, max, &common), 0);
        (void)unlink(path);
        return common;
}

static void refuses(void **state)
{
        static const struct password_owner owner = { CM_STR("Dana.Levi@example.org"),
                                                     CM_STR("Dana Lev\xc3\xad") };
        static const struct {
                struct cm_str password;
                int expected;
        } rows[] = {
                { CM_STR("dana.levi@example.org"), PASSWORD_IS_EMAIL },
                { CM_STR("Dana.Levi@Example.ORG"), PASSWORD_IS_EMAIL },
                { CM_STR("dana.levi"), PASSWORD_IS_EMAIL },
                { CM_STR("DANA.LEVI"), PASSWORD_IS_EMAIL },
                { CM_STR("dana.levi1"), 0 },
                { CM_STR("example.org"), 0 },
                { CM_STR("dana lev\xc3\xad"), PASSWORD_IS_NAME },
                { CM_STR("DANA LEVI\xcc\x81"), PASSWORD_IS_NAME }, /* decomposed */
                { CM_STR(" Dana Lev\xc3\xad "), PASSWORD_IS_NAME },
                { CM_STR("dana levi"), 0 },
                { CM_STR("password1"), PASSWORD_IS_COMMON },
                { CM_STR("PassWord1"), PASSWORD_IS_COMMON },
                { CM_STR("password12"), 0 },
                { CM_STR("password1 "), 0 },
                { CM_STR("\xd7\xa1\xd7\x99\xd7\xa1\xd7\x9e\xd7\x94\x31\x32\x33"),
                  PASSWORD_IS_COMMON },
                { CM_STR("gr\xc3\xbc\xc3\x9f"
                         "gott"),
                  PASSWORD_IS_COMMON },
                { CM_STR("GRU\xcc\x88SSGOTT"), PASSWORD_IS_COMMON },
                { CM_STR("with blanks in it"), PASSWORD_IS_COMMON },
                { CM_STR("#!comment: x"), 0 },
        };
        struct common_passwords *common =
                load(CM_STR("#!comment: x\n123456\npassword1\r\nshort\n\n"
                            "\xd7\xa1\xd7\x99\xd7\xa1\xd7\x9e\xd7\x94\x31\x32\x33\n"
                            "Gr\xc3\xbc\xc3\x9fGott\nPASSWORD1\nnot \xff utf-8\nwith blanks in it"),
                     1000);

        (void)state;
        assert_int_equal(common_passwords_count(common), 4);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                int r = password_rules_check(&arena, common, rows[i].password, &owner);

                if (r != rows[i].expected)
                        fail_msg("%s: %d", rows[i].password.data, r);
        }
        common_passwords_free(&common);
}

static void works_without_list_and_name(void **state)
{
        static const struct password_owner owner = { CM_STR("dana@example.org"), CM_STR_NONE };

        (void)state;
        assert_int_equal(password_rules_check(&arena, NULL, CM_STR("password1"), &owner), 0);
        assert_int_equal(password_rules_check(&arena, NULL, CM_STR("DANA"), &owner),
                         PASSWORD_IS_EMAIL);
}

static void takes_the_commonest(void **state)
{
        static const struct password_owner owner = { CM_STR("dana@example.org"), CM_STR_NONE };
        struct common_passwords *common = load(CM_STR("1234\nfirst of all\nsecond of all\nthird of "
                                                      "all\n"),
                                               2);

        (void)state;
        assert_int_equal(common_passwords_count(common), 2);
        assert_int_equal(password_rules_check(&arena, common, CM_STR("second of all"), &owner),
                         PASSWORD_IS_COMMON);
        assert_int_equal(password_rules_check(&arena, common, CM_STR("third of all"), &owner), 0);
        common_passwords_free(&common);
}

static void holds_many(void **state)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf list = { 0 };
        struct common_passwords *common;
        char text[32];

        (void)state;
        for (int i = 0; i < 20000; i++)
                cm_buf_printf(&list, "password%d\n", i);
        common = load(cm_buf_str(&list), 100000);
        assert_int_equal(common_passwords_count(common), 20000);
        for (int i = 0; i < 40000; i++) {
                snprintf(text, sizeof(text), "password%d", i);
                assert_int_equal(common_passwords_has(common, cm_str_from(text)), i < 20000);
        }
        common_passwords_free(&common);
        common = load(CM_STR(""), 100);
        assert_false(common_passwords_has(common, CM_STR("password1")));
        common_passwords_free(&common);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(refuses),
                cmocka_unit_test(works_without_list_and_name),
                cmocka_unit_test(takes_the_commonest),
                cmocka_unit_test(holds_many),
        };
        int failed;

        cm_arena_init(&arena, 1024);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        cm_arena_deinit(&arena);
        return failed;
}
