#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/time.h"
#include "service/user_refs_internal.h"

/* The cache; the table is tried in service_test.c and in tests/integration. */

static const struct cm_uuid alice = { { 1 } }, bob = { { 2 } };

static struct cm_user_ref ref_of(const struct cm_uuid *id, int64_t version)
{
        return (struct cm_user_ref){ .user_id = *id, .version = version };
}

static int64_t found_version(struct user_ref_cache *cache, const struct cm_uuid *id, int64_t now)
{
        struct cm_user_ref ref;
        bool known;

        if (!user_ref_cache_find(cache, id, now, &known, &ref))
                return -1;
        return known ? ref.version : 0;
}

static void an_answer_is_kept_for_a_minute(void **state CM_UNUSED)
{
        struct user_ref_cache *cache = user_ref_cache_new();
        struct cm_user_ref ref = ref_of(&alice, 3);

        assert_int_equal(found_version(cache, &alice, 0), -1);
        user_ref_cache_keep(cache, &alice, 100, &ref);
        assert_int_equal(found_version(cache, &alice, 100), 3);
        assert_int_equal(found_version(cache, &alice, 100 + CM_MINUTE - 1), 3);
        assert_int_equal(found_version(cache, &alice, 100 + CM_MINUTE), -1);
        assert_int_equal(found_version(cache, &bob, 100), -1);
        user_ref_cache_free(&cache);
}

static void nobody_is_kept_for_a_second(void **state CM_UNUSED)
{
        struct user_ref_cache *cache = user_ref_cache_new();

        user_ref_cache_keep(cache, &alice, 0, NULL);
        assert_int_equal(found_version(cache, &alice, 0), 0);
        assert_int_equal(found_version(cache, &alice, CM_SECOND), -1);
        user_ref_cache_free(&cache);
}

/* The event has been told, its transaction may not be committed: the old row is not kept. */
static void what_is_older_than_an_event_is_not_kept(void **state CM_UNUSED)
{
        struct user_ref_cache *cache = user_ref_cache_new();
        struct cm_user_ref old = ref_of(&alice, 3), new = ref_of(&alice, 4);

        user_ref_cache_keep(cache, &alice, 0, &old);
        user_ref_cache_expect(cache, &alice, 3); /* told again */
        assert_int_equal(found_version(cache, &alice, 0), 3);
        user_ref_cache_expect(cache, &alice, 4);
        assert_int_equal(found_version(cache, &alice, 0), -1);
        user_ref_cache_keep(cache, &alice, 0, &old);
        assert_int_equal(found_version(cache, &alice, 0), -1);
        user_ref_cache_keep(cache, &alice, 0, NULL);
        assert_int_equal(found_version(cache, &alice, 0), -1);
        user_ref_cache_keep(cache, &alice, 0, &new);
        assert_int_equal(found_version(cache, &alice, 0), 4);
        user_ref_cache_expect(cache, &bob, 1); /* never asked for: nothing to forget */
        assert_int_equal(found_version(cache, &bob, 0), -1);
        user_ref_cache_free(&cache);
}

static void it_is_bounded(void **state CM_UNUSED)
{
        struct user_ref_cache *cache = user_ref_cache_new();
        struct cm_user_ref ref = ref_of(&alice, 1);

        user_ref_cache_keep(cache, &alice, 0, &ref);
        for (int i = 0; i < 4096; i++) {
                struct cm_uuid id = { { 9, (uint8_t)(i >> 8), (uint8_t)i } };

                ref = ref_of(&id, 1);
                user_ref_cache_keep(cache, &id, 0, &ref);
                if (i == 4000) /* still there, and now the most recently used */
                        assert_int_equal(found_version(cache, &alice, 0), 1);
        }
        assert_int_equal(found_version(cache, &alice, 0), 1);
        assert_int_equal(found_version(cache, &(struct cm_uuid){ { 9, 0, 0 } }, 0), -1);
        assert_int_equal(found_version(cache, &(struct cm_uuid){ { 9, 0, 1 } }, 0), 1);
        user_ref_cache_free(&cache);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_answer_is_kept_for_a_minute),
                cmocka_unit_test(nobody_is_kept_for_a_second),
                cmocka_unit_test(what_is_older_than_an_event_is_not_kept),
                cmocka_unit_test(it_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
