#include "when_parse.h"

#include <math.h>
#include <string.h>

#include "numbers.h"

/* Folded, without final letters. */
#define LIST(name, ...) static const char *const name[] = { __VA_ARGS__, NULL }
LIST(every_words, "every", "each", "כל", "מדי");
LIST(daily_words, "daily", "everyday");
LIST(weekdays_words, "weekdays", "weekday", "workdays", "workday", "חול");
LIST(weekend_words, "weekend", "weekends", "סופש");
LIST(day_words, "day", "days", "יומ", "ימימ");
LIST(minute_words, "minute", "minutes", "min", "mins", "דקה", "דקות");
LIST(hour_words, "hour", "hours", "hr", "hrs", "שעה", "שעות");
LIST(second_words, "second", "seconds", "sec", "secs", "שניות", "שנייה");
LIST(week_words, "week", "weeks", "שבוע", "שבועות");
LIST(two_hours, "שעתיימ", "שעתימ");
LIST(two_days, "יומיימ", "יומימ");
LIST(in_words, "in", "after", "בעוד", "עוד", "תוכ");
LIST(at_words, "at", "בשעה", "ב", "around", "by", "לשעה");
LIST(on_words, "on", "the", "of", "ביומ", "יומ", "ימי", "בימי", "this", "o", "oclock", "clock");
LIST(tomorrow_words, "tomorrow", "tomorow", "tmrw", "מחר");
LIST(today_words, "today", "היומ");
LIST(tonight_words, "tonight", "הלילה", "הערב");
LIST(morning_words, "morning", "mornings", "בוקר", "בבוקר");
LIST(noon_words, "noon", "midday", "lunchtime", "צהריימ", "בצהריימ", "צהרימ");
LIST(afternoon_words, "afternoon", "אחהצ", "אחרהצהריימ");
LIST(evening_words, "evening", "evenings", "ערב", "בערב");
LIST(night_words, "night", "nights", "bedtime", "לילה", "בלילה");
LIST(midnight_words, "midnight", "חצות");
LIST(am_words, "am", "a.m");
LIST(pm_words, "pm", "p.m");

struct reader {
        const struct chat_text *text;
        const struct when_place *place;
        bool *taken;
        size_t first;
        int hour, minute; /* -1: not said */
        bool is_exact;    /* am, pm, a part of the day, or an hour beyond 12 */
        int part_hour;    /* of the day: -1 not said */
        bool is_every, is_tomorrow, is_today, is_noon_on;
        unsigned days; /* bit 0 is Sunday */
        double after_s, every_s;
        int days_ahead; /* in … days, a week */
};

static const struct chat_word *word_at(const struct reader *reader, size_t at)
{
        return &reader->text->words[at];
}

static bool is_in(const struct reader *reader, size_t at, const char *const *list)
{
        return at < reader->text->count && !word_at(reader, at)->is_number &&
               chat_word_in(word_at(reader, at), list);
}

static void take(struct reader *reader, size_t from, size_t count)
{
        for (size_t i = from; i < from + count && i < reader->text->count; i++)
                reader->taken[i] = true;
}

static bool is_israeli(const struct reader *reader)
{
        return cm_str_equal(reader->place->zone_name, CM_STR("Asia/Jerusalem")) ||
               cm_str_equal(reader->place->zone_name, CM_STR("Asia/Tel_Aviv")) ||
               cm_str_equal(reader->place->zone_name, CM_STR("Israel"));
}

static unsigned working_days(const struct reader *reader)
{
        return is_israeli(reader) || reader->text->reply == CHAT_LANGUAGE_HE ? 0x1f : 0x3e;
}

/* Bit of the day of the week, or 0. `plain` is false for Hebrew ordinals that need "יום". */
static unsigned day_bit(const struct reader *reader, size_t at)
{
        static const char *const names[7][8] = {
                { "sunday", "sundays", "sun", "ראשונ", NULL },
                { "monday", "mondays", "mon", "שני", NULL },
                { "tuesday", "tuesdays", "tue", "tues", "שלישי", NULL },
                { "wednesday", "wednesdays", "wed", "רביעי", NULL },
                { "thursday", "thursdays", "thu", "thurs", "חמישי", NULL },
                { "friday", "fridays", "fri", "שישי", NULL },
                { "saturday", "saturdays", "sat", "שבת", NULL },
        };
        bool hebrew = at < reader->text->count &&
                      (unsigned char)word_at(reader, at)->text.data[0] >= 0x80;
        LIST(before, "יומ", "ימי", "ביומ", "בימי");

        for (int day = 0; day < 7; day++)
                if (is_in(reader, at, names[day]) && (!hebrew || day == 6 || reader->days ||
                                                      (at > 0 && is_in(reader, at - 1, before))))
                        return 1U << day;
        return 0;
}

