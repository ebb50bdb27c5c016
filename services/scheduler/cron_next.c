#include "base/time.h"
#include "cron.h"

/*
 * Two questions, one after the other. What local times do the fields name? That is a matter of the
 * calendar: a month's days as one map of bits, then hours, minutes, seconds likewise, and no step
 * from minute to minute. And when does the clock on the wall show them? That goes through the
 * stretches of constant offset: inside one both run alike, and at a border there are times that
 * never come (a gap) and times that come twice (an overlap).
 *
 * Seconds throughout. What is more than JUMP_REACH away from a change of the offset knows nothing
 * of it, so a search that finds nothing here goes on where the next local time can be.
 */
enum { DAY_S = 86400, JUMP_REACH_S = 26 * 3600, MAX_GAP_S = 3 * 3600 };
enum { YEARS_AHEAD = 40, LAST_YEAR = 9999 };

/* ---- the calendar */

static int64_t floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b < 0);
}

static int weekday_of(cm_date date) /* 0 is Sunday */
{
        return (int)(((int64_t)date % 7 + 11) % 7);
}

static int length_of(int year, int month)
{
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        if (month == 2)
                return 28 + leap;
        return 30 + ((month + (month > 7)) & 1);
}

/* One month: bit n is day n. */
struct month {
        int length, first_weekday;
        uint32_t all;
};

/* The days that fall on one of these weekdays. */
static uint32_t on_weekdays(const struct month *month, uint32_t weekdays)
{
        uint64_t week = ((weekdays | weekdays << 7) >> month->first_weekday) & 0x7f;

        return (uint32_t)(week * UINT64_C(0x10204081) << 1) & month->all;
}

/* The day from Monday to Friday next to `day`, in the same month. */
static int nearest_weekday(const struct month *month, int day)
{
        int weekday = (month->first_weekday + day - 1) % 7;

        if (weekday == 6)
                return day > 1 ? day - 1 : day + 2;
        if (weekday == 0)
                return day < month->length ? day + 1 : day - 2;
        return day;
}

static uint32_t days_by_number(const struct cron *cron, const struct month *month)
{
        uint32_t days = cron->days & month->all;

        for (uint32_t left = cron->last_days; left; left &= left - 1) {
                int day = month->length - __builtin_ctz(left);

                if (day >= 1)
                        days |= 1U << day;
        }
        if (cron->nearest && cron->nearest <= month->length)
                days |= 1U << nearest_weekday(month, cron->nearest);
        if (cron->nearest_last)
                days |= 1U << nearest_weekday(month, month->length);
        return days;
}

static uint32_t days_by_weekday(const struct cron *cron, const struct month *month)
{
        uint32_t days = on_weekdays(month, cron->weekdays);

        for (int n = 0; n < 5; n++)
                if (cron->nth[n])
                        days |= on_weekdays(month, cron->nth[n]) &
                                (uint32_t)(UINT64_C(0xfe) << n * 7);
        if (cron->last_weekdays)
                days |= on_weekdays(month, cron->last_weekdays) &
                        (uint32_t)(UINT64_C(0xfe) << (month->length - 7));
        return days;
}

static uint32_t days_of(const struct cron *cron, int year, int month_number)
{
        struct month month = { .length = length_of(year, month_number),
                               .first_weekday =
                                       weekday_of(cm_date_from_civil(year, month_number, 1)) };

        month.all = (uint32_t)((UINT64_C(2) << month.length) - 2);
        if (cron->any_day)
                return cron->any_weekday ? month.all : days_by_weekday(cron, &month);
        if (cron->any_weekday)
                return days_by_number(cron, &month);
        if (cron->both_days)
                return days_by_number(cron, &month) & days_by_weekday(cron, &month);
        return days_by_number(cron, &month) | days_by_weekday(cron, &month);
}

static bool has_year(const struct cron *cron, int year)
{
        unsigned bit = (unsigned)(year - CRON_FIRST_YEAR);

        return !cron->has_years || (year >= CRON_FIRST_YEAR && year <= CRON_LAST_YEAR &&
                                    (cron->years[bit / 64] >> bit % 64 & 1));
}

