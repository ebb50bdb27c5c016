#include "explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void sentences(void **state CM_UNUSED)
{
        static const struct {
                const char *expression, *en, *he;
        } cases[] = {
                { "0 8 * * 1-5", "at 08:00, on Monday to Friday", "בשעה 08:00, ביום שני עד שישי" },
                { "*/5 * * * *", "every 5 minutes, every day", "כל 5 דקות, בכל יום" },
                { "* * * * *", "every minute, every day", "בכל דקה, בכל יום" },
                { "0 * * * *", "at minutes 0 of every hour, every day",
                  "בדקות 0 של כל שעה, בכל יום" },
                { "0 8,12,20 * * *", "at 08:00, 12:00 and 20:00, every day",
                  "בשעה 08:00, 12:00 ו-20:00, בכל יום" },
                { "30 0 8 * * *", "at 08:00:30, every day", "בשעה 08:00:30, בכל יום" },
                { "*/10 * * * * *", "every 10 seconds, every minute, every day",
                  "כל 10 שניות, בכל דקה, בכל יום" },
                { "0 */6 * * *", "at 00:00, 06:00, 12:00 and 18:00, every day",
                  "בשעה 00:00, 06:00, 12:00 ו-18:00, בכל יום" },
                { "0 9 15W * *",
                  "at 09:00, the day from Monday to Friday nearest to day 15 of the month",
                  "בשעה 09:00, היום בין שני לשישי הקרוב ביותר ל-15 בחודש" },
                { "0 9 L-3 2 *", "at 09:00, 3 days before the last day of the month, in February",
                  "בשעה 09:00, 3 ימים לפני היום האחרון בחודש, בחודשים פברואר" },
                { "0 9 1,L * 1#2",
                  "at 09:00, on days of the month 1, or the last day of the month, or the second"
                  " Monday of the month",
                  "בשעה 09:00, בימי החודש 1, או היום האחרון בחודש, או יום שני השני בחודש" },
                { "0 0 9 1 1 * 2027-2029",
                  "at 09:00, on days of the month 1, in January, in the years 2027 to 2029",
                  "בשעה 09:00, בימי החודש 1, בחודשים ינואר, בשנים 2027 עד 2029" },
                { "@every 36h", "every 36 hours", "כל 36 שעות" },
        };
        struct cm_arena arena;

        cm_arena_init(&arena, 4096);
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                struct explanation explanation;
                struct recurrence recurrence;
                struct cron_fault fault;

                assert_int_equal(
                        recurrence_parse(cm_str_from(cases[i].expression), 0, &recurrence, &fault),
                        0);
                explain_recurrence(&recurrence, &arena, &explanation);
                assert_string_equal(explanation.en.data, cases[i].en);
                assert_string_equal(explanation.he.data, cases[i].he);
        }
        cm_arena_deinit(&arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(sentences) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
