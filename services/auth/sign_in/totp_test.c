#include "totp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "recovery_codes.h"

static const uint8_t secret[TOTP_SECRET_SIZE] = "12345678901234567890";

/* RFC 6238, appendix B, the rows of SHA-1; the last six of its eight digits. */
static void vectors(void **state CM_UNUSED)
{
        static const struct {
                int64_t time;
                uint32_t code;
        } rows[] = {
                { 59, 287082 },       { 1111111109, 81804 },  { 1111111111, 50471 },
                { 1234567890, 5924 }, { 2000000000, 279037 }, { 20000000000, 353130 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                assert_int_equal(totp_code(secret, (uint64_t)rows[i].time / TOTP_STEP_S),
                                 rows[i].code);
}

static void takes_the_steps_around_now_once(void **state CM_UNUSED)
{
        const int64_t step = 1234567890 / TOTP_STEP_S;
        const cm_time now = 1234567890 * CM_SECOND;
        int64_t found = 0;

        for (int64_t offset = -4; offset <= 4; offset++) {
                char code[16];

                snprintf(code, sizeof(code), "%06u", totp_code(secret, (uint64_t)(step + offset)));
                assert_int_equal(totp_matches(secret, cm_str_from(code), now, 0, &found),
                                 offset >= -1 && offset <= 1);
                if (offset < -1 || offset > 1)
                        continue;
                assert_int_equal(found, step + offset);
                assert_false(totp_matches(secret, cm_str_from(code), now, found, &found));
                assert_true(totp_matches(secret, cm_str_from(code), now, found - 1, &found));
        }
        assert_false(totp_matches(secret, CM_STR(""), now, 0, &found));
        assert_false(totp_matches(secret, CM_STR("00592"), now, 0, &found));
        assert_true(totp_matches(secret, CM_STR("005924"), now, 0, &found));
        assert_false(totp_matches(secret, CM_STR("0059240"), now, 0, &found));
        assert_false(totp_matches(secret, CM_STR("  5924"), now, 0, &found));
}

static void is_written_for_apps(void **state CM_UNUSED)
{
        struct cm_arena arena;

        cm_arena_init(&arena, 1024);
        assert_string_equal(totp_secret_text(&arena, secret).data,
                            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_string_equal(
                totp_uri(&arena, CM_STR("Beit Salus"), CM_STR("dana+x@example.org"), secret).data,
                "otpauth://totp/Beit%20Salus:dana%2Bx%40example.org"
                "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Beit%20Salus");
        cm_arena_deinit(&arena);
}

static void reads_recovery_codes_as_they_are_typed(void **state CM_UNUSED)
{
        static const char *const same[] = { "7kmp2-xq4rt", "7KMP2XQ4RT", " 7KMP 2XQ4-RT" };
        static const char *const none[] = { "", "7KMP2-XQ4R", "7KMP2-XQ4RTT", "7KMP2-XQ4RU",
                                            "7KMP2-XQ4R\xd7\x90" };
        struct cm_arena arena;
        uint8_t want[CM_SHA256_SIZE];
        uint8_t digest[CM_SHA256_SIZE];

        assert_true(recovery_code_digest(CM_STR("pepper"), CM_STR("7KMP2-XQ4RT"), want));
        for (size_t i = 0; i < CM_COUNT(same); i++) {
                assert_true(recovery_code_digest(CM_STR("pepper"), cm_str_from(same[i]), digest));
                assert_memory_equal(digest, want, sizeof(want));
        }
        assert_true(recovery_code_digest(CM_STR("other"), CM_STR("7KMP2-XQ4RT"), digest));
        assert_memory_not_equal(digest, want, sizeof(want));
        for (size_t i = 0; i < CM_COUNT(none); i++)
                assert_false(recovery_code_digest(CM_STR("pepper"), cm_str_from(none[i]), digest));
        assert_false(recovery_code_digest(CM_STR("pepper"), (struct cm_str){ "7KMP2\0XQ4R", 10 },
                                          digest));
        cm_arena_init(&arena, 1024);
        for (int i = 0; i < 1000; i++)
                assert_true(
                        recovery_code_digest(CM_STR("pepper"), recovery_code_make(&arena), digest));
        cm_arena_deinit(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(vectors),
                cmocka_unit_test(takes_the_steps_around_now_once),
                cmocka_unit_test(is_written_for_apps),
                cmocka_unit_test(reads_recovery_codes_as_they_are_typed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
