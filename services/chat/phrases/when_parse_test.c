#include "when_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Monday, 30 November 2026, a part of a second before 10:15 on the wall, two hours ahead of UTC. */
static const struct {
        const char *message, *zone, *schedule; /* NULL: no time is said; "": said, but not when */
} rows[] = {
        { "every weekday at 8", "Europe/London", "0 8 * * 1-5" },
        { "every weekday at 8", "Asia/Jerusalem", "0 8 * * 0-4" },
        { "כל יום חול בשמונה", "Asia/Jerusalem", "0 8 * * 0-4" },
        { "on weekdays at 7:30", "UTC", "30 7 * * 1-5" },
        { "on weekends at 10", "UTC", "0 10 * * 0,6" },
        { "every day at 8:30 pm", "UTC", "30 20 * * *" },
        { "daily at 21:00", "UTC", "0 21 * * *" },
        { "every morning", "UTC", "0 8 * * *" },
        { "every monday and thursday at 7am", "UTC", "0 7 * * 1,4" },
        { "כל יום שני וחמישי בשש בערב", "UTC", "0 18 * * 1,4" },
        { "כל בוקר בשבע וחצי", "UTC", "30 7 * * *" },
        { "כל יום ב-21:00", "UTC", "0 21 * * *" },
        { "every 2 hours", "UTC", "@every 2h" },
        { "every 90 minutes", "UTC", "@every 90m" },
        { "כל שעתיים", "UTC", "@every 2h" },
        { "in 10 minutes", "UTC", "@at 2026-11-30T08:25:00Z" },
        { "in an hour", "UTC", "@at 2026-11-30T09:15:00Z" },
        { "in half an hour", "UTC", "@at 2026-11-30T08:45:00Z" },
        { "בעוד 10 דקות", "UTC", "@at 2026-11-30T08:25:00Z" },
        { "בעוד שעה וחצי", "UTC", "@at 2026-11-30T09:45:00Z" },
        { "tomorrow at 9", "UTC", "@at 2026-12-01T07:00:00Z" },
        { "מחר בתשע וחצי", "UTC", "@at 2026-12-01T07:30:00Z" },
        { "at 3", "UTC", "@at 2026-11-30T13:00:00Z" },
        { "at 11", "UTC", "@at 2026-11-30T09:00:00Z" },
        { "at 9", "UTC", "@at 2026-11-30T19:00:00Z" },
        { "today at 8am", "UTC", "@at 2026-12-01T06:00:00Z" },
        { "tonight", "UTC", "@at 2026-11-30T18:00:00Z" },
        { "on friday at noon", "UTC", "@at 2026-12-04T10:00:00Z" },
        { "in 3 days", "UTC", "@at 2026-12-03T08:15:00Z" },
        { "every day", "UTC", "" },
        { "every weekday", "UTC", "" },
        { "to take my meds", "UTC", NULL },
        { "at 99:99", "UTC", NULL },
        { "to do 20 squats", "UTC", NULL },
};

static void test_times(void **state CM_UNUSED)
{
        struct cm_zone *zone = cm_zone_fixed(7200);
        struct when_place place = { .zone = zone };
        int wrong = 0;

        assert_true(cm_time_parse(CM_STR("2026-11-30T08:14:59.25Z"), &place.now, NULL));
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_str found = CM_STR_NONE;
                struct cm_arena arena;
                struct chat_text text;
                struct when when;

                cm_arena_init(&arena, 16384);
                place.zone_name = cm_str_from(rows[i].zone);
                assert_true(chat_text_read(&arena, cm_str_from(rows[i].message), &text));
                if (when_parse(&arena, &text, 0, &place, &when))
                        found = when.has_time ? when.schedule : CM_STR("");
                if (!cm_str_equal(found, cm_str_from(rows[i].schedule))) {
                        print_error("%s: %.*s\n", rows[i].message, CM_STR_ARG(found));
                        wrong++;
                }
                cm_arena_deinit(&arena);
        }
        cm_zone_free(&zone);
        assert_int_equal(wrong, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_times) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
