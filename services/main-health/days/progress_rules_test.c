#include "progress_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void days_in_a_row(void **state CM_UNUSED)
{
        static const struct {
                const char *what;
                cm_date days[8]; /* up to a 0 */
                size_t counting;
                int64_t current, longest;
        } rows[] = {
                { "nothing yet", { 0 }, 0, 0, 0 },
                { "today", { 100 }, 1, 1, 1 },
                { "yesterday: today may still count", { 99 }, 1, 1, 1 },
                { "the day before: it is over", { 98 }, 1, 0, 1 },
                { "three in a row", { 100, 99, 98 }, 3, 3, 3 },
                { "a gap ends it", { 100, 99, 97, 96, 95 }, 5, 2, 3 },
                { "the longest is the oldest", { 100, 50, 10, 9, 8, 7 }, 6, 1, 4 },
                { "all of it is over", { 90, 89, 88 }, 3, 0, 3 },
                { "what is planned does not count yet", { 400, 101, 100, 99 }, 2, 2, 2 },
                { "nothing but plans", { 400, 101 }, 0, 0, 0 },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct progress progress;
                size_t count = 0;

                while (rows[i].days[count])
                        count++;
                progress_rules_make(rows[i].days, count, 100, &progress);
                if (progress.current_streak != rows[i].current ||
                    progress.longest_streak != rows[i].longest)
                        fail_msg("%s: %d, longest %d", rows[i].what, (int)progress.current_streak,
                                 (int)progress.longest_streak);
                assert_int_equal(progress.days, rows[i].counting);
                assert_int_equal(progress.xp, 10 * rows[i].counting);
                assert_int_equal(progress.has_last_day, rows[i].counting ? CM_PRESENT : CM_ABSENT);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(days_in_a_row) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
