#include "replies/replies.h"

#include <string.h>

static const char *const weekdays[] = { "ראשון", "שני", "שלישי", "רביעי", "חמישי", "שישי", "שבת" };
static const char *const months[] = { "בינואר",  "בפברואר",  "במרץ",    "באפריל",
                                      "במאי",    "ביוני",    "ביולי",   "באוגוסט",
                                      "בספטמבר", "באוקטובר", "בנובמבר", "בדצמבר" };

static void hello(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("שלום! מה שלומך היום? אפשר לספר לי איך היה הלילה או מה מצב "
                                   "הרוח, לרשום אימון, או לשאול איך היה השבוע."));
}

static void thanks(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("בשמחה."));
}

static void help(struct cm_buf *out)
{
        cm_buf_add_str(
                out, CM_STR("אני המלווה המובנה: משפטים פשוטים מובנים לי. למשל:\n"
                            "• \"ישנתי רע ואני בחרדה\"\n"
                            "• \"עשיתי 3 סטים של 10 סקוואט עם 60 קילו\"\n"
                            "• \"איך היה השבוע שלי?\"\n"
                            "• \"תזכור שאני אלרגי לפניצילין\", \"למה אני אלרגי?\", \"תשכח מזה\"\n"
                            "• \"תזכיר לי כל יום חול בשמונה לקחת תרופות\", \"לקחתי את התרופות\""));
}

static void not_understood(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("לא הבנתי, ולא נרשם דבר. אפשר לרשום אצלי שינה, מצב רוח, "
                                   "תסמינים, תרופות ואימונים, לקבל סיכום של היום או השבוע, לשמור "
                                   "דברים לזכור ולקבוע תזכורות. המילה \"עזרה\" תראה דוגמאות."));
}

static void failed(struct cm_buf *out, enum reply_failure failure)
{
        static const char *const texts[] = {
                [REPLY_NOT_SAVED] = "אין אישור שזה נשמר. כדאי לבדוק עוד רגע, או לכתוב לי שוב.",
                [REPLY_NOT_READ] = "אי אפשר לבדוק את זה כרגע. אפשר לשאול שוב עוד רגע.",
                [REPLY_NOT_FORGOTTEN] = "אין אישור שזה נמחק. אפשר לבקש שוב עוד רגע.",
        };

        cm_buf_printf(out, "%s", texts[failure]);
}

/* ---- facts */

static void duration(struct cm_buf *out, double minutes)
{
        int whole = (int)(minutes + 0.5);

        if (whole < 60)
                cm_buf_printf(out, "%d דק'", whole);
        else if (whole % 60 == 0)
                cm_buf_printf(out, "%d שע'", whole / 60);
        else
                cm_buf_printf(out, "%d:%02d שע'", whole / 60, whole % 60);
}

static void seconds(struct cm_buf *out, double value)
{
        int whole = (int)(value + 0.5);

        if (whole % 60 == 0)
                duration(out, whole / 60.0);
        else if (whole < 60)
                cm_buf_printf(out, "%d שנ'", whole);
        else
                cm_buf_printf(out, "%d:%02d דק'", whole / 60, whole % 60);
}

static const char *distance_name(const char *unit)
{
        return strcmp(unit, "km") == 0 ? "ק\"מ" : strcmp(unit, "mi") == 0 ? "מייל" : "מ'";
}

static void exercise(struct cm_buf *out, const struct exercise_entry *entry)
{
        cm_buf_add_str(out, entry->exercise->name_he);
        if (entry->sets && entry->repetitions)
                cm_buf_printf(out, ", %d × %d", entry->sets, entry->repetitions);
        else if (entry->repetitions)
                cm_buf_printf(out, ", חזרות: %d", entry->repetitions);
        else if (entry->sets)
                cm_buf_printf(out, ", סטים: %d", entry->sets);
        if (entry->weight > 0) {
                cm_buf_add_str(out, CM_STR(", "));
                reply_number(out, entry->weight);
                cm_buf_printf(out, " %s", entry->weight_is_lb ? "ליברות" : "ק\"ג");
        }
        if (entry->distance > 0) {
                cm_buf_add_str(out, CM_STR(", "));
                reply_number(out, entry->distance);
                cm_buf_printf(out, " %s", distance_name(entry->distance_unit));
        }
        if (entry->duration_s > 0) {
                cm_buf_add_str(out, CM_STR(", "));
                seconds(out, entry->duration_s);
        }
}

