#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "analysis/language.h"

/*
 * Phrases: patterns of words, kept as tables in data/ that people without C can read and extend.
 *
 * A table has one phrase a line: columns, separated by tabs, of which the last is the pattern.
 * Lines that begin with # are remarks; "@name<TAB>pattern" names a part that later lines use.
 *
 *     word            this word, whatever its case, accents, niqqud, final letters
 *     medic*          a word that begins so
 *     a|b|c           one of these words
 *     (a b | c)       one of these sequences
 *     [a b | c]       the same, or nothing
 *     ~3              up to three words of the same sentence
 *     {2}             one word or more of the same sentence, kept as capture 2
 *     #1              a number in digits, kept as capture 1
 *     ^ $             the beginning or end of the message; ^s of a sentence
 *     @name           what was named
 *
 * A Hebrew word also matches with the prefixes that stand for "and" and "that" (ו, ש, וש, כש).
 */
struct phrases;

#define PHRASE_CAPTURES 4
#define PHRASE_COLUMNS  4

struct phrase_range {
        size_t first, last; /* words, both included */
};

struct phrase_match {
        const struct cm_str
                *columns; /* of the table's line, without the pattern; absent ones too */
        struct phrase_range range;
        struct phrase_range captures[PHRASE_CAPTURES];
        bool has[PHRASE_CAPTURES];
        size_t phrase; /* number of the line among the phrases; earlier ones come first */
};

/* The table must outlive the phrases. *error_r says which line is wrong and why. */
struct phrases *phrases_new(struct cm_str table, const char **error_r) CM_MUST_CHECK;
void phrases_free(struct phrases **phrases);
size_t phrases_count(const struct phrases *phrases);

/*
 * The next match, from the first word of the text to the last. Start with a zeroed match and
 * *place = 0. Bounded: a few comparisons per word and phrase. Does not suspend.
 */
bool phrases_next(const struct phrases *phrases, const struct chat_text *text, size_t *place,
                  struct phrase_match *match);
/* Whether a phrase has this (folded) word as it is. */
bool phrases_know(const struct phrases *phrases, struct cm_str word);
