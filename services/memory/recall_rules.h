#pragma once
#include <stdbool.h>

/*
 * How well a memory answers, from what its words and its vector say: the one place that ranks, for
 * every caller. All figures are absolute: they do not depend on what else was found.
 *
 *     score = 0.85 * l / (l + 0.5) + 0.15 * max(cosine, 0)       l: lexical_scores.scores
 *     shown = coverage + max(cosine, 0) / 2 >= 0.3, or cosine >= 0.4
 *
 * Below that gate nothing is shown, however well it ranks: a memory must have a good part of what
 * the question weighs, or its vector must be near. Age decides between equals only. The figures
 * were chosen on HeQ (docs/memory.md).
 */
struct relevance {
        float lexical;  /* lexical_scores.scores */
        float coverage; /* 0 to 1 */
        float cosine;
};

/* In the header, because a search asks them of each memory. */

#define RECALL_LEXICAL_SHARE 0.85F
#define RECALL_LEXICAL_HALF  0.5F /* a lexical score that gives half of its share */

static inline float recall_score(const struct relevance *relevance)
{
        float lexical = relevance->lexical / (relevance->lexical + RECALL_LEXICAL_HALF);
        float cosine = relevance->cosine > 0 ? relevance->cosine : 0;

        return RECALL_LEXICAL_SHARE * lexical + (1 - RECALL_LEXICAL_SHARE) * cosine;
}

/* What must be reached to be shown, one or the other. */
struct recall_gate {
        float both; /* coverage + max(cosine, 0) / 2 */
        float near; /* cosine */
};

static const struct recall_gate recall_relevant = { 0.3F, 0.4F };
/* Stricter: clearly what was meant. For what cannot be undone. */
static const struct recall_gate recall_certain = { 0.6F, 0.6F };

/* Without a branch: of many memories it is as good as random whether they pass. */
static inline bool recall_passes(const struct recall_gate *gate, float coverage, float cosine)
{
        return (cosine >= gate->near) | (coverage >= gate->both) |
               (coverage + cosine / 2 >= gate->both);
}
