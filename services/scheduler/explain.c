#include "explain.h"

/*
 * Works from what was understood, not from what was written: sets of values become "every 5
 * minutes" when they are evenly spread over all, a range when they follow each other, else a list.
 * One set of phrases a language; the sentence is built in the same order in both.
 */
struct phrases {
        const char *and, * or, *through, *list_and;
        const char *every_second, *every_n_seconds, *at_seconds;
        const char *every_minute, *every_n_minutes, *at_minutes;
        const char *every_hour, *every_n_hours, *in_hours;
        const char *at_times, *every_day, *on_days, *on_weekdays, *only_if;
        const char *last_day, *days_before_last, *nearest, *last_workday;
        const char *nth[5], *last;
        const char *in_months, *in_years, *every, *once;
        const char *hours, *minutes, *seconds;
        const char *weekdays[7], *months[12];
};

static const struct phrases english = {
        .and = " and ",
        .or = ", or ",
        .through = " to ",
        .list_and = " and ",
        .every_second = "every second",
        .every_n_seconds = "every %u seconds",
        .at_seconds = "at seconds ",
        .every_minute = "every minute",
        .every_n_minutes = "every %u minutes",
        .at_minutes = "at minutes ",
        .every_hour = "of every hour",
        .every_n_hours = "of every %u hours from midnight",
        .in_hours = "of the hours ",
        .at_times = "at ",
        .every_day = "every day",
        .on_days = "on days of the month ",
        .on_weekdays = "on ",
        .only_if = ", but only if it is also ",
        .last_day = "the last day of the month",
        .days_before_last = "%u days before the last day of the month",
        .nearest = "the day from Monday to Friday nearest to day %u of the month",
        .last_workday = "the last day from Monday to Friday of the month",
        .nth = { "the first %s of the month", "the second %s of the month",
                 "the third %s of the month", "the fourth %s of the month",
                 "the fifth %s of the month" },
        .last = "the last %s of the month",
        .in_months = "in ",
        .in_years = "in the years ",
        .every = "every ",
        .once = "once, at ",
        .hours = "%lld hours",
        .minutes = "%lld minutes",
        .seconds = "%lld seconds",
        .weekdays = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
                      "Saturday" },
        .months = { "January", "February", "March", "April", "May", "June", "July", "August",
                    "September", "October", "November", "December" },
};

static const struct phrases hebrew = {
        .and = " ו-",
        .or = ", או ",
        .through = " עד ",
        .list_and = " ו-",
        .every_second = "בכל שנייה",
        .every_n_seconds = "כל %u שניות",
        .at_seconds = "בשניות ",
        .every_minute = "בכל דקה",
        .every_n_minutes = "כל %u דקות",
        .at_minutes = "בדקות ",
        .every_hour = "של כל שעה",
        .every_n_hours = "בכל %u שעות מחצות",
        .in_hours = "של השעות ",
        .at_times = "בשעה ",
        .every_day = "בכל יום",
        .on_days = "בימי החודש ",
        .on_weekdays = "ביום ",
        .only_if = ", אבל רק אם זה גם ",
        .last_day = "היום האחרון בחודש",
        .days_before_last = "%u ימים לפני היום האחרון בחודש",
        .nearest = "היום בין שני לשישי הקרוב ביותר ל-%u בחודש",
        .last_workday = "היום האחרון בחודש בין שני לשישי",
        .nth = { "יום %s הראשון בחודש", "יום %s השני בחודש", "יום %s השלישי בחודש",
                 "יום %s הרביעי בחודש", "יום %s החמישי בחודש" },
        .last = "יום %s האחרון בחודש",
        .in_months = "בחודשים ",
        .in_years = "בשנים ",
        .every = "כל ",
        .once = "פעם אחת, ב-",
        .hours = "%lld שעות",
        .minutes = "%lld דקות",
        .seconds = "%lld שניות",
        .weekdays = { "ראשון", "שני", "שלישי", "רביעי", "חמישי", "שישי", "שבת" },
        .months = { "ינואר", "פברואר", "מרץ", "אפריל", "מאי", "יוני", "יולי", "אוגוסט", "ספטמבר",
                    "אוקטובר", "נובמבר", "דצמבר" },
};

/* A set of values in the order in which they are told. */
struct values {
        uint32_t items[230];
        uint32_t count;
        const char *const *names; /* NULL: numbers */
        uint32_t first_name;
        int width; /* of numbers */
};

static void add(struct cm_buf *out, const char *text)
{
        cm_buf_add_str(out, cm_str_from(text));
}

static struct values values_of(uint64_t bits)
{
        struct values values = { .width = 1 };

