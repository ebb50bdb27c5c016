#pragma once
#include "exercise_lexicon.h"

/*
 * What exercise a message says was done: "did 3 sets of 10 squats with 60 kg", "עשיתי 20 שכיבות
 * סמיכה", "squat 60 3x10, then ran 5k in 25 minutes". Pure. Only what was done is logged: wishes,
 * plans, questions and what was not done are not; what is unclear is asked about.
 */
enum exercise_verdict {
        EXERCISE_NONE, /* nothing was done, or nothing is said of exercise */
        EXERCISE_LOG,
        EXERCISE_ASK /* an exercise, but not how much, or something does not fit */
};

/* Amounts of an entry; 0 is not said. */
struct exercise_entry {
        const struct exercise *exercise;
        struct cm_str name; /* as the person called it: part of the message */
        int sets, repetitions;
        double weight;
        bool weight_is_lb,
                weight_has_unit; /* without a unit: kilograms, until somebody knows better */
        double duration_s;
        double distance;
        char distance_unit[3]; /* "m", "km", "mi" */
        double rpe;
};

#define EXERCISE_ENTRIES 8

struct exercise_report {
        enum exercise_verdict verdict;
        struct exercise_entry entries[EXERCISE_ENTRIES];
        size_t count;
        int days_ago;
};

void exercise_parse(const struct exercise_lexicon *lexicon, struct cm_arena *arena,
                    const struct chat_text *text, struct exercise_report *report_r);

/* Amounts without an exercise ("actually 12", "לא, 62.5 קילו") put into an entry that was logged
 * before. True when the message is such a correction and nothing else. */
bool exercise_correct(struct cm_arena *arena, const struct chat_text *text,
                      struct exercise_entry *entry);
