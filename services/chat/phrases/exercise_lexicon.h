#pragma once
#include "analysis/language.h"

/* The table of exercises and their names: data/exercises.tsv. Immutable, any thread. */
enum exercise_kind { EXERCISE_REPS, EXERCISE_WEIGHT, EXERCISE_TIME, EXERCISE_DISTANCE };

struct exercise {
        struct cm_str id;
        enum exercise_kind kind;
        struct cm_str name_en, name_he; /* as we say them */
};

struct exercise_lexicon;

/* NULL and *error_r when the table is wrong. The table must outlive the lexicon. */
struct exercise_lexicon *exercise_lexicon_new(struct cm_str table, const char **error_r);
void exercise_lexicon_free(struct exercise_lexicon **lexicon);

struct exercise_mention {
        const struct exercise *exercise;
        size_t first, last; /* words */
        bool is_done;       /* a verb that says so */
};

/* The longest name that begins at the word; a single word of five letters or more may have one
 * slip (a letter too many, too few, wrong, or two that changed places). */
bool exercise_mention_at(const struct exercise_lexicon *lexicon, const struct chat_text *text,
                         size_t at, struct exercise_mention *mention_r);
const struct exercise *exercise_find(const struct exercise_lexicon *lexicon, struct cm_str id);