        for (; bits; bits &= bits - 1)
                values.items[values.count++] = (uint32_t)__builtin_ctzll(bits);
        return values;
}

static void add_value(struct cm_buf *out, const struct values *values, uint32_t i)
{
        if (values->names)
                add(out, values->names[values->items[i] - values->first_name]);
        else
                cm_buf_printf(out, "%0*u", values->width, values->items[i]);
}

/* "1, 3 and 8 to 12" */
static void add_values(struct cm_buf *out, const struct phrases *p, const struct values *values)
{
        for (uint32_t i = 0, end; i < values->count; i = end + 1) {
                for (end = i;
                     end + 1 < values->count && values->items[end + 1] == values->items[end] + 1;)
                        end++;
                if (end == i + 1)
                        end = i; /* two are no range */
                if (i > 0)
                        add(out, end + 1 == values->count ? p->list_and : ", ");
                add_value(out, values, i);
                if (end > i) {
                        add(out, p->through);
                        add_value(out, values, end);
                }
        }
}

/* The step with which the values go through 0 … size - 1 evenly; 0: they do not. */
static uint32_t even_step(const struct values *values, uint32_t size)
{
        uint32_t step = values->count > 1 ? values->items[1] - values->items[0] : 0;

        if (!step || values->items[0] != 0 || size % step != 0 || values->count != size / step)
                return 0;
        for (uint32_t i = 1; i < values->count; i++)
                if (values->items[i] - values->items[i - 1] != step)
                        return 0;
        return step;
}

static void add_unit(struct cm_buf *out, const struct phrases *p, const struct values *values,
                     uint32_t size, const char *const texts[3])
{
        uint32_t step = even_step(values, size);

        if (step == 1)
                add(out, texts[0]);
        else if (step)
                cm_buf_printf(out, texts[1], step);
        else {
                add(out, texts[2]);
                add_values(out, p, values);
        }
}

enum { FEW_TIMES = 8 };

/* "at 08:00, 12:30": when there are few. */
static bool add_few_times(struct cm_buf *out, const struct phrases *p, const struct values *hours,
                          const struct values *minutes, const struct values *seconds)
{
        uint32_t count = hours->count * minutes->count, i = 0;

        if (count > FEW_TIMES || seconds->count != 1)
                return false;
        add(out, p->at_times);
        for (uint32_t h = 0; h < hours->count; h++)
                for (uint32_t m = 0; m < minutes->count; m++, i++) {
                        if (i > 0)
                                add(out, i + 1 == count ? p->list_and : ", ");
                        cm_buf_printf(out, "%02u:%02u", hours->items[h], minutes->items[m]);
                        if (seconds->items[0])
                                cm_buf_printf(out, ":%02u", seconds->items[0]);
                }
        return true;
}

static void add_clock(struct cm_buf *out, const struct phrases *p, const struct cron *cron)
{
        struct values hours = values_of(cron->hours), minutes = values_of(cron->minutes);
        struct values seconds = values_of(cron->seconds);
        const char *const second_texts[] = { p->every_second, p->every_n_seconds, p->at_seconds };
        const char *const minute_texts[] = { p->every_minute, p->every_n_minutes, p->at_minutes };
        const char *const hour_texts[] = { p->every_hour, p->every_n_hours, p->in_hours };

        if (add_few_times(out, p, &hours, &minutes, &seconds))
                return;
        if (seconds.count != 1 || seconds.items[0] != 0) {
                add_unit(out, p, &seconds, 60, second_texts);
                add(out, ", ");
        }
        add_unit(out, p, &minutes, 60, minute_texts);
        if (hours.count == 24 && even_step(&minutes, 60))
                return; /* "every 5 minutes" says it */
        add(out, " ");
        add_unit(out, p, &hours, 24, hour_texts);
}

/* Between the parts of "on …": the first has the word before it. */
static void add_or(struct cm_buf *out, const struct phrases *p, bool *begun)
{
        if (*begun)
                add(out, p->or);
        *begun = true;
}

static void add_days(struct cm_buf *out, const struct phrases *p, const struct cron *cron)
{
        struct values days = values_of(cron->days & ~UINT32_C(1));
        struct values last = values_of(cron->last_days);
        bool begun = false;

        if (days.count) {
                add_or(out, p, &begun);
                add(out, p->on_days);
                add_values(out, p, &days);
        }
        for (uint32_t i = 0; i < last.count; i++) {
                add_or(out, p, &begun);
                if (last.items[i])
                        cm_buf_printf(out, p->days_before_last, last.items[i]);
                else
                        add(out, p->last_day);
        }
        if (cron->nearest) {
                add_or(out, p, &begun);
                cm_buf_printf(out, p->nearest, cron->nearest);
        }
        if (cron->nearest_last) {
                add_or(out, p, &begun);
                add(out, p->last_workday);
        }
}

