#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cron_internal.h"
#include "spread.h"

/*
 * A field is a list of items: '*', a value, a-b, each of the last two kinds of range with "/step".
 * The day fields have forms of their own ('?', L, W, '#'), and 'H' stands for a value that the
 * schedule's id chooses. Values go into `set`, a map of bits that starts at the field's least
 * value.
 */
struct item {
        uint32_t low, high, step;
        bool stepped;
};

struct shape {
        const char *name;
        uint32_t min, max;
        uint32_t star_max; /* what '*' goes to: weekday 7 is Sunday once more */
        const char *names; /* three letters each */
        uint32_t first_name;
};

static const struct shape shapes[CRON_FIELDS] = {
        [CRON_SECOND] = { "second", 0, 59, 59 },
        [CRON_MINUTE] = { "minute", 0, 59, 59 },
        [CRON_HOUR] = { "hour", 0, 23, 23 },
        [CRON_DAY] = { "day-of-month", 1, 31, 31 },
        [CRON_MONTH] = { "month", 1, 12, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", 1 },
        [CRON_WEEKDAY] = { "day-of-week", 0, 7, 6, "SUNMONTUEWEDTHUFRISAT", 0 },
        [CRON_YEAR] = { "year", CRON_FIRST_YEAR, CRON_LAST_YEAR, CRON_LAST_YEAR },
};

const char *cron_field_name(enum cron_field field)
{
        return shapes[field].name;
}

bool cron_refuse(struct cron_scanner *scanner, const char *at, const char *format, ...)
{
        va_list args;

        scanner->fault->column = (int)(at - scanner->start) + 1;
        va_start(args, format);
        (void)vsnprintf(scanner->fault->reason, sizeof(scanner->fault->reason), format, args);
        va_end(args);
        return false;
}

/* ---- letters and digits */

static char peek(const struct cron_scanner *s)
{
        return s->at < s->end ? *s->at : '\0';
}

static bool take(struct cron_scanner *s, char c)
{
        if (s->at == s->end || *s->at != c)
                return false;
        s->at++;
        return true;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool unexpected(struct cron_scanner *s)
{
        unsigned char c = (unsigned char)peek(s);

        if (s->at == s->end)
                return cron_refuse(s, s->at, "a value is missing");
        if (c > ' ' && c < 0x7f)
                return cron_refuse(s, s->at, "unexpected '%c'", c);
        return cron_refuse(s, s->at, "byte 0x%02x is no ASCII letter, digit or sign", c);
}

static bool read_number(struct cron_scanner *s, uint32_t *value_r)
{
        const char *from = s->at;
        uint64_t value = 0;

        if (!is_digit(peek(s)))
                return unexpected(s);
        while (is_digit(peek(s)) && s->at - from < 10)
                value = value * 10 + (uint64_t)(*s->at++ - '0');
        if (s->at - from > 9)
                return cron_refuse(s, from, "a number of more than 9 digits");
        *value_r = (uint32_t)value;
        return true;
}

static bool check_range(struct cron_scanner *s, const char *at, uint32_t value)
{
        const struct shape *shape = &shapes[s->field];

        if (value > shape->max)
                return cron_refuse(s, at, "%u is above %u", value, shape->max);
        if (value < shape->min)
                return cron_refuse(s, at, "%u is below %u", value, shape->min);
        return true;
}

/* How many letters stand here. */
static size_t word_length(const struct cron_scanner *s)
{
        size_t n = 0;

        while (s->at + n < s->end && is_letter(s->at[n]))
                n++;
        return n;
}

static bool same_letters(const char *text, const char *name)
{
        for (int i = 0; i < 3; i++)
                if ((text[i] & ~0x20) != name[i])
                        return false;
        return true;
}

/* "MON", or "MON" before an L. */
static bool read_name(struct cron_scanner *s, uint32_t *value_r)
{
        const struct shape *shape = &shapes[s->field];
        size_t length = word_length(s);
        bool last = s->field == CRON_WEEKDAY && length == 4 && s->at[3] == 'L';

        if (!shape->names)
                return unexpected(s);
        for (uint32_t i = 0; shape->names[(size_t)i * 3] && (length == 3 || last); i++)
                if (same_letters(s->at, shape->names + (size_t)i * 3)) {
                        s->at += 3;
                        *value_r = shape->first_name + i;
                        return true;
                }
        return cron_refuse(s, s->at, "'%.*s' is no %s", (int)(length < 16 ? length : 16), s->at,
                           s->field == CRON_MONTH ? "month (JAN to DEC)" : "weekday (SUN to SAT)");
}

static bool read_value(struct cron_scanner *s, uint32_t *value_r)
{
        const char *at = s->at;

        if (is_letter(peek(s)))
                return read_name(s, value_r);
        return read_number(s, value_r) && check_range(s, at, *value_r);
}

/* ---- sets of values */

static void add_value(struct cron *cron, enum cron_field field, uint32_t value)
{
        switch (field) {
        case CRON_SECOND:
                cron->seconds |= UINT64_C(1) << value;
                break;
        case CRON_MINUTE:
                cron->minutes |= UINT64_C(1) << value;
                break;
        case CRON_HOUR:
                cron->hours |= 1U << value;
                break;
        case CRON_DAY:
                cron->days |= 1U << value;
                break;
        case CRON_MONTH:
                cron->months |= 1U << value;
                break;
        case CRON_WEEKDAY:
                cron->weekdays |= (uint8_t)(1U << value % 7);
                break;
        default:
                value -= CRON_FIRST_YEAR;
                cron->years[value / 64] |= UINT64_C(1) << value % 64;
        }
}

static void add_item(struct cron_scanner *s, const struct item *item)
{
        for (uint32_t v = item->low; v <= item->high; v += item->step) {
                add_value(s->cron, s->field, v);
                if (item->step > item->high - v)
                        break;
        }
        if (item->stepped && item->step > item->high - item->low)
                s->cron->warnings |= CRON_STEP_BEYOND;
}

static bool read_step(struct cron_scanner *s, struct item *item)
{
        const char *at;

        item->step = 1;
        if (!take(s, '/'))
                return true;
        at = s->at;
        if (!read_number(s, &item->step))
                return false;
        item->stepped = true;
        return item->step > 0 || cron_refuse(s, at, "a step must be at least 1");
}

/* ---- H: a value that the schedule's id chooses */

static uint32_t chosen(const struct cron_scanner *s, uint32_t count)
{
        uint64_t x = s->seed + ((uint64_t)s->field + 1) * UINT64_C(0x9e3779b97f4a7c15);

        return count > 1 ? (uint32_t)(spread_mix(x) % count) : 0;
}

static bool read_spread_range(struct cron_scanner *s, struct item *item)
{
        const char *at = s->at;

        if (!take(s, '('))
                return true;
        if (!read_value(s, &item->low) || (!take(s, '-') && !unexpected(s)))
                return false;
        if (!read_value(s, &item->high) || (!take(s, ')') && !unexpected(s)))
                return false;
        return item->low <= item->high ||
               cron_refuse(s, at, "the range goes down: %u-%u", item->low, item->high);
}

/* The offset stays inside the range; a step that reaches no second value is one value. */
static bool read_spread(struct cron_scanner *s)
{
        const struct shape *shape = &shapes[s->field];
        struct item item = { .low = shape->min,
                             /* a day that every month has */
                             .high = s->field == CRON_DAY ? 28 : shape->star_max };
        uint32_t span;

        if (!read_spread_range(s, &item) || !read_step(s, &item))
                return false;
        span = item.high - item.low + 1;
        s->cron->warnings |= CRON_SPREAD;
        item.low += chosen(s, item.stepped && item.step < span ? item.step : span);
        if (!item.stepped)
                item.high = item.low;
        else if (s->field == CRON_MINUTE || s->field == CRON_HOUR)
                s->cron->interval = true;
        add_item(s, &item);
        return true;
}

/* ---- what only the day fields know */

/* L, L-n, LW */
static bool read_last_day(struct cron_scanner *s)
{
        const char *at;
        uint32_t before = 0;

        if (take(s, 'W')) {
                s->cron->nearest_last = true;
                return true;
        }
        if (take(s, '-')) {
                at = s->at;
                if (!read_number(s, &before))
                        return false;
                if (before < 1 || before > 30)
                        return cron_refuse(s, at, "L-%u: L goes with 1 to 30", before);
        }
        s->cron->last_days |= 1U << before;
        return true;
}

/* Behind a weekday: L, #n, #L. True as well when it is none of them; then *done_r stays false. */
static bool read_nth(struct cron_scanner *s, uint32_t weekday, bool *done_r)
{
        const char *at = s->at;
        uint8_t bit = (uint8_t)(1U << weekday % 7);
        uint32_t n;

        if (take(s, 'L')) {
                s->cron->last_weekdays |= bit;
                *done_r = true;
                return true;
        }
        if (!take(s, '#'))
                return true;
        *done_r = true;
        if (take(s, 'L')) {
                s->cron->last_weekdays |= bit;
                return true;
        }
        if (!read_number(s, &n))
                return false;
        if (n < 1 || n > 5)
                return cron_refuse(s, at, "#%u: a month has a weekday 1 to 5 times, or #L", n);
        s->cron->nth[n - 1] |= bit;
        return true;
}

/* "15W" */
static bool read_nearest(struct cron_scanner *s, uint32_t day, bool *done_r)
{
        if (s->field != CRON_DAY || !take(s, 'W'))
                return true;
        s->cron->nearest = (uint8_t)day;
        *done_r = true;
        return true;
}

/* ---- items and lists */

static bool read_range_end(struct cron_scanner *s, struct item *item)
{
        const char *at = s->at;

        if (!read_value(s, &item->high))
                return false;
        /* "FRI-SUN": the week ends with Sunday as well as it begins with it. */
        if (s->field == CRON_WEEKDAY && item->high == 0 && item->low > 0 && is_letter(*at))
                item->high = 7;
        if (item->low > item->high)
                return cron_refuse(s, at, "the range goes down: %u-%u", item->low, item->high);
        return true;
}

static bool read_range(struct cron_scanner *s)
{
        struct item item = { 0 };
        bool done = false;

        if (!read_value(s, &item.low))
                return false;
        if (s->field == CRON_WEEKDAY && !read_nth(s, item.low, &done))
                return false;
        if (!read_nearest(s, item.low, &done) || done)
                return done;
        item.high = item.low;
        item.step = 1;
        if (peek(s) == '/')
                return cron_refuse(s, s->at, "a step needs a range: write %u-%u/n", item.low,
                                   shapes[s->field].max);
        if (take(s, '-') && (!read_range_end(s, &item) || !read_step(s, &item)))
                return false;
        if (s->field == CRON_DAY && peek(s) == 'W')
                return cron_refuse(s, s->at, "W goes with a single day");
        add_item(s, &item);
        return true;
}

static bool read_star(struct cron_scanner *s)
{
        const struct shape *shape = &shapes[s->field];
        struct item item = { .low = shape->min, .high = shape->star_max };

        if (!read_step(s, &item))
                return false;
        add_item(s, &item);
        return true;
}

static bool read_item(struct cron_scanner *s)
{
        if (peek(s) == '?')
                return cron_refuse(s, s->at,
                                   s->field == CRON_DAY || s->field == CRON_WEEKDAY
                                           ? "'?' stands alone"
                                           : "'?' is for the day fields only");
        if (take(s, '*'))
                return read_star(s);
        if (s->field != CRON_YEAR && peek(s) == 'H' && word_length(s) == 1 && take(s, 'H'))
                return read_spread(s);
        if (s->field == CRON_DAY && take(s, 'L'))
                return read_last_day(s);
        return read_range(s);
}

static bool read_list(struct cron_scanner *s)
{
        const char *start = s->at;
        struct cron *cron = s->cron;

        do {
                if (!read_item(s))
                        return false;
        } while (take(s, ','));
        if (s->at < s->end)
                return unexpected(s);
        if (s->field == CRON_DAY && (cron->nearest || cron->nearest_last) &&
            memchr(start, ',', (size_t)(s->end - start)))
                return cron_refuse(s, start, "W goes with a single day, not with a list");
        return true;
}

/* ---- the whole field */

static bool is_bare(const struct cron_scanner *s, char c)
{
        return s->end - s->at == 1 && *s->at == c;
}

/* '*' and '?' alone say nothing. A step over all does, and other crons see it otherwise: the parser
 * takes the warning back when the other field says nothing. */
static void note_days(struct cron_scanner *s, bool *any_r)
{
        *any_r = is_bare(s, '*') || is_bare(s, '?');
        if (peek(s) == '*' && !*any_r)
                s->cron->warnings |= CRON_STAR_DAYS_OR;
}

bool cron_read_field(struct cron_scanner *s)
{
        struct cron *cron = s->cron;

        s->fault->field = shapes[s->field].name;
        if (s->field == CRON_MINUTE || s->field == CRON_HOUR)
                cron->interval |= peek(s) == '*';
        if (s->field == CRON_YEAR)
                cron->has_years = !is_bare(s, '*');
        if (s->field == CRON_WEEKDAY)
                cron->both_days = take(s, '+');
        if (s->field == CRON_DAY)
                note_days(s, &cron->any_day);
        if (s->field == CRON_WEEKDAY)
                note_days(s, &cron->any_weekday);
        if ((s->field == CRON_DAY || s->field == CRON_WEEKDAY) && is_bare(s, '?') &&
            !(s->field == CRON_WEEKDAY && cron->both_days))
                return true;
        return read_list(s);
}