static void one_fact(struct cm_buf *out, const struct fact *fact)
{
        switch (fact->kind) {
        case FACT_SLEEP:
                cm_buf_printf(out, "%s", fact->is_good ? "לילה טוב" : "לילה לא טוב");
                break;
        case FACT_MOOD:
                cm_buf_printf(out, "הרגשה: %.*s", CM_STR_ARG(fact->word));
                break;
        case FACT_SYMPTOM:
                cm_buf_printf(out, "%.*s", CM_STR_ARG(fact->word));
                break;
        case FACT_DOSE:
                cm_buf_printf(out, "%s", fact->is_good ? "התרופה נלקחה" : "התרופה לא נלקחה");
                if (fact->dose_unit) {
                        cm_buf_add_str(out, CM_STR(", "));
                        reply_number(out, fact->dose);
                        cm_buf_printf(out, " %s", fact->dose_unit->he);
                }
                break;
        case FACT_EXERCISE:
        default:
                exercise(out, &fact->exercise);
        }
}

/* A sentence from the person's own week, when there is one that fits. */
static void own_data(struct cm_buf *out, const struct fact *fact, const struct week_summary *week)
{
        if (!week)
                return;
        if (fact->kind == FACT_SLEEP && week->has_sleep == CM_PRESENT && week->sleep.nights > 0) {
                cm_buf_printf(
                        out, " ממוצע השינה בלילות האחרונים שנרשמו (%d): ", (int)week->sleep.nights);
                duration(out, week->sleep.average_minutes);
                cm_buf_add_char(out, '.');
        } else if (fact->kind == FACT_EXERCISE && week->has_workouts == CM_PRESENT &&
                   week->workouts.count > 0) {
                cm_buf_printf(out, " אימונים שכבר נרשמו השבוע לפני כן: %d.",
                              (int)week->workouts.count);
        }
}

static void facts(struct cm_buf *out, const struct fact *items, size_t count,
                  const struct planner_context *context)
{
        bool is_low = false;

        cm_buf_printf(out, "%s", items[0].is_correction ? "תוקן: " : "נרשם: ");
        for (size_t i = 0; i < count; i++) {
                if (i)
                        cm_buf_printf(out, ", ");
                one_fact(out, &items[i]);
                is_low = is_low || (items[i].kind == FACT_MOOD && items[i].valence < -0.4);
        }
        if (items[0].days_ago)
                cm_buf_printf(out, items[0].days_ago == 1 ? ", אתמול" : ", לפני %d ימים",
                              items[0].days_ago);
        cm_buf_add_char(out, '.');
        for (size_t i = 0; i < count; i++)
                if (items[i].is_avoided) {
                        cm_buf_add_str(out, CM_STR(" התרגיל הזה נמצא ברשימת התרגילים להימנעות "
                                                   "שהוגדרה בפרופיל."));
                        break;
                }
        if (reply_is_short(context))
                return;
        own_data(out, &items[0], context->week);
        if (is_low)
                cm_buf_add_str(out,
                               CM_STR(" לא קל, ותודה על השיתוף. אפשר לספר לי עוד אם זה עוזר."));
}

static void taken_back(struct cm_buf *out, size_t count, bool reminder_stays)
{
        if (count == 1)
                cm_buf_add_str(out, CM_STR("בוטל: הרישום כבר לא נספר."));
        else
                cm_buf_printf(out, "בוטל: %zu רישומים כבר לא נספרים.", count);
        if (reminder_stays)
                cm_buf_add_str(out, CM_STR(" התזכורת נשארת מאושרת."));
}

static void ask_record(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("לא ברור לאיזה רישום הכוונה, ולכן לא שונה דבר. אפשר לתקן או "
                                   "לבטל את מה שנרשם בתשובה האחרונה."));
}