static void add_some(struct cm_buf *out, const struct phrases *p, uint32_t weekdays,
                     const char *text, bool *begun)
{
        for (; weekdays; weekdays &= weekdays - 1) {
                add_or(out, p, begun);
                cm_buf_printf(out, text, p->weekdays[__builtin_ctz(weekdays)]);
        }
}

static void add_weekdays(struct cm_buf *out, const struct phrases *p, const struct cron *cron)
{
        struct values weekdays = values_of(cron->weekdays);
        bool begun = false;

        weekdays.names = p->weekdays;
        if (weekdays.count) {
                add_or(out, p, &begun);
                add(out, p->on_weekdays);
                add_values(out, p, &weekdays);
        }
        for (int n = 0; n < 5; n++)
                add_some(out, p, cron->nth[n], p->nth[n], &begun);
        add_some(out, p, cron->last_weekdays, p->last, &begun);
}

static void add_date(struct cm_buf *out, const struct phrases *p, const struct cron *cron)
{
        struct values months = values_of(cron->months);
        struct values years = { .width = 1 };

        add(out, ", ");
        if (cron->any_day && cron->any_weekday)
                add(out, p->every_day);
        if (!cron->any_day)
                add_days(out, p, cron);
        if (!cron->any_day && !cron->any_weekday)
                add(out, cron->both_days ? p->only_if : p->or);
        if (!cron->any_weekday)
                add_weekdays(out, p, cron);
        if (months.count < 12) {
                months.names = p->months;
                months.first_name = 1;
                add(out, ", ");
                add(out, p->in_months);
                add_values(out, p, &months);
        }
        for (uint32_t i = 0; cron->has_years && i <= CRON_LAST_YEAR - CRON_FIRST_YEAR; i++)
                if (cron->years[i / 64] >> i % 64 & 1)
                        years.items[years.count++] = CRON_FIRST_YEAR + i;
        if (years.count) {
                add(out, ", ");
                add(out, p->in_years);
                add_values(out, p, &years);
        }
}

static void add_every(struct cm_buf *out, const struct phrases *p, int64_t every_s)
{
        const int64_t parts[] = { every_s / 3600, every_s / 60 % 60, every_s % 60 };
        const char *const texts[] = { p->hours, p->minutes, p->seconds };
        bool begun = false;

        add(out, p->every);
        for (int i = 0; i < 3; i++)
                if (parts[i]) {
                        if (begun)
                                add(out, p->and);
                        cm_buf_printf(out, texts[i], (long long)parts[i]);
                        begun = true;
                }
}

static struct cm_str explain_in(const struct phrases *p, const struct recurrence *recurrence,
                                struct cm_arena *arena)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };
        char at[CM_TIME_TEXT_SIZE];

        switch (recurrence->kind) {
        case RECURRENCE_EVERY:
                add_every(&out, p, recurrence->every_s);
                break;
        case RECURRENCE_AT:
                add(&out, p->once);
                add(&out, cm_time_format(recurrence->at, at));
                break;
        default:
                add_clock(&out, p, &recurrence->cron);
                add_date(&out, p, &recurrence->cron);
        }
        return cm_arena_str(arena, cm_buf_str(&out));
}

void explain_recurrence(const struct recurrence *recurrence, struct cm_arena *arena,
                        struct explanation *explanation_r)
{
        explanation_r->en = explain_in(&english, recurrence, arena);
        explanation_r->he = explain_in(&hebrew, recurrence, arena);
}

size_t explain_warnings(const struct recurrence *recurrence,
                        int32_t warnings_r[EXPLAIN_MAX_WARNINGS])
{
        uint32_t flags = recurrence->kind == RECURRENCE_CRON ? recurrence->cron.warnings : 0;
        size_t count = 0;

        if (flags & CRON_STEP_BEYOND)
                warnings_r[count++] = SCHEDULE_WARNING_STEP_BEYOND_RANGE;
        if (flags & CRON_STAR_DAYS_OR)
                warnings_r[count++] = SCHEDULE_WARNING_EITHER_DAY_FIELD_WITH_STEP;
        else if (flags & CRON_DAYS_OR)
                warnings_r[count++] = SCHEDULE_WARNING_EITHER_DAY_FIELD;
        if (flags & CRON_SPREAD)
                warnings_r[count++] = SCHEDULE_WARNING_SPREAD_BY_ID;
        return count;
}
