#include "progress_rules.h"

enum { POINTS_A_DAY = 10 };

/* How many of the first days follow on each other. */
static size_t run_of(const cm_date *days, size_t count)
{
        size_t run = count ? 1 : 0;

        while (run < count && days[run] == days[run - 1] - 1)
                run++;
        return run;
}

void progress_rules_make(const cm_date *days, size_t count, cm_date today,
                         struct progress *progress_r)
{
        for (; count && days[0] > today; days++)
                count--;
        *progress_r = (struct progress){
                .today = today,
                .days = (int64_t)count,
                .xp = (int64_t)count * POINTS_A_DAY,
        };
        if (!count)
                return;
        progress_r->last_day = days[0];
        progress_r->has_last_day = CM_PRESENT;
        if (days[0] >= today - 1)
                progress_r->current_streak = (int64_t)run_of(days, count);
        for (size_t at = 0, run; at < count; at += run) {
                run = run_of(days + at, count - at);
                if ((int64_t)run > progress_r->longest_streak)
                        progress_r->longest_streak = (int64_t)run;
        }
}
