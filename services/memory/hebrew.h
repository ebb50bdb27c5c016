#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/*
 * Hebrew words as they are compared. A light stemmer: no dictionary, so it makes the same of words
 * that differ in what stands before and behind, and sometimes of words that only look so. Whoever
 * uses it keeps the whole word beside it.
 *
 * All input is bare text (cm_text_bare): no niqqud.
 */

bool hebrew_is(struct cm_str word); /* begins with a Hebrew letter */
/* Final letters become ordinary ones, gershayim and apostrophes go, in place. Returns the length.
 */
size_t hebrew_normalise(char *word, size_t len);
/* Without ו ה ב ל מ ש כ before it, at most three of them, as long as three letters are left. A part
 * of `word`. */
struct cm_str hebrew_core(struct cm_str word);
/* Takes one such letter off; false when there is none, or too little would be left. */
bool hebrew_strip(struct cm_str *word);
/* Without the ending of number, gender or possession. A part of `word`. */
struct cm_str hebrew_stem(struct cm_str word);
