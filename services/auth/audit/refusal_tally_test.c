#include "refusal_tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct refusal scope = {
        .action = "access.refuse",
        .reason = "scope",
        .actor = { { 1 } },
        .network = { "192.0.2.1", 9 },
        .target = { "GET /v1/admin/users", 19 },
};

static void the_first_of_a_kind_is_a_row(void **state CM_UNUSED)
{
        struct refusal_tally *tally = refusal_tally_new(10);
        struct refusal other = scope, stranger = scope, network = scope, route = scope;
        const struct refusal *found;
        size_t position = 0;
        int64_t more;

        assert_true(refusal_tally_is_empty(tally));
        other.actor.bytes[0] = 2;
        stranger.actor = network.actor = (struct cm_uuid){ 0 };
        network.network = CM_STR("192.0.2.2");
        route.target = CM_STR("GET /v1/admin/flags");
        assert_true(refusal_tally_count(tally, &scope));
        assert_false(refusal_tally_is_empty(tally));
        assert_false(refusal_tally_count(tally, &scope));
        assert_false(refusal_tally_count(tally, &route)); /* the same, at another door */
        assert_true(refusal_tally_count(tally, &other));
        assert_true(refusal_tally_count(tally, &stranger));
        assert_true(refusal_tally_count(tally, &network));
        route.by_target = true;
        assert_true(refusal_tally_count(tally, &route));

        assert_true(refusal_tally_next(tally, &position, &found, &more));
        assert_int_equal(more, 2);
        assert_int_equal(found->actor.bytes[0], 1);
        assert_true(cm_str_equal(found->target, scope.target));
        assert_true(found->target.data != scope.target.data); /* its own */
        assert_false(refusal_tally_next(tally, &position, &found, &more));
        refusal_tally_free(&tally);
}

static void there_are_no_more_rows_than_set(void **state CM_UNUSED)
{
        struct refusal_tally *tally = refusal_tally_new(3);
        size_t rows = 0;

        for (int i = 0; i < 1000; i++) {
                struct refusal refusal = scope;
                char network[32];

                (void)snprintf(network, sizeof(network), "10.0.%d.%d", i / 250, i % 250);
                refusal.actor = (struct cm_uuid){ 0 };
                refusal.network = cm_str_from(network);
                rows += refusal_tally_count(tally, &refusal);
        }
        assert_int_equal(rows, 3);
        assert_int_equal(refusal_tally_others(tally), 997);
        refusal_tally_free(&tally);
}

static void without_rows_all_are_counted(void **state CM_UNUSED)
{
        struct refusal_tally *tally = refusal_tally_new(0);

        assert_false(refusal_tally_count(tally, &scope));
        assert_int_equal(refusal_tally_others(tally), 1);
        assert_false(refusal_tally_is_empty(tally));
        refusal_tally_free(&tally);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_first_of_a_kind_is_a_row),
                cmocka_unit_test(there_are_no_more_rows_than_set),
                cmocka_unit_test(without_rows_all_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