static double unit_seconds(const struct reader *reader, size_t at)
{
        return is_in(reader, at, minute_words)   ? 60
               : is_in(reader, at, hour_words)   ? 3600
               : is_in(reader, at, second_words) ? 1
               : is_in(reader, at, day_words)    ? 86400
               : is_in(reader, at, week_words)   ? 7 * 86400
                                                 : 0;
}

/* A number and a unit, a unit alone ("hour", "שעה"), a Hebrew dual. Returns the words it has. */
static size_t duration_at(const struct reader *reader, size_t at, double *seconds_r)
{
        double value = 1, unit;
        size_t used = 0, end = reader->text->count;

        if (is_in(reader, at, two_hours) || is_in(reader, at, two_days)) {
                *seconds_r = is_in(reader, at, two_hours) ? 7200 : 2 * 86400;
                return 1;
        }
        if (at < end)
                used = chat_number_at(reader->text, at, end, &value);
        value = used ? value : 1;
        if (used && at + used < end &&
            is_in(reader, at + used, (const char *const[]){ "an", "a", NULL }))
                used++;
        unit = unit_seconds(reader, at + used);
        if (unit == 0 || value <= 0)
                return 0;
        *seconds_r = value * unit;
        used++;
        if (at + used < end && cm_str_equal(word_at(reader, at + used)->text, CM_STR("וחצי"))) {
                *seconds_r += unit / 2;
                used++;
        } else if (at + used + 2 < end &&
                   cm_str_equal(word_at(reader, at + used)->text, CM_STR("and")) &&
                   cm_str_equal(word_at(reader, at + used + 2)->text, CM_STR("half"))) {
                *seconds_r += unit / 2;
                used += 3;
        }
        return used;
}

/* ---- a time of the day */

static void set_part(struct reader *reader, int hour)
{
        reader->part_hour = hour;
        reader->is_exact = true;
}

static bool read_part(struct reader *reader, size_t at)
{
        static const struct {
                const char *const *list;
                int hour;
        } parts[] = { { morning_words, 8 },  { noon_words, 12 },  { afternoon_words, 15 },
                      { evening_words, 20 }, { night_words, 21 }, { midnight_words, 0 },
                      { tonight_words, 20 } };

        for (size_t i = 0; i < CM_COUNT(parts); i++)
                if (is_in(reader, at, parts[i].list)) {
                        set_part(reader, parts[i].hour);
                        reader->is_today = reader->is_today || parts[i].list == tonight_words;
                        take(reader, at, 1);
                        return true;
                }
        return false;
}

static size_t read_minutes(struct reader *reader, size_t at, double hour)
{
        const struct chat_text *text = reader->text;
        size_t used = 0;

        reader->minute = hour != floor(hour) ? 30 : 0;
        if (at < text->count && text->words[at].is_number && text->words[at].sign == ':' &&
            text->words[at].number < 60) {
                reader->minute = (int)text->words[at].number;
                used = 1;
        } else if (at < text->count && cm_str_equal(text->words[at].text, CM_STR("ורבע"))) {
                reader->minute = 15;
                used = 1;
        }
        if (at + used < text->count && is_in(reader, at + used, am_words)) {
                reader->is_exact = true;
                reader->hour %= 12;
                used++;
        } else if (at + used < text->count && is_in(reader, at + used, pm_words)) {
                reader->is_exact = true;
                reader->hour = reader->hour % 12 + 12;
                used++;
        }
        return used;
}

/* "8", "8:30", "8.30", "8am", "eight", "בשמונה", "בשמונה וחצי"; a number that counts something else
 * is none. */
static bool read_clock(struct reader *reader, size_t at, bool is_announced)
{
        const struct chat_text *text = reader->text;
        const struct chat_word *word = &text->words[at];
        double value = -1;
        size_t used = chat_number_at(text, at, text->count, &value), more;
        int minute = -1;

        if (!used || value < 0 || value >= 24.995 || reader->hour >= 0)
                return false;
        if (word->is_number && value != floor(value) && word->text.len > 2 &&
            memchr(word->text.data, '.', word->text.len)) {
                minute = (int)lround((value - floor(value)) * 100);
                value = floor(value);
        }
        if (minute > 59 || unit_seconds(reader, at + used) > 0)
                return false;
        reader->hour = (int)floor(value) % 24;
        reader->is_exact = reader->hour > 12 || reader->hour == 0 || reader->part_hour >= 0;
        more = read_minutes(reader, at + used, value);
        if (minute >= 0)
                reader->minute = minute;
        if (!is_announced && !more) {
                reader->hour = -1;
                return false;
        }
        take(reader, at, used + more);
        return true;
}