/* The year to go on with; beyond `last` when there is none. */
static int year_from(const struct cron *cron, int year, int last)
{
        if (cron->has_years && year < CRON_FIRST_YEAR)
                year = CRON_FIRST_YEAR;
        while (year <= last && !has_year(cron, year))
                year++;
        return year;
}

/* In 40 years every kind of year occurs: leap or not, beginning with each weekday. */
static int last_year(const struct cron *cron, int year)
{
        int last = cron->has_years ? CRON_LAST_YEAR : year + YEARS_AHEAD;

        return last < LAST_YEAR ? last : LAST_YEAR;
}

static bool next_date(const struct cron *cron, cm_date from, cm_date *date_r)
{
        int year, month, day, last, start;

        cm_date_to_civil(from, &year, &month, &day);
        last = last_year(cron, year);
        for (start = year; (year = year_from(cron, year, last)) <= last; year++) {
                if (year > start)
                        month = day = 1;
                for (; month <= 12; month++, day = 1) {
                        uint32_t days;

                        if (!(cron->months >> month & 1))
                                continue;
                        days = days_of(cron, year, month) & (UINT32_MAX << day);
                        if (days) {
                                *date_r = cm_date_from_civil(year, month, __builtin_ctz(days));
                                return true;
                        }
                }
        }
        return false;
}

static int clock_of(int hour, uint64_t minutes, uint64_t seconds)
{
        return hour * 3600 + __builtin_ctzll(minutes) * 60 + __builtin_ctzll(seconds);
}

/* The least time of day at or after `from`; negative: none. */
static int next_clock(const struct cron *cron, int from)
{
        int hour = from / 3600, minute = from / 60 % 60, second = from % 60;
        uint32_t later;

        if (cron->hours >> hour & 1) {
                uint64_t minutes = cron->minutes >> minute << minute;

                if ((minutes >> minute & 1) && cron->seconds >> second)
                        return clock_of(hour, UINT64_C(1) << minute,
                                        cron->seconds >> second << second);
                minutes = minutes >> (minute + 1) << (minute + 1);
                if (minutes)
                        return clock_of(hour, minutes, cron->seconds);
        }
        later = cron->hours >> (hour + 1) << (hour + 1);
        return later ? clock_of(__builtin_ctz(later), cron->minutes, cron->seconds) : -1;
}

bool cron_next_wall(const struct cron *cron, int64_t wall_s, int64_t *wall_s_r)
{
        cm_date today = (cm_date)floor_div(wall_s, DAY_S), date;
        int clock;

        if (!next_date(cron, today, &date))
                return false;
        clock = next_clock(cron, date == today ? (int)(wall_s - (int64_t)today * DAY_S) : 0);
        if (clock < 0) {
                if (!next_date(cron, today + 1, &date))
                        return false;
                clock = next_clock(cron, 0);
        }
        *wall_s_r = (int64_t)date * DAY_S + clock;
        return true;
}

/* ---- the clock on the wall */

struct stretch {
        int64_t from, until, offset; /* far outside all years where there is no border */
};

static struct stretch stretch_at(const struct cm_zone *zone, int64_t s)
{
        struct cm_zone_stretch found;

        cm_zone_stretch_at(zone, s * CM_SECOND, &found);
        return (struct stretch){ found.from / CM_SECOND, found.until / CM_SECOND, found.offset_s };
}

/* A search. `wall` is the least named local time at or after `wall_from`. */
struct search {
        const struct cron *cron;
        const struct cm_zone *zone;
        struct cron_policy policy;
        int64_t wall_from, wall;
        struct stretch here;
        int64_t found;
        enum cron_adjusted adjusted;
};

static void offer(struct search *search, int64_t at, enum cron_adjusted adjusted)
{
        if (at < search->found) {
                search->found = at;
                search->adjusted = adjusted;
        }
}

static bool look_up_wall(struct search *search, int64_t from)
{
        if (from >= search->wall_from && from <= search->wall)
                return true;
        search->wall_from = from;
        if (cron_next_wall(search->cron, from, &search->wall))
                return true;
        search->wall = INT64_MIN;
        return false;
}

