#pragma once
#include "analysis/language.h"

/*
 * Numbers as people write them: digits, and words of English and Hebrew ("twenty five", "a dozen",
 * "half", "שלושים וחמש", "שתים עשרה"). Reads at most up to `end`. Returns how many words the number
 * has, 0 when none starts there. A leading Hebrew "ב", "ל", "כ" or "ו" is taken along.
 */
size_t chat_number_at(const struct chat_text *text, size_t at, size_t end, double *value_r);

/* Whether the word is one of a list of folded words that ends with NULL; with Hebrew prefixes "ו",
 * "ב", "ל", "ה", "ש", "כ" allowed. */
bool chat_word_in(const struct chat_word *word, const char *const *list);
