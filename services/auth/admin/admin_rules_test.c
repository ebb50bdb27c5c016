#include "admin_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void acts(void **state CM_UNUSED)
{
        enum { P = USER_TYPE_PATIENT, D = USER_TYPE_DOCTOR };
        enum { A = USER_STATUS_ACTIVE, I = USER_STATUS_INACTIVE, X = USER_STATUS_DELETED };
        static const struct {
                const char *what;
                struct admin_act act;
                int32_t status; /* before */
                bool must_change;
                int expected;
                int32_t user_type_after, status_after;
                bool must_change_after;
        } rows[] = {
                { "suspend", { .status = I }, A, false, 0, P, I, false },
                { "suspend again", { .status = I }, I, false, ADMIN_UNCHANGED, P, I, false },
                { "reactivate", { .status = A }, I, false, 0, P, A, false },
                { "reactivate what is deleted",
                  { .status = A },
                  X,
                  false,
                  ADMIN_DELETED,
                  P,
                  X,
                  false },
                { "a doctor", { .user_type = D }, A, false, 0, D, A, false },
                { "a patient as before",
                  { .user_type = P },
                  A,
                  false,
                  ADMIN_UNCHANGED,
                  P,
                  A,
                  false },
                { "the type of a suspended one", { .user_type = D }, I, true, 0, D, I, true },
                { "a new password", { .must_change = true }, A, false, 0, P, A, true },
                { "a new password again",
                  { .must_change = true },
                  A,
                  true,
                  ADMIN_UNCHANGED,
                  P,
                  A,
                  true },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct account account = {
                        .user_type = P,
                        .status = rows[i].status,
                        .password_must_change = rows[i].must_change,
                        .version = 7,
                        .updated_at = 100,
                };
                int r = admin_rules_apply(&rows[i].act, 200, &account);

                if (r != rows[i].expected)
                        fail_msg("%s: %d", rows[i].what, r);
                assert_int_equal(account.user_type, rows[i].user_type_after);
                assert_int_equal(account.status, rows[i].status_after);
                assert_int_equal(account.password_must_change, rows[i].must_change_after);
                assert_int_equal(account.version, r ? 7 : 8);
                assert_int_equal(account.updated_at, r ? 100 : 200);
        }
}

static void a_reference_is_of_a_type(void **state CM_UNUSED)
{
        const struct cm_uuid one = { { 1 } };
        const struct admin_act to_one = { .has_reference = CM_PRESENT, .reference_id = one };
        const struct admin_act doctor = { .user_type = USER_TYPE_DOCTOR };
        const struct admin_act both = { .user_type = USER_TYPE_INSTITUTION,
                                        .has_reference = CM_PRESENT,
                                        .reference_id = one };
        const struct admin_act admin = { .user_type = USER_TYPE_ADMIN };
        struct account account = { .user_type = USER_TYPE_PATIENT, .status = USER_STATUS_ACTIVE };

        assert_int_equal(admin_rules_apply(&to_one, 1, &account), 0);
        assert_int_equal(admin_rules_apply(&doctor, 1, &account), 0);
        assert_int_equal(account.has_reference_id, CM_ABSENT);
        assert_int_equal(admin_rules_apply(&both, 1, &account), 0);
        assert_int_equal(account.has_reference_id, CM_PRESENT);
        assert_int_equal(admin_rules_apply(&admin, 1, &account), 0);
        assert_int_equal(account.has_reference_id, CM_ABSENT);
        assert_int_equal(admin_rules_apply(&to_one, 1, &account), ADMIN_STANDS_FOR_NOBODY);
}

static void a_phone_is_confirmed_once(void **state CM_UNUSED)
{
        const struct admin_act act = { .phone = CM_STR("+972501234567") };
        struct account account = { .user_type = USER_TYPE_PATIENT, .status = USER_STATUS_ACTIVE };

        assert_int_equal(admin_rules_apply(&act, 200, &account), 0);
        assert_int_equal(account.has_phone_confirmed_at, CM_PRESENT);
        assert_int_equal(account.phone_confirmed_at, 200);
        assert_int_equal(admin_rules_apply(&act, 300, &account), ADMIN_UNCHANGED);
        assert_int_equal(account.phone_confirmed_at, 200);
}

static void references(void **state CM_UNUSED)
{
        const struct cm_uuid one = { { 1 } }, two = { { 2 } };
        const struct admin_act to_one = { .has_reference = CM_PRESENT, .reference_id = one };
        const struct admin_act to_two = { .has_reference = CM_PRESENT, .reference_id = two };
        const struct admin_act to_none = { .has_reference = CM_NULL };
        const struct admin_act stays = { .has_reference = CM_ABSENT };
        struct account account = { .user_type = USER_TYPE_DOCTOR, .status = USER_STATUS_ACTIVE };

        assert_int_equal(admin_rules_apply(&to_none, 1, &account), ADMIN_UNCHANGED);
        assert_int_equal(admin_rules_apply(&to_one, 1, &account), 0);
        assert_int_equal(admin_rules_apply(&to_one, 1, &account), ADMIN_UNCHANGED);
        assert_int_equal(admin_rules_apply(&to_two, 1, &account), 0);
        assert_int_equal(admin_rules_apply(&stays, 1, &account), ADMIN_UNCHANGED);
        assert_true(cm_uuid_equal(&account.reference_id, &two));
        assert_int_equal(admin_rules_apply(&to_none, 1, &account), 0);
        assert_int_equal(account.has_reference_id, CM_ABSENT);
        assert_int_equal(account.version, 3);
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test(acts),
                                                   cmocka_unit_test(references),
                                                   cmocka_unit_test(a_reference_is_of_a_type),
                                                   cmocka_unit_test(a_phone_is_confirmed_once) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
