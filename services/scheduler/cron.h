#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/zone.h"

/*
 * Cron expressions after the Open Cron Pattern Specification 1.0 to 1.4, with seconds in front and
 * years behind: `[second] minute hour day-of-month month day-of-week [year]`. docs/schedules.md
 * has the grammar and the rule for clocks that jump. Pure: no clock, no allocation, any thread.
 *
 * When both day fields say something, a day that one of them names is enough, unless the second one
 * begins with '+': then both must.
 */
struct cron {
        uint64_t seconds, minutes; /* bit n: value n */
        uint32_t hours;
        uint32_t months;       /* 1–12 */
        uint32_t days;         /* 1–31 */
        uint32_t last_days;    /* bit n: n days before the month's last */
        uint8_t nearest;       /* "nW": n; else 0 */
        bool nearest_last;     /* "LW" */
        uint8_t weekdays;      /* bit 0: Sunday */
        uint8_t last_weekdays; /* "nL" */
        uint8_t nth[5];        /* "d#n": weekdays of the (n + 1)th week */
        bool any_day, any_weekday;
        bool both_days; /* '+' */
        bool has_years;
        uint64_t years[4]; /* bit n: 1970 + n */
        bool interval;     /* paced by the clock's hand: minutes or hours begin with '*' or "H/n",
                              or there are several seconds */
        uint32_t warnings; /* enum cron_warning */
};

enum cron_warning {
        CRON_STEP_BEYOND = 1,  /* a step that reaches no second value */
        CRON_DAYS_OR = 2,      /* both day fields say something: either is enough */
        CRON_STAR_DAYS_OR = 4, /* one of them is a step over all: other crons want both then */
        CRON_SPREAD = 8,       /* "H": the time depends on the schedule's id */
};

enum { CRON_MAX_LENGTH = 256, CRON_FIRST_YEAR = 1970, CRON_LAST_YEAR = 2199 };

/* Where and why an expression was refused. `column` counts bytes from 1. */
struct cron_fault {
        const char *field; /* "minute", …; "expression" when it is about the whole */
        int column;
        char reason[120];
};
enum { CRON_FAULT_TEXT_SIZE = 176 };
/* "minute: 60 is above 59 (column 1)". Returns `out`. */
const char *cron_fault_format(const struct cron_fault *fault, char out[CRON_FAULT_TEXT_SIZE]);

enum cron_outcome { CRON_INVALID = 1 };
/* `seed` is what "H" spreads by (the schedule's id). 0, or CRON_INVALID with *fault_r. */
int cron_parse(struct cm_str text, uint64_t seed, struct cron *cron_r,
               struct cron_fault *fault_r) CM_MUST_CHECK;

/* What becomes of a fixed time of day that the clock jumps over, or shows twice. Expressions that
 * are paced by the clock's hand (cron.interval) have no make-up and fire both times. */
enum cron_gap { CRON_GAP_FIRE_AFTER, CRON_GAP_SKIP, CRON_GAP_SHIFT };
enum cron_overlap { CRON_OVERLAP_FIRST, CRON_OVERLAP_SECOND, CRON_OVERLAP_BOTH };
struct cron_policy {
        enum cron_gap gap;
        enum cron_overlap overlap;
};

enum cron_adjusted { CRON_AS_PLANNED, CRON_ADJUSTED_GAP, CRON_ADJUSTED_OVERLAP };
struct cron_firing {
        cm_time at; /* whole seconds */
        enum cron_adjusted adjusted;
};

/* The least firing later than `after`; false: never again. The same for each `after` between two
 * firings. The work is bounded: 40 years of months, in which every kind of year occurs. */
bool cron_next(const struct cron *cron, const struct cm_zone *zone, struct cron_policy policy,
               cm_time after, struct cron_firing *firing_r);

/* The least local second at or after `wall_s` (seconds since 1970 on the wall) that the fields
 * name; false: none. */
bool cron_next_wall(const struct cron *cron, int64_t wall_s, int64_t *wall_s_r);
