#include "mail_text.h"

struct phrases {
        const char *subject, *due, *dose, *missed_one, *missed_many, *why;
        const char *weekdays[7], *months[12];
        const char *date; /* weekday, day, month, year */
};

static const struct phrases english = {
        .subject = "Reminder: %.*s",
        .due = "Due at %s on %s (%.*s).",
        .dose = "%.*s",
        .missed_one = "One earlier time passed while no reminder could be sent.",
        .missed_many = "%lld earlier times passed while no reminder could be sent.",
        .why = "You get this because you set a reminder in Salus.",
        .weekdays = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
                      "Saturday" },
        .months = { "January", "February", "March", "April", "May", "June", "July", "August",
                    "September", "October", "November", "December" },
        .date = "%s, %d %s %d",
};

static const struct phrases hebrew = {
        .subject = "תזכורת: %.*s",
        .due = "מתוכנן לשעה %s, %s (%.*s).",
        .dose = "%.*s",
        .missed_one = "מועד קודם אחד עבר בלי שאפשר היה לשלוח תזכורת.",
        .missed_many = "%lld מועדים קודמים עברו בלי שאפשר היה לשלוח תזכורת.",
        .why = "קיבלת הודעה זו כי הגדרת תזכורת ב-Salus.",
        .weekdays = { "יום ראשון", "יום שני", "יום שלישי", "יום רביעי", "יום חמישי", "יום שישי",
                      "שבת" },
        .months = { "בינואר", "בפברואר", "במרץ", "באפריל", "במאי", "ביוני", "ביולי", "באוגוסט",
                    "בספטמבר", "באוקטובר", "בנובמבר", "בדצמבר" },
        .date = "%s, %d %s %d",
};

bool mail_text_is_hebrew(struct cm_str language)
{
        return cm_str_equal_nocase(language, CM_STR("he")) ||
               cm_str_starts(language, CM_STR("he-")) ||
               cm_str_equal_nocase(language, CM_STR("iw"));
}

static const struct phrases *phrases_of(struct cm_str language)
{
        return mail_text_is_hebrew(language) ? &hebrew : &english;
}

static struct cm_str clock_of(const struct cm_zone *zone, cm_time at, struct cm_arena *arena)
{
        char wall[CM_TIME_TEXT_SIZE];

        cm_time_format(cm_zone_wall(zone, at), wall);
        return cm_arena_printf(arena, "%.5s", wall + 11);
}

static struct cm_str day_of(const struct phrases *p, const struct cm_zone *zone, cm_time at,
                            struct cm_arena *arena)
{
        cm_date date = cm_zone_date(zone, at);
        int year, month, day;

        cm_date_to_civil(date, &year, &month, &day);
        return cm_arena_printf(arena, p->date, p->weekdays[((int64_t)date % 7 + 11) % 7], day,
                               p->months[month - 1], year);
}

struct cm_str mail_text_time(struct cm_str language, const struct cm_zone *zone, cm_time at,
                             struct cm_arena *arena)
{
        return cm_arena_printf(arena, "%s, %s", clock_of(zone, at, arena).data,
                               day_of(phrases_of(language), zone, at, arena).data);
}

static void add_due(struct cm_buf *out, const struct phrases *p, const struct delivery_job *job,
                    const struct cm_zone *zone, struct cm_arena *arena)
{
        cm_buf_printf(out, p->due, clock_of(zone, job->nominal_at, arena).data,
                      day_of(p, zone, job->nominal_at, arena).data, CM_STR_ARG(job->timezone));
        cm_buf_add_char(out, '\n');
}

void mail_text_write(const struct delivery_job *job, const struct cm_zone *zone,
                     struct cm_arena *arena, struct mail_text *text_r)
{
        const struct phrases *p = phrases_of(job->language);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf body = { 0 };

        text_r->subject = cm_arena_printf(arena, p->subject, CM_STR_ARG(job->name));
        cm_buf_printf(&body, "%.*s\n", CM_STR_ARG(job->name));
        if (job->description.len)
                cm_buf_printf(&body, "%.*s\n", CM_STR_ARG(job->description));
        if (job->medication_name.data) {
                cm_buf_printf(&body, p->dose, CM_STR_ARG(job->medication_name));
                if (job->dose_unit.data)
                        cm_buf_printf(&body, ", %.15g %.*s", job->dose_value,
                                      CM_STR_ARG(job->dose_unit));
                cm_buf_add_char(&body, '\n');
        }
        cm_buf_add_char(&body, '\n');
        add_due(&body, p, job, zone, arena);
        if (job->missed == 1)
                cm_buf_printf(&body, "%s\n", p->missed_one);
        if (job->missed > 1) {
                cm_buf_printf(&body, p->missed_many, (long long)job->missed);
                cm_buf_add_char(&body, '\n');
        }
        cm_buf_printf(&body, "\n%s\n", p->why);
        text_r->body = cm_arena_str(arena, cm_buf_str(&body));
}
