#pragma once
#include <stdint.h>

#include "exercise_parse.h"
#include "numbers.h"

/*
 * How a message is read: every amount is found ("3 sets", "10", "60 kg": an atom), then every
 * exercise; was it done; which amount belongs to which exercise.
 */
enum atom_kind {
        ATOM_SETS,
        ATOM_REPS,
        ATOM_WEIGHT,
        ATOM_DISTANCE,
        ATOM_DURATION,
        ATOM_RPE,
        ATOM_BARE,
        ATOM_KINDS
};

struct atom {
        enum atom_kind kind;
        double value;
        const char *unit; /* of a weight or distance; NULL when not said */
        size_t at, end;   /* words */
        bool corrects;
};

#define MAX_ATOMS 32

enum { TAKEN_BY_ATOM = 1, TAKEN_BY_EXERCISE };

struct parse {
        const struct exercise_lexicon *lexicon;
        const struct chat_text *text;
        uint8_t *taken; /* of each word: 0, or by what */
        struct atom atoms[MAX_ATOMS];
        size_t atom_count;
        struct exercise_mention mentions[EXERCISE_ENTRIES];
        size_t mention_count;
        bool is_unclear;
};

#define LIST(name, ...) static const char *const name[] = { __VA_ARGS__, NULL }

static inline bool is_in(const struct parse *parse, size_t at, const char *const *list)
{
        return at < parse->text->count && !parse->text->words[at].is_number &&
               chat_word_in(&parse->text->words[at], list);
}

/* Without Hebrew prefixes: where a letter more would be another word. */
static inline bool is_exactly(const struct parse *parse, size_t at, const char *const *list)
{
        for (size_t i = 0; at < parse->text->count && list[i]; i++)
                if (cm_str_equal(parse->text->words[at].text, cm_str_from(list[i])))
                        return true;
        return false;
}

/* exercise_amounts.c: takes the amount that begins at a word. How many words it has; 0: none. */
size_t exercise_amount_at(struct parse *parse, size_t at);
/* "an hour", "a mile": an amount without a number. */
size_t exercise_lone_unit_at(struct parse *parse, size_t at);

/* exercise_done.c. Needs a mention. *is_unsure_r: much else is said. */
bool exercise_was_done(const struct parse *parse, bool *is_unsure_r);
/* Words that are neither amounts, exercises nor the small change of such a message. */
size_t exercise_other_words(const struct parse *parse);
/* "wanted to do 12 but did 10": amounts before the word that says done, behind a wish, are none. */
void exercise_drop_wished(struct parse *parse);