/* ---- the walk over the words */

static bool read_every(struct reader *reader, size_t at)
{
        size_t next = at + 1, used;
        double seconds = 0;

        if (is_in(reader, at, daily_words)) {
                reader->is_every = true;
                take(reader, at, 1);
                return true;
        }
        if (!is_in(reader, at, every_words))
                return false;
        if (is_in(reader, next, on_words) && is_in(reader, next + 1, weekdays_words))
                next++;
        used = duration_at(reader, next, &seconds);
        reader->is_every = true;
        take(reader, at, 1);
        if (is_in(reader, next, weekdays_words)) {
                reader->days |= working_days(reader);
                take(reader, at, next - at + 1);
        } else if (is_in(reader, next, day_words) &&
                   (day_bit(reader, next + 1) || is_in(reader, next + 1, weekdays_words))) {
                reader->days |= is_in(reader, next + 1, weekdays_words) ? working_days(reader) : 0;
                take(reader, next, is_in(reader, next + 1, weekdays_words) ? 2 : 1);
        } else if (used) {
                reader->every_s = seconds == 86400 ? 0 : seconds;
                take(reader, next, used);
        }
        return true;
}

static bool read_in(struct reader *reader, size_t at)
{
        double seconds = 0;
        size_t used;

        if (!is_in(reader, at, in_words))
                return false;
        used = duration_at(reader, at + 1, &seconds);
        if (!used)
                return false;
        if (seconds >= 86400 && fmod(seconds, 86400) == 0)
                reader->days_ahead = (int)(seconds / 86400);
        else
                reader->after_s = seconds;
        take(reader, at, 1 + used);
        return true;
}

static bool read_day(struct reader *reader, size_t at)
{
        unsigned bit = day_bit(reader, at);

        if (is_in(reader, at, tomorrow_words))
                reader->is_tomorrow = true;
        else if (is_in(reader, at, today_words))
                reader->is_today = true;
        else if (is_in(reader, at, weekend_words))
                reader->days |= is_israeli(reader) ? 0x60 : 0x41;
        else if (is_in(reader, at, weekdays_words))
                reader->days |= working_days(reader);
        else if (bit)
                reader->days |= bit;
        else
                return false;
        if (is_in(reader, at, weekdays_words) || is_in(reader, at, weekend_words))
                reader->is_every = true;
        take(reader, at, 1);
        if (at > reader->first && !reader->taken[at - 1] && is_in(reader, at - 1, on_words))
                take(reader, at - 1, 1);
        return true;
}

/* Hebrew writes "at" and the number as one word: "בשמונה". */
static bool is_prefixed_at(const struct reader *reader, size_t at)
{
        const struct chat_word *word = word_at(reader, at);

        return !word->is_number && word->text.len > 4 && cm_str_starts(word->text, CM_STR("ב"));
}

static void read_all(struct reader *reader)
{
        LIST(and_words, "and", "in", "ו", "ב");

        for (size_t at = reader->first; at < reader->text->count; at++) {
                if (reader->taken[at] || read_every(reader, at) || read_in(reader, at) ||
                    read_day(reader, at))
                        continue;
                if (read_part(reader, at)) {
                        for (size_t before = at;
                             before > reader->first && !reader->taken[before - 1] &&
                             (is_in(reader, before - 1, on_words) ||
                              is_in(reader, before - 1, at_words) ||
                              is_in(reader, before - 1, and_words));
                             before--)
                                take(reader, before - 1, 1);
                } else if (is_in(reader, at, at_words) && at + 1 < reader->text->count &&
                           read_clock(reader, at + 1, true)) {
                        take(reader, at, 1);
                } else {
                        (void)read_clock(reader, at, is_prefixed_at(reader, at));
                }
        }
}

/* ---- what it means */

/* A part of the day moves "8 in the evening" to 20. */
static void settle_hour(struct reader *reader)
{
        if (reader->hour < 0 && reader->part_hour >= 0) {
                reader->hour = reader->part_hour;
                reader->minute = 0;
        } else if (reader->hour >= 0 && reader->hour < 12 && reader->part_hour >= 12 &&
                   !(reader->part_hour == 12 && reader->hour > 4)) {
                reader->hour += 12;
        } else if (reader->hour == 12 && (reader->part_hour == 21 || reader->part_hour == 0)) {
                reader->hour = 0;
        }
}

static struct cm_str at_schedule(struct cm_arena *arena, cm_time at)
{
        char text[CM_TIME_TEXT_SIZE];

        return cm_arena_printf(arena, "@at %s", cm_time_format(at, text));
}

/* Schedules know no parts of a second; never before what was said. */
static cm_time whole_second(cm_time at)
{
        return (at + CM_SECOND - 1) / CM_SECOND * CM_SECOND;
}

