#pragma once
#include <stddef.h>

/* Words that say nothing about what a text is about, by blanks, as they are written. */
extern const char *const stop_words[];
extern const size_t stop_words_count;
/* Words that turn a statement round: they do not find anything, but two texts that differ in them
 * do not say the same. */
extern const char *const negations;
