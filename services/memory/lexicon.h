#pragma once
#include <stddef.h>

/*
 * Words of health that mean the same, in English and Hebrew, so that a question in one language
 * finds what was said in the other, and "allergic" finds "allergy". Written by us, small and plain:
 * a word stands here only when it has one meaning in talk about health.
 */
struct concept {
        const char *name;
        const char *words; /* by blanks; a phrase of two words is joined by an underscore */
};
extern const struct concept concepts[];
extern const size_t concepts_count;
