#include "base/time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Days from civil and back: Howard Hinnant, "chrono-compatible low-level date algorithms". */
cm_date cm_date_from_civil(int year, int month, int day)
{
        int y = year - (month <= 2);
        int era = (y >= 0 ? y : y - 399) / 400;
        int year_of_era = y - era * 400;
        int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

        return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
               day_of_year - 719468;
}

void cm_date_to_civil(cm_date date, int *year_r, int *month_r, int *day_r)
{
        int z = date + 719468;
        int era = (z >= 0 ? z : z - 146096) / 146097;
        int day_of_era = z - era * 146097;
        int year_of_era =
                (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        int shifted_month = (5 * day_of_year + 2) / 153;

        *day_r = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        *month_r = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
        *year_r = year_of_era + era * 400 + (*month_r <= 2);
}

/* Exactly `count` digits at the front of *text, which is moved on. */
static bool take_number(struct cm_str *text, size_t count, int *value_r)
{
        int value = 0;

        if (text->len < count)
                return false;
        for (size_t i = 0; i < count; i++) {
                if (text->data[i] < '0' || text->data[i] > '9')
                        return false;
                value = value * 10 + (text->data[i] - '0');
        }
        text->data += count;
        text->len -= count;
        *value_r = value;
        return true;
}

static bool take_char(struct cm_str *text, char c)
{
        if (!text->len || text->data[0] != c)
                return false;
        text->data++;
        text->len--;
        return true;
}

static int days_in_month(int year, int month)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

        return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct cm_str *text, cm_date *date_r)
{
        int year, month, day;

        if (!take_number(text, 4, &year) || !take_char(text, '-') ||
            !take_number(text, 2, &month) || !take_char(text, '-') || !take_number(text, 2, &day))
                return false;
        if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
                return false;
        *date_r = cm_date_from_civil(year, month, day);
        return true;
}

static bool take_clock(struct cm_str *text, int64_t *us_r)
{
        int hour, minute, second, digit;
        int64_t scale = CM_SECOND / 10;
        size_t digits = 0;

        if (!take_number(text, 2, &hour) || !take_char(text, ':') ||
            !take_number(text, 2, &minute) || !take_char(text, ':') ||
            !take_number(text, 2, &second) || hour > 23 || minute > 59 || second > 59)
                return false;
        *us_r = hour * CM_HOUR + minute * CM_MINUTE + second * CM_SECOND;
        if (!take_char(text, '.'))
                return true;
        while (take_number(text, 1, &digit)) {
                *us_r += digit * scale;
                scale /= 10;
                digits++;
        }
        return digits >= 1 && digits <= 9;
}

static bool take_offset(struct cm_str *text, int *minutes_r)
{
        int hours, minutes;
        bool east = text->len && text->data[0] == '+';

        *minutes_r = 0;
        if (take_char(text, 'Z') || take_char(text, 'z'))
                return true;
        if (!take_char(text, '+') && !take_char(text, '-'))
                return false;
        if (!take_number(text, 2, &hours) || !take_char(text, ':') ||
            !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
                return false;
        *minutes_r = (hours * 60 + minutes) * (east ? 1 : -1);
        return true;
}

bool cm_time_parse(struct cm_str text, cm_time *time_r, int *offset_minutes_r)
{
        cm_date date;
        int64_t clock_us;
        int offset;

        if (!take_date(&text, &date))
                return false;
        if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' '))
                return false;
        if (!take_clock(&text, &clock_us) || !take_offset(&text, &offset) || text.len)
                return false;
        *time_r = date * CM_DAY + clock_us - offset * CM_MINUTE;
        if (offset_minutes_r)
                *offset_minutes_r = offset;
        return true;
}

bool cm_date_parse(struct cm_str text, cm_date *date_r)
{
        return take_date(&text, date_r) && !text.len;
}

static char *put_number(char *out, int value, int digits)
{
        for (int i = digits - 1; i >= 0; i--, value /= 10)
                out[i] = (char)('0' + value % 10);
        return out + digits;
}

static char *put_date(char *out, cm_date date)
{
        int year, month, day;

        cm_date_to_civil(date, &year, &month, &day);
        out = put_number(out, year, 4);
        *out++ = '-';
        out = put_number(out, month, 2);
        *out++ = '-';
        return put_number(out, day, 2);
}

const char *cm_date_format(cm_date date, char out[CM_DATE_TEXT_SIZE])
{
        *put_date(out, date) = '\0';
        return out;
}

const char *cm_time_format(cm_time time, char out[CM_TIME_TEXT_SIZE])
{
        cm_date date = (cm_date)((time - (time < 0 ? CM_DAY - 1 : 0)) / CM_DAY);
        int64_t us = time - date * CM_DAY;
        int fraction = (int)(us % CM_SECOND);
        char *p = put_date(out, date);

        *p++ = 'T';
        p = put_number(p, (int)(us / CM_HOUR), 2);
        *p++ = ':';
        p = put_number(p, (int)(us / CM_MINUTE % 60), 2);
        *p++ = ':';
        p = put_number(p, (int)(us / CM_SECOND % 60), 2);
        if (fraction) {
                *p++ = '.';
                p = put_number(p, fraction, 6);
                while (p[-1] == '0')
                        p--;
        }
        *p++ = 'Z';
        *p = '\0';
        return out;
}

static cm_time system_now(const struct cm_clock *clock CM_UNUSED)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return now.tv_sec * CM_SECOND + now.tv_nsec / 1000;
}

const struct cm_clock cm_clock_system = { system_now };

int64_t cm_monotonic_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * CM_SECOND + now.tv_nsec / 1000;
}