static void goals(struct cm_buf *out, const struct context_preferences *wishes)
{
        size_t count = wishes ? wishes->goals.count : 0;

        if (!count) {
                cm_buf_add_str(out, CM_STR("לא הוגדרו מטרות. אפשר להגדיר אותן בפרופיל."));
                return;
        }
        cm_buf_add_str(out, CM_STR("המטרות שהוגדרו: "));
        for (size_t i = 0; i < count; i++)
                cm_buf_printf(out, "%s%.*s", i ? "; " : "", CM_STR_ARG(wishes->goals.items[i]));
        cm_buf_add_char(out, '.');
}

static void ask_exercise(struct cm_buf *out, const struct exercise_entry *entry)
{
        const char *what = entry->exercise->kind == EXERCISE_DISTANCE ? "איזה מרחק, או כמה זמן?"
                           : entry->exercise->kind == EXERCISE_TIME ? "כמה זמן?"
                                                                    : "כמה?";

        cm_buf_printf(out, "לא ברור איך לרשום %.*s, ולכן לא נרשם דבר. %s אפשר לכתוב למשל \"%s\".",
                      CM_STR_ARG(entry->exercise->name_he), what,
                      entry->exercise->kind == EXERCISE_DISTANCE ? "רצתי 5 ק\"מ ב-25 דקות"
                      : entry->exercise->kind == EXERCISE_TIME   ? "פלאנק 60 שניות"
                                                               : "3 סטים של 10 סקוואט עם 60 קילו");
}

/* ---- summaries */

static void symptoms(struct cm_buf *out, const struct week_summary *summary)
{
        if (summary->has_symptoms != CM_PRESENT || !summary->symptoms.count)
                return;
        cm_buf_add_str(out, CM_STR("\n• תסמינים: "));
        for (size_t i = 0; i < summary->symptoms.count && i < 5; i++)
                cm_buf_printf(out, "%s%.*s", i ? ", " : "",
                              CM_STR_ARG(summary->symptoms.items[i].symptom));
}

static void lines(struct cm_buf *out, const struct week_summary *summary, bool is_day)
{
        if (summary->has_sleep == CM_PRESENT && summary->sleep.nights > 0) {
                cm_buf_add_str(out, CM_STR("\n• שינה: "));
                duration(out, summary->sleep.average_minutes);
                if (!is_day)
                        cm_buf_printf(out, " בממוצע (לילות: %d)", (int)summary->sleep.nights);
        }
        if (summary->has_mood == CM_PRESENT && summary->mood.count > 0)
                cm_buf_printf(out, "\n• מצב רוח: %.*s%s", CM_STR_ARG(summary->mood.latest),
                              summary->mood.count > 1 ? " (האחרון)" : "");
        if (summary->has_workouts == CM_PRESENT && summary->workouts.count > 0) {
                cm_buf_printf(out, "\n• אימונים: %d", (int)summary->workouts.count);
                if (summary->workouts.has_total_minutes == CM_PRESENT) {
                        cm_buf_add_str(out, CM_STR(", "));
                        duration(out, summary->workouts.total_minutes);
                }
        }
        if (summary->has_average_steps == CM_PRESENT)
                cm_buf_printf(out, "\n• צעדים: %.0f%s", summary->average_steps,
                              is_day ? "" : " ביום בממוצע");
        if (summary->has_doses == CM_PRESENT &&
            summary->doses.taken + summary->doses.skipped + summary->doses.missed > 0) {
                cm_buf_printf(out, "\n• תרופות שנלקחו: %d", (int)summary->doses.taken);
                if (summary->doses.skipped + summary->doses.missed > 0)
                        cm_buf_printf(out, ", לא נלקחו: %d",
                                      (int)(summary->doses.skipped + summary->doses.missed));
        }
        symptoms(out, summary);
}

