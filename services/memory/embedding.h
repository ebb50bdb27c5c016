#pragma once
#include <stdint.h>

#include "analysis.h"
#include "base/attr.h"

/*
 * Vectors of texts: 768 dimensions, eight bits each, compared by cosine. What makes them is chosen
 * by the setting EMBEDDING and stands behind this interface; all texts of an installation are
 * embedded by one, so that its vectors can be compared.
 *
 * `hash` is embedded and lexical: it knows nothing of meaning. Words, their stems, what the lexicon
 * knows of them and their parts of three letters are hashed to signed places (feature hashing,
 * Weinberger 2009). So it is near where words are alike: other endings, other spellings, typing
 * errors, compounds.
 */
enum { EMBEDDING_DIMENSIONS = 768 };

struct embedding {
        int8_t values[EMBEDDING_DIMENSIONS];
        float norm; /* length of the vector; 0: a text without words, near to nothing */
};

struct embedder {
        const char *name;
        /* Whether it works: 0 or an error. May suspend. */
        int (*embed)(struct embedder *embedder, const struct analysis *text,
                     struct embedding *embedding_r);
        void (*free)(struct embedder *embedder);
};

/* -CM_E_CONFIG, logged, when there is none of that name. */
int embedder_new(const char *name, struct embedder **embedder_r) CM_MUST_CHECK;
void embedder_free(struct embedder **embedder);

/* Sets the norm, when all values are in place. */
void embedding_finish(struct embedding *embedding);
double embedding_cosine(const struct embedding *a, const struct embedding *b);