static struct cm_str every_schedule(struct cm_arena *arena, double seconds)
{
        int64_t whole = (int64_t)seconds;

        if (whole % 3600 == 0)
                return cm_arena_printf(arena, "@every %dh", (int)(whole / 3600));
        return whole % 60 == 0 ? cm_arena_printf(arena, "@every %dm", (int)(whole / 60))
                               : cm_arena_printf(arena, "@every %ds", (int)whole);
}

static struct cm_str cron_schedule(struct cm_arena *arena, const struct reader *reader)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf days = { 0 };
        unsigned bits = reader->days & 0x7f;
        int low = -1, high = -1, count = 0;

        for (int day = 0; day < 7; day++)
                if (bits & 1U << day) {
                        low = low < 0 ? day : low;
                        high = day;
                        count++;
                        cm_buf_printf(&days, "%s%d", days.len ? "," : "", day);
                }
        if (count == 0 || count == 7)
                return cm_arena_printf(arena, "%d %d * * *", reader->minute, reader->hour);
        if (count > 2 && high - low + 1 == count)
                return cm_arena_printf(arena, "%d %d * * %d-%d", reader->minute, reader->hour, low,
                                       high);
        return cm_arena_printf(arena, "%d %d * * %s", reader->minute, reader->hour, days.data);
}

static cm_time instant_of(const struct reader *reader, cm_date date, int hour)
{
        cm_time wall = date * CM_DAY + hour * CM_HOUR + reader->minute * CM_MINUTE;
        cm_time instants[2], gap = 0;

        return cm_zone_instants(reader->place->zone, wall, instants, &gap) ? instants[0] : gap;
}

/* The first day from `date` on that is one of the days said. */
static cm_date next_day(const struct reader *reader, cm_date date)
{
        for (int i = 0; reader->days && i < 7; i++, date++)
                if (reader->days & 1U << ((date % 7 + 4 + 7) % 7)) /* 1970-01-01 was a Thursday */
                        return date;
        return date;
}

static cm_time once(const struct reader *reader)
{
        cm_date today = cm_zone_date(reader->place->zone, reader->place->now);
        cm_date date = today + (reader->is_tomorrow ? 1 : reader->days_ahead);
        bool is_dated = reader->is_tomorrow || reader->days_ahead || reader->days;
        int hour = reader->hour;
        cm_time at;

        date = next_day(reader, date);
        at = instant_of(reader, date, hour);
        if (at <= reader->place->now && !reader->is_exact && hour < 12)
                at = instant_of(reader, date, hour + 12);
        if (at <= reader->place->now)
                at = instant_of(reader, reader->days ? next_day(reader, date + 1) : date + 1, hour);
        /* "at 3" for tomorrow is hardly in the night; "at 3" for now is the next three o'clock. */
        if (is_dated && !reader->is_exact && hour >= 1 && hour < 6)
                at = instant_of(reader, date, hour + 12);
        return at;
}

static void finish(struct cm_arena *arena, struct reader *reader, struct when *when)
{
        settle_hour(reader);
        when->has_time = true;
        if (reader->every_s >= 60) {
                when->schedule = every_schedule(arena, reader->every_s);
        } else if (reader->after_s > 0) {
                when->is_once = true;
                when->at = whole_second(reader->place->now + (cm_time)(reader->after_s * 1e6));
                when->schedule = at_schedule(arena, when->at);
        } else if (reader->hour < 0 && (reader->is_every || reader->days_ahead == 0)) {
                when->has_time = false;
        } else if (reader->is_every) {
                when->schedule = cron_schedule(arena, reader);
        } else {
                bool is_now = reader->hour < 0;

                when->is_once = true;
                when->at = is_now ? whole_second(reader->place->now + reader->days_ahead * CM_DAY)
                                  : once(reader);
                when->schedule = at_schedule(arena, when->at);
        }
}

bool when_parse(struct cm_arena *arena, const struct chat_text *text, size_t first,
                const struct when_place *place, struct when *when_r)
{
        struct reader reader = {
                .text = text, .place = place, .first = first, .hour = -1, .part_hour = -1
        };

        *when_r = (struct when){ .is_once = false };
        reader.taken = cm_arena_array(arena, text->count + 1, sizeof(bool));
        read_all(&reader);
        when_r->rest = cm_arena_array(arena, text->count + 1, sizeof(*when_r->rest));
        for (size_t i = first; i < text->count; i++)
                if (!reader.taken[i])
                        when_r->rest[when_r->rest_count++] = i;
        if (when_r->rest_count == text->count - first)
                return false;
        finish(arena, &reader, when_r);
        return true;
}