static void summary(struct cm_buf *out, const struct week_summary *it, bool is_day, int ago)
{
        const char *when = is_day     ? ago == 0   ? "היום"
                                        : ago == 1 ? "אתמול"
                                                   : "אותו יום"
                           : ago == 0 ? "שבעת הימים האחרונים"
                                      : "השבוע שלפני כן";
        size_t start;

        if (it->days_with_entries == 0) {
                cm_buf_printf(out, "%s: לא נרשם דבר, ולכן אין מה לסכם.", when);
                return;
        }
        cm_buf_printf(out, "%s", when);
        if (!is_day)
                cm_buf_printf(out, " (ימים עם רישומים: %d)", (int)it->days_with_entries);
        cm_buf_add_char(out, ':');
        start = out->len;
        lines(out, it, is_day);
        if (out->len == start)
                cm_buf_add_str(out, CM_STR(" יש רישומים, אבל לא של שינה, מצב רוח, אימונים, צעדים, "
                                           "תרופות או תסמינים."));
}

/* ---- memory */

static void remembered(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, "נשמר בזיכרון: \"%.*s\".", CM_STR_ARG(text));
}

static void recalled(struct cm_buf *out, const struct memory_notes *notes,
                     const struct cm_zone *zone)
{
        for (size_t i = 0; i < notes->items.count; i++) {
                const struct memory_note *note = &notes->items.items[i];
                int year, month, day;

                cm_date_to_civil(cm_zone_date(zone, note->remembered_at), &year, &month, &day);
                cm_buf_printf(out, "%sזה מה שנאמר לי ב-%d %s %d: \"%.*s\".", i ? "\n" : "", day,
                              months[month - 1], year, CM_STR_ARG(note->text));
        }
}

static void nothing_recalled(struct cm_buf *out)
{
        cm_buf_add_str(out,
                       CM_STR("לא שמור אצלי דבר בנושא הזה. אפשר לכתוב לי למשל: \"תזכור ש…\"."));
}

static void forgotten(struct cm_buf *out, bool was_there)
{
        cm_buf_printf(out, "%s", was_there ? "נמחק מהזיכרון." : "זה כבר לא היה שמור.");
}

static void ask_forget(struct cm_buf *out, const struct memory_notes *notes)
{
        if (!notes || !notes->items.count) {
                cm_buf_add_str(out,
                               CM_STR("לא ברור מה למחוק, ולכן לא נמחק דבר. אפשר לכתוב במה מדובר: "
                                      "\"תשכח ש…\"."));
                return;
        }
        cm_buf_add_str(out, CM_STR("אפשר להתכוון לכמה דברים, ולכן לא נמחק דבר. במה בדיוק מדובר?"));
        for (size_t i = 0; i < notes->items.count; i++)
                cm_buf_printf(out, "\n• %.*s", CM_STR_ARG(notes->items.items[i].text));
}

/* ---- reminders */

static void days(struct cm_buf *out, unsigned bits)
{
        size_t count = 0;

        if (bits == 0 || bits == 0x7f) {
                cm_buf_add_str(out, CM_STR("כל יום"));
                return;
        }
        if (bits == 0x3e || bits == 0x1f) {
                cm_buf_printf(out, "כל יום חול (%s)",
                              bits == 0x3e ? "שני עד שישי" : "ראשון עד חמישי");
                return;
        }
        for (int day = 0; day < 7; day++)
                if (bits & 1U << day)
                        cm_buf_printf(out, "%s%s",
                                      count++    ? ", "
                                      : day == 6 ? "כל "
                                                 : "כל יום ",
                                      weekdays[day]);
}

static void instant(struct cm_buf *out, cm_time at, const struct planner_context *context)
{
        struct reply_clock clock = reply_clock(at, context);

        if (clock.days_from_today == 0)
                cm_buf_add_str(out, CM_STR("היום"));
        else if (clock.days_from_today == 1)
                cm_buf_add_str(out, CM_STR("מחר"));
        else
                cm_buf_printf(out, "ביום %s, %d %s", weekdays[clock.weekday], clock.day,
                              months[clock.month - 1]);
        cm_buf_printf(out, " בשעה %02d:%02d", clock.hour, clock.minute);
}

