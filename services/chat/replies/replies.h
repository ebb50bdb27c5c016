#pragma once
#include "phrases/dose.h"
#include "phrases/exercise_parse.h"
#include "planners/planner.h"

/*
 * What the rules planner says, in one language: short, honest sentences from the person's own data.
 * Each appends to `out`. Hebrew is worded so that it fits whoever reads it: no form that has to
 * guess a gender.
 */
enum reply_failure {
        REPLY_NOT_SAVED, /* refused or no answer: nothing is claimed */
        REPLY_NOT_READ,  /* what should be told could not be asked for */
        REPLY_NOT_FORGOTTEN
};

/* Facts of one message and whether each was stored. */
#define REPLY_FACTS 12
enum fact_kind { FACT_SLEEP, FACT_MOOD, FACT_SYMPTOM, FACT_DOSE, FACT_EXERCISE };
struct fact {
        enum fact_kind kind;
        bool is_good;       /* sleep; dose: taken */
        struct cm_str word; /* mood or symptom */
        double valence;     /* mood */
        double dose;        /* 0: not said */
        const struct dose_unit *dose_unit;
        struct exercise_entry exercise;
        int days_ago;
        bool is_correction;
        bool is_avoided; /* exercise: the person had said that they avoid it */
};

struct replies {
        void (*hello)(struct cm_buf *out);
        void (*thanks)(struct cm_buf *out);
        void (*help)(struct cm_buf *out);
        void (*not_understood)(struct cm_buf *out);
        void (*failed)(struct cm_buf *out, enum reply_failure failure);
        void (*facts)(struct cm_buf *out, const struct fact *facts, size_t count,
                      const struct planner_context *context);
        /* Records that are void now; of a reminder whose answer stays. */
        void (*taken_back)(struct cm_buf *out, size_t count, bool reminder_stays);
        void (*ask_record)(struct cm_buf *out); /* which one is meant; nothing was changed */
        void (*goals)(struct cm_buf *out,
                      const struct context_preferences *wishes); /* may be NULL */
        void (*ask_exercise)(struct cm_buf *out, const struct exercise_entry *entry);
        void (*summary)(struct cm_buf *out, const struct week_summary *summary, bool is_day,
                        int ago);
        void (*remembered)(struct cm_buf *out, struct cm_str text);
        void (*recalled)(struct cm_buf *out, const struct memory_notes *notes,
                         const struct cm_zone *zone);
        void (*nothing_recalled)(struct cm_buf *out);
        void (*forgotten)(struct cm_buf *out, bool was_there);
        void (*ask_forget)(struct cm_buf *out, const struct memory_notes *notes); /* may be NULL */
        void (*reminder_set)(struct cm_buf *out, const struct reminder *reminder,
                             const struct planner_context *context);
        void (*ask_reminder_time)(struct cm_buf *out, struct cm_str text);
        void (*ask_reminder_text)(struct cm_buf *out);
        void (*reminders)(struct cm_buf *out, const struct reminder_list *list,
                          const struct planner_context *context);
        void (*reminder_cancelled)(struct cm_buf *out, struct cm_str text);
        void (*reminder_confirmed)(struct cm_buf *out, struct cm_str text);
        void (*ask_cancel)(struct cm_buf *out, const struct reminder_list *list,
                           const struct planner_context *context);
};

extern const struct replies replies_en, replies_he;

/* ---- what both languages use */

/* The person wants short replies. */
bool reply_is_short(const struct planner_context *context);
/* A number as people write it: "62.5", "1,500" is "1500". */
void reply_number(struct cm_buf *out, double value);
/* Local parts of an instant. */
struct reply_clock {
        int year, month, day, weekday /* 0 Sunday */, hour, minute;
        int days_from_today;
};
struct reply_clock reply_clock(cm_time at, const struct planner_context *context);
/* A cron expression of the form that when_parse writes. False: it has another one. */
struct reply_cron {
        int hour, minute;
        unsigned days; /* bits, 0: every day */
};
bool reply_cron_read(struct cm_str schedule, struct reply_cron *cron_r);
/* "@every 2h" in minutes; 0 when it is not that. */
int reply_every_minutes(struct cm_str schedule);
