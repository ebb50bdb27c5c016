#include "notice_text.h"

#include "base/mem.h"
#include "schemas.h"

struct notice {
        const char *subject;
        const char *what;   /* what happened */
        const char *code;   /* before link and code; NULL: there are none */
        const char *if_not; /* should it be somebody else's doing */
};

struct phrases {
        struct notice notices[7]; /* in the order of enum mail_template */
        const char *or_code;      /* between link and code */
        const char *life;         /* how long the code is good */
        const char *when;         /* time, day, zone */
        const char *where;        /* address */
        const char *units[4][2];  /* seconds, minutes, hours, days: one, several */
};

static const struct phrases english = {
        .notices = {
                { "Confirm your e-mail address",
                  "Somebody, most likely you, has registered with Salus under this address.",
                  "Confirm that it is yours:",
                  "If it was not you, do nothing: without this code nothing happens." },
                { "Set a new password",
                  "Somebody, most likely you, has asked for a new password for your account with "
                  "Salus.",
                  "Set it here:",
                  "If it was not you, do nothing: your password stays as it is." },
                { "You have an account already",
                  "Somebody, most likely you, has tried to register with Salus under this address. "
                  "You have an account already: sign in as before, or ask for a new password.",
                  NULL, "If it was not you, there is nothing to do." },
                { "Your password was changed",
                  "The password of your account with Salus was changed, and other devices were "
                  "signed out.",
                  NULL, "If it was not you, ask for a new password at once." },
                { "You were signed out for your safety",
                  "A sign-in of your account with Salus was used from two places, as happens when "
                  "it was copied. It was ended in both; please sign in again.",
                  NULL, "If you use no second device, set a new password." },
                { "Failed sign-ins to your account",
                  "Somebody has tried many wrong passwords for your account with Salus. Nobody came "
                  "in. Further attempts have to wait; on devices that you have used before you can "
                  "sign in as always.",
                  NULL, "If it was not you, there is nothing to do. A password that you use "
                        "nowhere else protects you best." },
                { "You are invited to Salus", "You are invited to make an account with Salus.",
                  "Register here:", "If you do not want one, do nothing." },
        },
        .or_code = "Or with this code:",
        .life = "It works once, for %s.",
        .when = "Time: %s (%.*s)",
        .where = "Network address: %.*s",
        .units = { { "1 second", "%lld seconds" },
                   { "1 minute", "%lld minutes" },
                   { "1 hour", "%lld hours" },
                   { "1 day", "%lld days" } },
};

static const struct phrases hebrew = {
        .notices = {
                { "אישור כתובת הדוא״ל שלך",
                  "התקבלה הרשמה ל-Salus עם הכתובת הזאת, כנראה שלך.", "לאישור שהכתובת שלך:",
                  "אם לא נרשמת, אין צורך לעשות דבר: בלי הקוד הזה לא יקרה כלום." },
                { "בחירת סיסמה חדשה", "התקבלה בקשה, כנראה שלך, לסיסמה חדשה לחשבונך ב-Salus.",
                  "לבחירת הסיסמה:", "אם לא ביקשת, אין צורך לעשות דבר: הסיסמה שלך לא השתנתה." },
                { "כבר יש לך חשבון",
                  "התקבלה הרשמה ל-Salus עם הכתובת הזאת, כנראה שלך. כבר יש לך חשבון: אפשר להיכנס "
                  "כרגיל, או לבקש סיסמה חדשה.",
                  NULL, "אם לא נרשמת, אין צורך לעשות דבר." },
                { "הסיסמה שלך שונתה", "הסיסמה לחשבונך ב-Salus שונתה, ומכשירים אחרים נותקו.", NULL,
                  "אם לא שינית אותה, יש לבקש מיד סיסמה חדשה." },
                { "נותקת לשם הגנה על חשבונך",
                  "כניסה לחשבונך ב-Salus שימשה משני מקומות, כפי שקורה כשהיא הועתקה. היא נסגרה "
                  "בשניהם; נא להיכנס שוב.",
                  NULL, "אם אין לך מכשיר שני, כדאי לבחור סיסמה חדשה." },
                { "ניסיונות כניסה שנכשלו לחשבונך",
                  "היו ניסיונות רבים להיכנס לחשבונך ב-Salus בסיסמאות שגויות. איש לא נכנס. ניסיונות "
                  "נוספים ייאלצו לחכות; ממכשירים שכבר נכנסת מהם אפשר להיכנס כרגיל.",
                  NULL, "אם אלה לא היו ניסיונות שלך, אין צורך לעשות דבר. סיסמה שאינה משמשת בשום "
                        "מקום אחר היא ההגנה הטובה ביותר." },
                { "הזמנה ל-Salus", "הוזמנת לפתוח חשבון ב-Salus.", "להרשמה:",
                  "אם אין בכך צורך, אפשר להתעלם מהודעה זו." },
        },
        .or_code = "או בעזרת הקוד הזה:",
        .life = "אפשר להשתמש בו פעם אחת, במשך %s.",
        .when = "מועד: %s (%.*s)",
        .where = "כתובת ברשת: %.*s",
        .units = { { "שנייה אחת", "%lld שניות" },
                   { "דקה אחת", "%lld דקות" },
                   { "שעה אחת", "%lld שעות" },
                   { "יום אחד", "%lld ימים" } },
};