static void schedule(struct cm_buf *out, const struct reminder *reminder,
                     const struct planner_context *context)
{
        struct reply_cron cron;
        int minutes = reply_every_minutes(reminder->schedule);
        cm_time at;

        if (reply_cron_read(reminder->schedule, &cron)) {
                days(out, cron.days);
                cm_buf_printf(out, " בשעה %02d:%02d", cron.hour, cron.minute);
        } else if (minutes) {
                cm_buf_add_str(out, CM_STR("כל "));
                duration(out, minutes);
        } else if (cm_str_starts(reminder->schedule, CM_STR("@at ")) &&
                   cm_time_parse((struct cm_str){ reminder->schedule.data + 4,
                                                  reminder->schedule.len - 4 },
                                 &at, NULL)) {
                instant(out, at, context);
        } else {
                cm_buf_printf(out, "לפי התזמון (%.*s)", CM_STR_ARG(reminder->schedule));
        }
}

static void reminder_set(struct cm_buf *out, const struct reminder *reminder,
                         const struct planner_context *context)
{
        cm_buf_add_str(out, CM_STR("נקבעה תזכורת, "));
        schedule(out, reminder, context);
        cm_buf_printf(out, ": %.*s.", CM_STR_ARG(reminder->text));
}

static void ask_reminder_time(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, "מתי להזכיר \"%.*s\"? למשל: \"תזכיר לי כל יום בשמונה %.*s\".",
                      CM_STR_ARG(text), CM_STR_ARG(text));
}

static void ask_reminder_text(struct cm_buf *out)
{
        cm_buf_add_str(out, CM_STR("מה להזכיר? למשל: \"תזכיר לי מחר בתשע להתקשר למרפאה\"."));
}

static void list(struct cm_buf *out, const struct reminder_list *reminders,
                 const struct planner_context *context)
{
        for (size_t i = 0; i < reminders->items.count; i++) {
                cm_buf_printf(out, "\n• %.*s: ", CM_STR_ARG(reminders->items.items[i].text));
                schedule(out, &reminders->items.items[i], context);
        }
}

static void reminders(struct cm_buf *out, const struct reminder_list *items,
                      const struct planner_context *context)
{
        if (!items->items.count) {
                cm_buf_add_str(out, CM_STR("אין תזכורות."));
                return;
        }
        cm_buf_add_str(out, CM_STR("התזכורות:"));
        list(out, items, context);
}

static void reminder_cancelled(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, "התזכורת בוטלה: %.*s.", CM_STR_ARG(text));
}

static void reminder_confirmed(struct cm_buf *out, struct cm_str text)
{
        cm_buf_printf(out, " התזכורת אושרה: %.*s.", CM_STR_ARG(text));
}

static void ask_cancel(struct cm_buf *out, const struct reminder_list *items,
                       const struct planner_context *context)
{
        if (!items->items.count) {
                cm_buf_add_str(out, CM_STR("אין תזכורות שאפשר לבטל."));
                return;
        }
        cm_buf_add_str(out, CM_STR("איזו מהן? עדיין לא בוטלה אף תזכורת. אפשר לכתוב \"תבטל את "
                                   "התזכורת\" עם מילים ממנה:"));
        list(out, items, context);
}

const struct replies replies_he = {
        .hello = hello,
        .thanks = thanks,
        .help = help,
        .not_understood = not_understood,
        .failed = failed,
        .facts = facts,
        .taken_back = taken_back,
        .ask_record = ask_record,
        .goals = goals,
        .ask_exercise = ask_exercise,
        .summary = summary,
        .remembered = remembered,
        .recalled = recalled,
        .nothing_recalled = nothing_recalled,
        .forgotten = forgotten,
        .ask_forget = ask_forget,
        .reminder_set = reminder_set,
        .ask_reminder_time = ask_reminder_time,
        .ask_reminder_text = ask_reminder_text,
        .reminders = reminders,
        .reminder_cancelled = reminder_cancelled,
        .reminder_confirmed = reminder_confirmed,
        .ask_cancel = ask_cancel,
};
