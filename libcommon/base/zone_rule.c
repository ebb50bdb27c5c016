#include "base/zone_rule.h"

#include "base/time.h"

enum { DAY_S = 86400, MAX_HOURS = 167 };

static bool take(struct cm_str *text, char c)
{
        if (text->len == 0 || *text->data != c)
                return false;
        text->data++;
        text->len--;
        return true;
}

static bool take_number(struct cm_str *text, int max, int *value_r)
{
        int value = 0;
        size_t digits = 0;

        while (text->len > 0 && *text->data >= '0' && *text->data <= '9' && digits < 3) {
                value = value * 10 + (*text->data - '0');
                text->data++;
                text->len--;
                digits++;
        }
        *value_r = value;
        return digits > 0 && value <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct cm_str *text, int32_t *seconds_r)
{
        bool negative = take(text, '-');
        int hours, minutes = 0, seconds = 0;

        if (!negative)
                take(text, '+');
        if (!take_number(text, MAX_HOURS, &hours))
                return false;
        if (take(text, ':') && !take_number(text, 59, &minutes))
                return false;
        if (take(text, ':') && !take_number(text, 59, &seconds))
                return false;
        *seconds_r = hours * 3600 + minutes * 60 + seconds;
        if (negative)
                *seconds_r = -*seconds_r;
        return true;
}

/* At least three letters, or anything between angle brackets. */
static bool skip_name(struct cm_str *text)
{
        size_t n = 0;

        if (take(text, '<')) {
                while (text->len > 0 && *text->data != '>')
                        take(text, *text->data);
                return take(text, '>');
        }
        while (text->len > 0 && ((*text->data | 0x20) >= 'a' && (*text->data | 0x20) <= 'z')) {
                take(text, *text->data);
                n++;
        }
        return n >= 3;
}

static bool take_day(struct cm_str *text, struct cm_zone_day *day_r)
{
        *day_r = (struct cm_zone_day){ .kind = 'D', .time_s = 2 * 3600 };
        if (take(text, 'M')) {
                day_r->kind = 'M';
                if (!take_number(text, 12, &day_r->month) || !take(text, '.') ||
                    !take_number(text, 5, &day_r->week) || !take(text, '.') ||
                    !take_number(text, 6, &day_r->day) || day_r->month < 1 || day_r->week < 1)
                        return false;
        } else {
                if (take(text, 'J'))
                        day_r->kind = 'J';
                if (!take_number(text, 365, &day_r->day))
                        return false;
                if (day_r->kind == 'J' && day_r->day < 1)
                        return false;
        }
        return !take(text, '/') || take_time(text, &day_r->time_s);
}

bool cm_zone_rule_parse(struct cm_str text, struct cm_zone_rule *rule_r)
{
        int32_t west;

        *rule_r = (struct cm_zone_rule){ 0 };
        if (!skip_name(&text) || !take_time(&text, &west))
                return false;
        rule_r->standard_s = -west;
        if (text.len == 0)
                return true;

        rule_r->has_daylight = true;
        rule_r->daylight_s = rule_r->standard_s + 3600;
        if (!skip_name(&text))
                return false;
        if (text.len > 0 && *text.data != ',') {
                if (!take_time(&text, &west))
                        return false;
                rule_r->daylight_s = -west;
        }
        return take(&text, ',') && take_day(&text, &rule_r->start) && take(&text, ',') &&
               take_day(&text, &rule_r->end) && text.len == 0;
}

static bool is_leap(int year)
{
        return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int weekday(cm_date date) /* 0 is Sunday; 1970-01-01 was a Thursday */
{
        return (int)(((int64_t)date % 7 + 11) % 7);
}

static cm_date day_of_year(const struct cm_zone_day *day, int year)
{
        cm_date first = cm_date_from_civil(year, 1, 1);
        cm_date date;

        if (day->kind == 'D')
                return first + day->day;
        if (day->kind == 'J')
                return first + day->day - 1 + (is_leap(year) && day->day >= 60);

        first = cm_date_from_civil(year, day->month, 1);
        date = first + (day->day - weekday(first) + 7) % 7 + (day->week - 1) * 7;
        while (date >= cm_date_from_civil(year + day->month / 12, day->month % 12 + 1, 1))
                date -= 7;
        return date;
}

static int64_t start_of(const struct cm_zone_rule *rule, int year)
{
        return (int64_t)day_of_year(&rule->start, year) * DAY_S + rule->start.time_s -
               rule->standard_s;
}

static int64_t end_of(const struct cm_zone_rule *rule, int year)
{
        return (int64_t)day_of_year(&rule->end, year) * DAY_S + rule->end.time_s - rule->daylight_s;
}

static int year_of(int64_t s)
{
        int year, month, day;

        cm_date_to_civil((cm_date)(s / DAY_S - (s % DAY_S < 0)), &year, &month, &day);
        return year;
}

int32_t cm_zone_rule_offset(const struct cm_zone_rule *rule, int64_t at_s)
{
        int year;
        int64_t start, end;
        bool daylight;

        if (!rule->has_daylight)
                return rule->standard_s;
        year = year_of(at_s + rule->standard_s);
        start = start_of(rule, year);
        end = end_of(rule, year);
        daylight = start < end ? at_s >= start && at_s < end : at_s >= start || at_s < end;
        return daylight ? rule->daylight_s : rule->standard_s;
}

bool cm_zone_rule_around(const struct cm_zone_rule *rule, int64_t at_s, int64_t *before_s_r,
                         int64_t *after_s_r)
{
        int year = year_of(at_s);

        if (!rule->has_daylight)
                return false;
        *before_s_r = INT64_MIN;
        *after_s_r = INT64_MAX;
        for (int y = year - 1; y <= year + 1; y++) {
                int64_t changes[] = { start_of(rule, y), end_of(rule, y) };

                for (int i = 0; i < 2; i++)
                        if (changes[i] <= at_s && changes[i] > *before_s_r)
                                *before_s_r = changes[i];
                        else if (changes[i] > at_s && changes[i] < *after_s_r)
                                *after_s_r = changes[i];
        }
        return true;
}

bool cm_zone_rule_next(const struct cm_zone_rule *rule, int64_t after_s, int64_t *at_s_r)
{
        int64_t before;

        return cm_zone_rule_around(rule, after_s, &before, at_s_r);
}