/* The highest local time that was shown before this stretch began, plus one. */
static int64_t shown_until(const struct search *search)
{
        int64_t from = search->here.from, highest = INT64_MIN;

        while (from > search->here.from - JUMP_REACH_S) {
                struct stretch before = stretch_at(search->zone, from - 1);

                if (from + before.offset > highest)
                        highest = from + before.offset;
                if (before.from == INT64_MIN / CM_SECOND)
                        break;
                from = before.from;
        }
        return highest;
}

/* From this local time on the wall will be shown again after this stretch. */
static int64_t shown_again_from(const struct search *search)
{
        return search->here.until + stretch_at(search->zone, search->here.until).offset;
}

/* The gap at the stretch's beginning: what the clock jumped over. */
static void offer_gap(struct search *search, int64_t start)
{
        int64_t before, jumped, wall;

        if (search->policy.gap == CRON_GAP_SKIP || start - search->here.from > MAX_GAP_S)
                return;
        before = stretch_at(search->zone, search->here.from - 1).offset;
        jumped = search->here.offset - before;
        if (jumped <= 0 || jumped > MAX_GAP_S)
                return;
        if (search->policy.gap == CRON_GAP_FIRE_AFTER && start > search->here.from)
                return;
        if (cron_next_wall(search->cron, start + before, &wall) &&
            wall < search->here.from + search->here.offset)
                offer(search,
                      search->policy.gap == CRON_GAP_SHIFT ? wall - before : search->here.from,
                      CRON_ADJUSTED_GAP);
}

/* A fixed time of day that was, or will be, shown a second time. False: not in this stretch. */
static bool settle_overlap(struct search *search, enum cron_adjusted *adjusted_r)
{
        const struct stretch *here = &search->here;
        int64_t at = search->wall - here->offset, shown;

        if (at - here->from < JUMP_REACH_S && search->wall < (shown = shown_until(search))) {
                if (search->policy.overlap == CRON_OVERLAP_FIRST) {
                        if (!look_up_wall(search, shown))
                                return false;
                        return settle_overlap(search, adjusted_r);
                }
                *adjusted_r = CRON_ADJUSTED_OVERLAP;
        }
        if (at < here->until && here->until - at < JUMP_REACH_S &&
            search->wall >= shown_again_from(search)) {
                if (search->policy.overlap == CRON_OVERLAP_SECOND)
                        return false;
                *adjusted_r = CRON_ADJUSTED_OVERLAP;
        }
        return true;
}

/* The next local time that this stretch shows. False: the fields name none any more. */
static bool offer_regular(struct search *search, int64_t start)
{
        const struct stretch *here = &search->here;
        enum cron_adjusted adjusted = CRON_AS_PLANNED;

        if (!look_up_wall(search, start + here->offset))
                return false;
        if (!search->cron->interval && !settle_overlap(search, &adjusted))
                return search->wall != INT64_MIN;
        if (search->wall - here->offset < here->until)
                offer(search, search->wall - here->offset, adjusted);
        return true;
}

/* Where to look next when nothing was found in this stretch; false: there is nothing. */
static bool go_on(const struct search *search, bool never, int64_t *start)
{
        int64_t until = search->here.until;

        if (until == INT64_MAX / CM_SECOND)
                return false;
        /* Shortly before a border the clock may still be set back to a time before `start`. */
        if (until - *start > JUMP_REACH_S) {
                if (never)
                        return false;
                if (search->wall - JUMP_REACH_S > until)
                        until = search->wall - JUMP_REACH_S;
        }
        *start = until;
        return true;
}

bool cron_next(const struct cron *cron, const struct cm_zone *zone, struct cron_policy policy,
               cm_time after, struct cron_firing *firing_r)
{
        struct search search = { .cron = cron,
                                 .zone = zone,
                                 .policy = policy,
                                 .wall_from = INT64_MAX,
                                 .wall = INT64_MIN,
                                 .found = INT64_MAX };
        int64_t start = floor_div(after, CM_SECOND) + 1;
        bool never;

        do {
                search.here = stretch_at(zone, start);
                if (!cron->interval)
                        offer_gap(&search, start);
                never = !offer_regular(&search, start);
        } while (search.found == INT64_MAX && go_on(&search, never, &start));
        *firing_r = (struct cron_firing){ search.found == INT64_MAX ? 0 : search.found * CM_SECOND,
                                          search.adjusted };
        return search.found != INT64_MAX;
}
