#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/token.h"

#define NOW (INT64_C(1800000000) * CM_SECOND)

static const struct cm_token_policy policy = { "https://salus.example", "salus", 0 };

struct fixture {
        struct cm_signing_key *key;
        struct cm_key_set *keys;
        struct cm_token_cache *cache;
        struct cm_buf tokens[4]; /* token i has jti i and sid 100 + i */
};

static int set_up(void **state)
{
        static struct fixture fixture;
        struct cm_buf jwks = { 0 };

        fixture = (struct fixture){ .cache = cm_token_cache_new(3) };
        assert_int_equal(cm_signing_key_generate(&fixture.key), 0);
        cm_buf_add_str(&jwks, CM_STR("{\"keys\":["));
        cm_signing_key_jwk(fixture.key, &jwks);
        cm_buf_add_str(&jwks, CM_STR("]}"));
        assert_int_equal(cm_key_set_parse(cm_buf_str(&jwks), &fixture.keys), 0);
        cm_buf_deinit(&jwks);
        for (uint8_t i = 0; i < CM_COUNT(fixture.tokens); i++) {
                struct cm_claims claims = { .jti = { { i } },
                                            .sid = { { (uint8_t)(100 + i) } },
                                            .type = 1,
                                            .issued_at = NOW,
                                            .expires_at = NOW + CM_MINUTE };

                assert_int_equal(cm_token_sign(fixture.key, &policy, &claims, &fixture.tokens[i]),
                                 0);
        }
        *state = &fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;

        cm_token_cache_free(&fixture->cache);
        cm_key_set_free(&fixture->keys);
        cm_signing_key_free(&fixture->key);
        for (size_t i = 0; i < CM_COUNT(fixture->tokens); i++)
                cm_buf_deinit(&fixture->tokens[i]);
        return 0;
}

static int verify(struct fixture *fixture, size_t i, cm_time now, const struct cm_claims **claims_r)
{
        return cm_token_cache_verify(fixture->cache, fixture->keys, &policy,
                                     cm_buf_str(&fixture->tokens[i]), now, claims_r);
}

/* What is cached shows by taking the keys away. */
static bool is_cached(struct fixture *fixture, size_t i)
{
        const struct cm_claims *claims;
        struct cm_key_set *saved = fixture->keys, *none = NULL;
        int r;

        assert_int_equal(cm_key_set_parse(CM_STR("{\"keys\":[]}"), &none), 0);
        fixture->keys = none;
        r = verify(fixture, i, NOW, &claims);
        fixture->keys = saved;
        cm_key_set_free(&none);
        return r == 0;
}

static void a_token_is_verified_once(void **state)
{
        const struct cm_claims *claims, *again;

        assert_false(is_cached(*state, 0));
        assert_int_equal(verify(*state, 0, NOW, &claims), 0);
        assert_int_equal(claims->jti.bytes[0], 0);
        assert_true(is_cached(*state, 0));
        assert_int_equal(verify(*state, 0, NOW, &again), 0);
        assert_ptr_equal(claims, again);
}

static void a_refused_token_is_not_kept(void **state)
{
        struct fixture *fixture = *state;
        const struct cm_claims *claims;
        char *digit = &fixture->tokens[0].data[fixture->tokens[0].len - 10];

        *digit = *digit == 'A' ? 'B' : 'A';
        assert_int_equal(verify(*state, 0, NOW, &claims), CM_TOKEN_BAD_SIGNATURE);
        assert_int_equal(verify(*state, 0, NOW, &claims), CM_TOKEN_BAD_SIGNATURE);
}

static void a_cached_token_expires(void **state)
{
        const struct cm_claims *claims;

        assert_int_equal(verify(*state, 0, NOW, &claims), 0);
        assert_int_equal(verify(*state, 0, NOW + CM_MINUTE - 1, &claims), 0);
        assert_int_equal(verify(*state, 0, NOW + CM_MINUTE, &claims), CM_TOKEN_EXPIRED);
}

static void the_least_recently_used_goes(void **state)
{
        const struct cm_claims *claims;

        for (size_t i = 0; i < 3; i++)
                assert_int_equal(verify(*state, i, NOW, &claims), 0);
        assert_int_equal(verify(*state, 0, NOW, &claims), 0); /* 1 is now the oldest */
        assert_int_equal(verify(*state, 3, NOW, &claims), 0);
        assert_true(is_cached(*state, 0));
        assert_false(is_cached(*state, 1));
        assert_true(is_cached(*state, 2));
        assert_true(is_cached(*state, 3));
}

static void revocation_is_by_token_and_by_session(void **state)
{
        struct fixture *fixture = *state;
        const struct cm_uuid jti = { { 1 } }, sid = { { 102 } };
        const struct cm_claims *claims;

        for (size_t i = 0; i < 2; i++)
                assert_int_equal(verify(*state, i, NOW, &claims), 0);
        cm_token_cache_revoke(fixture->cache, &jti, NOW + CM_MINUTE);
        cm_token_cache_revoke(fixture->cache, &sid, NOW + CM_MINUTE);
        cm_token_cache_revoke(fixture->cache, &sid, NOW); /* never shortens */
        assert_int_equal(verify(*state, 0, NOW, &claims), 0);
        assert_int_equal(verify(*state, 1, NOW, &claims), CM_TOKEN_REVOKED); /* seen before */
        assert_int_equal(verify(*state, 2, NOW, &claims), CM_TOKEN_REVOKED); /* not seen before */
        cm_token_cache_clear(fixture->cache);
        assert_int_equal(verify(*state, 1, NOW, &claims), CM_TOKEN_REVOKED);
}

static void many_revocations_are_swept(void **state)
{
        struct fixture *fixture = *state;
        const struct cm_uuid jti = { { 1 } };
        const struct cm_claims *claims;

        cm_token_cache_revoke(fixture->cache, &jti, NOW + CM_MINUTE);
        for (uint32_t i = 0; i < 5000; i++) {
                struct cm_uuid other = { { 200, (uint8_t)(i >> 8), (uint8_t)i } };

                cm_token_cache_revoke(fixture->cache, &other, NOW - 1);
        }
        assert_int_equal(verify(*state, 0, NOW, &claims), 0);
        assert_int_equal(verify(*state, 1, NOW, &claims), CM_TOKEN_REVOKED);
}

static void confirmation_is_asked_for_again(void **state)
{
        struct fixture *fixture = *state;
        const struct cm_claims *claims;

        assert_int_equal(verify(*state, 0, NOW, &claims), 0);
        assert_false(cm_token_cache_is_confirmed(fixture->cache, claims));
        cm_token_cache_confirm(fixture->cache, cm_buf_str(&fixture->tokens[0]));
        assert_true(cm_token_cache_is_confirmed(fixture->cache, claims));
        assert_int_equal(verify(*state, 1, NOW, &claims), 0);
        assert_false(cm_token_cache_is_confirmed(fixture->cache, claims));

        cm_token_cache_unconfirm(fixture->cache);
        assert_int_equal(verify(*state, 0, NOW, &claims), 0);
        assert_false(cm_token_cache_is_confirmed(fixture->cache, claims));
        cm_token_cache_confirm(fixture->cache, cm_buf_str(&fixture->tokens[3])); /* not there */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_token_is_verified_once),
                TEST(a_refused_token_is_not_kept),
                TEST(a_cached_token_expires),
                TEST(the_least_recently_used_goes),
                TEST(revocation_is_by_token_and_by_session),
                TEST(many_revocations_are_swept),
                TEST(confirmation_is_asked_for_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