/* In the largest unit that has no rest. */
static struct cm_str duration(const struct phrases *p, struct cm_arena *arena, int64_t seconds)
{
        static const int64_t sizes[] = { 1, 60, 3600, 86400 };
        size_t unit = CM_COUNT(sizes) - 1;

        /* "24 hours" is said more clearly than "1 day" */
        while (unit > 0 && (seconds % sizes[unit] != 0 || (unit == 3 && seconds == sizes[unit])))
                unit--;
        seconds /= sizes[unit];
        return seconds == 1 ? cm_str_from(p->units[unit][0])
                            : cm_arena_printf(arena, p->units[unit][1], (long long)seconds);
}

static void add_code(struct cm_buf *out, const struct phrases *p, const struct notice *notice,
                     const struct mail_contents *contents, struct cm_arena *arena)
{
        if (!notice->code || !contents->has_code)
                return;
        cm_buf_printf(out, "%s\n\n", notice->code);
        if (contents->has_link)
                cm_buf_printf(out, "%.*s\n\n%s\n\n", CM_STR_ARG(contents->link), p->or_code);
        cm_buf_printf(out, "%.*s\n\n", CM_STR_ARG(contents->code));
        if (contents->has_life_s) {
                cm_buf_printf(out, p->life, duration(p, arena, contents->life_s).data);
                cm_buf_add_str(out, CM_STR("\n"));
        }
}

void notice_text_write(const struct mail_job *job, const struct cm_zone *zone,
                       const struct mail_contents *contents, struct cm_arena *arena,
                       struct mail_text *text_r)
{
        const struct phrases *p = mail_text_is_hebrew(job->language) ? &hebrew : &english;
        const struct notice *notice = &p->notices[job->template - 1];
        CM_CLEANUP(cm_buf_deinit) struct cm_buf body = { 0 };

        text_r->subject = cm_str_from(notice->subject);
        cm_buf_printf(&body, "%s\n\n", notice->what);
        add_code(&body, p, notice, contents, arena);
        cm_buf_printf(&body, "%s\n\n", notice->if_not);
        if (contents->has_at) {
                cm_buf_printf(&body, p->when,
                              mail_text_time(job->language, zone, contents->at, arena).data,
                              CM_STR_ARG(job->time_zone));
                cm_buf_add_char(&body, '\n');
        }
        if (contents->has_ip) {
                cm_buf_printf(&body, p->where, CM_STR_ARG(contents->ip));
                cm_buf_add_char(&body, '\n');
        }
        text_r->body = cm_arena_str(arena, cm_buf_str(&body));
        cm_wipe(body.data, body.len);
}
