#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Instants are microseconds since 1970-01-01T00:00:00Z, as PostgreSQL keeps them; leap seconds do
 * not exist. Dates are days since 1970-01-01 in the proleptic Gregorian calendar.
 */
typedef int64_t cm_time;
typedef int32_t cm_date;

#define CM_SECOND      INT64_C(1000000)
#define CM_MILLISECOND INT64_C(1000)
#define CM_MINUTE      (60 * CM_SECOND)
#define CM_HOUR        (60 * CM_MINUTE)
#define CM_DAY         (24 * CM_HOUR)

#define CM_TIME_TEXT_SIZE sizeof("2026-11-20T20:15:12.123456Z")
#define CM_DATE_TEXT_SIZE sizeof("2026-11-20")

/* Years 0001 to 9999. RFC 3339 with a zone designator; up to 9 fraction digits, cut to
 * microseconds; second 60 is refused. `offset_minutes_r` (may be NULL) is the offset that the text
 * named. */
bool cm_time_parse(struct cm_str text, cm_time *time_r, int *offset_minutes_r);
/* RFC 3339 in UTC, fraction without trailing zeros ("…:12Z", "…:12.5Z"). Returns `out`. */
const char *cm_time_format(cm_time time, char out[CM_TIME_TEXT_SIZE]);
bool cm_date_parse(struct cm_str text, cm_date *date_r); /* YYYY-MM-DD */
const char *cm_date_format(cm_date date, char out[CM_DATE_TEXT_SIZE]);

cm_date cm_date_from_civil(int year, int month, int day);
void cm_date_to_civil(cm_date date, int *year_r, int *month_r, int *day_r);

/* A source of time that tests can set. */
struct cm_clock {
        cm_time (*now)(const struct cm_clock *clock);
};

extern const struct cm_clock cm_clock_system;
static inline cm_time cm_now(const struct cm_clock *clock)
{
        return clock->now(clock);
}

/* Never goes back, unrelated to the calendar; for deadlines and durations. */
int64_t cm_monotonic_us(void);
