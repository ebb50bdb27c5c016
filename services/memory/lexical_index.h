#pragma once
#include <stddef.h>

#include "analysis.h"

/*
 * Words of one person's memories, searched by BM25 (Robertson 2009; k1 0.9, b 0.5). A word of a
 * question is looked for under all of its forms and counts by the best one in each text. How rare a
 * word is, is told by the person's memories and a background of thirty others, so that a handful
 * of memories do not make every word common.
 *
 * Places are small numbers that the caller gives and takes back.
 */
struct lexical_index;

struct lexical_index *lexical_index_new(void);
void lexical_index_free(struct lexical_index **index);

/* The place must be free. */
void lexical_index_put(struct lexical_index *index, size_t place, const struct analysis *text);
void lexical_index_remove(struct lexical_index *index, size_t place);

/* For each place below `count`, in arrays that are zero before (room for count + 1): `scores`, BM25
 * as a share of what the whole question weighs (a short text that has all of it may reach more than
 * 1); `coverage`, the share of that weight whose words the text has, 0 to 1. Both are 0 where
 * nothing matches. The other two are for the work itself: `best` is zero before and after. */
struct lexical_scores {
        float *scores;
        float *coverage;
        float *best;
        uint32_t *found;
        size_t count;
};
void lexical_index_compare(const struct lexical_index *index, const struct analysis *query,
                           struct lexical_scores *scores);

size_t lexical_index_bytes(const struct lexical_index *index);
