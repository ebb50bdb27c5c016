#include "replies.h"

#include <math.h>
#include <string.h>

void reply_number(struct cm_buf *out, double value)
{
        if (value == floor(value) && fabs(value) < 1e15)
                cm_buf_printf(out, "%.0f", value);
        else
                cm_buf_printf(out, "%.4g", value);
}

struct reply_clock reply_clock(cm_time at, const struct planner_context *context)
{
        cm_time wall = cm_zone_wall(context->zone, at);
        cm_date date = cm_zone_date(context->zone, at);
        struct reply_clock clock;
        cm_time of_day = wall - (cm_time)date * CM_DAY;

        cm_date_to_civil(date, &clock.year, &clock.month, &clock.day);
        clock.weekday = ((int)(date % 7) + 4 + 7) % 7; /* 1970-01-01 was a Thursday */
        clock.hour = (int)(of_day / CM_HOUR);
        clock.minute = (int)(of_day % CM_HOUR / CM_MINUTE);
        clock.days_from_today = date - cm_zone_date(context->zone, context->now);
        return clock;
}

static bool read_days(struct cm_str text, unsigned *days_r)
{
        struct cm_str part;

        *days_r = 0;
        if (cm_str_equal(text, CM_STR("*")))
                return true;
        while (cm_str_split(&text, ',', &part)) {
                if (part.len == 3 && part.data[1] == '-') {
                        for (int day = part.data[0] - '0'; day <= part.data[2] - '0'; day++)
                                *days_r |= 1U << (day & 7);
                } else if (part.len == 1 && part.data[0] >= '0' && part.data[0] <= '6') {
                        *days_r |= 1U << (part.data[0] - '0');
                } else {
                        return false;
                }
        }
        return true;
}

bool reply_cron_read(struct cm_str schedule, struct reply_cron *cron_r)
{
        struct cm_str fields[5], rest = schedule;
        int64_t hour, minute;

        for (size_t i = 0; i < CM_COUNT(fields); i++)
                if (!cm_str_split(&rest, ' ', &fields[i]))
                        return false;
        if (rest.data || !cm_str_to_int(fields[0], &minute) || !cm_str_to_int(fields[1], &hour) ||
            !cm_str_equal(fields[2], CM_STR("*")) || !cm_str_equal(fields[3], CM_STR("*")) ||
            hour < 0 || hour > 23 || minute < 0 || minute > 59)
                return false;
        cron_r->hour = (int)hour;
        cron_r->minute = (int)minute;
        return read_days(fields[4], &cron_r->days);
}

int reply_every_minutes(struct cm_str schedule)
{
        struct cm_str rest = schedule;
        int64_t value;
        char unit;

        if (!cm_str_starts(rest, CM_STR("@every ")) || rest.len < 9)
                return 0;
        unit = rest.data[rest.len - 1];
        rest = (struct cm_str){ rest.data + 7, rest.len - 8 };
        if (!cm_str_to_int(rest, &value) || value < 1 || value > 1000000)
                return 0;
        return unit == 'h' ? (int)value * 60 : unit == 'm' ? (int)value : (int)value / 60;
}

bool reply_is_short(const struct planner_context *context)
{
        const struct user_context *wishes = context->wishes;

        return wishes && wishes->ai_profile.has_response_length == CM_PRESENT &&
               wishes->ai_profile.response_length == RESPONSE_LENGTH_SHORT;
}
