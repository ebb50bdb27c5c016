#include "device_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

#define NOW  INT64_C(1764400000000000)
#define LIFE CM_DAY

static const struct cm_str secret = CM_STR("the pepper of this house, 32 bytes");
static const struct cm_str dana = CM_STR("dana@example.org");

static bool is_good(const char *token, cm_time now)
{
        return device_token_is_good(secret, dana, cm_str_from(token), now, LIFE);
}

static void is_good_for_its_account_and_time(void **state)
{
        char token[DEVICE_TOKEN_SIZE];

        (void)state;
        device_token_make(secret, dana, NOW, token);
        assert_int_equal(strlen(token), DEVICE_TOKEN_SIZE - 1);
        assert_true(is_good(token, NOW));
        assert_true(is_good(token, NOW + LIFE - CM_SECOND));
        assert_false(is_good(token, NOW + LIFE));
        assert_false(device_token_is_good(secret, CM_STR("eve@example.org"), cm_str_from(token),
                                          NOW, LIFE));
        assert_false(device_token_is_good(CM_STR("another pepper, as long as it"), dana,
                                          cm_str_from(token), NOW, LIFE));
}

static void each_is_another(void **state)
{
        char one[DEVICE_TOKEN_SIZE], two[DEVICE_TOKEN_SIZE];

        (void)state;
        assert_string_not_equal(device_token_make(secret, dana, NOW, one),
                                device_token_make(secret, dana, NOW, two));
}

/* Every character changed to its neighbour, and every length. */
static void nothing_else_is_good(void **state)
{
        char token[DEVICE_TOKEN_SIZE], changed[DEVICE_TOKEN_SIZE];

        (void)state;
        device_token_make(secret, dana, NOW, token);
        for (size_t i = 0; i < strlen(token); i++) {
                memcpy(changed, token, sizeof(token));
                changed[i] = changed[i] == 'A' ? 'B' : 'A';
                assert_false(is_good(changed, NOW));
                memcpy(changed, token, sizeof(token));
                changed[i] = '\0';
                assert_false(is_good(changed, NOW));
        }
        assert_false(device_token_is_good(secret, dana, CM_STR_NONE, NOW, LIFE));
        assert_false(is_good("=", NOW));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(is_good_for_its_account_and_time),
                cmocka_unit_test(each_is_another),
                cmocka_unit_test(nothing_else_is_good),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
