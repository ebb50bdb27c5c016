#pragma once
#include <stdint.h>

#include "phrase.h"

/*
 * A pattern becomes a chain of nodes, each with its continuation, so that a group's alternatives
 * simply continue behind the group and matching needs no stack of its own. Matching tries and goes
 * back; patterns are short and gaps small, so what it can try is bounded by the pattern.
 *
 * Tables are tens of thousands of nodes that every process keeps. They stand in arrays and name
 * each other by number, and each word stands there once, with the phrases that can begin with it.
 */
enum node_kind {
        NODE_WORDS,
        NODE_FORK,
        NODE_GAP,
        NODE_CAPTURE,
        NODE_NUMBER,
        NODE_START,
        NODE_SENTENCE,
        NODE_END,
        NODE_ACCEPT
};

struct node {
        uint32_t kind : 8;
        uint32_t count : 24; /* words, forks, width of the gap, number of the capture */
        uint32_t next;
        uint32_t links; /* the first of its words (NODE_WORDS) or nodes (NODE_FORK) */
};

/* As patterns have it: "medic*" is another one than "medic". */
struct word {
        uint64_t hash;
        uint32_t text; /* where in the texts */
        uint16_t len;
        bool prefix;
        bool hebrew;
        uint32_t postings, posting_count; /* phrases that can begin with it, ascending */
        uint32_t posted;                  /* while they are read: the last one, and 1 */
};

struct phrase {
        struct cm_str columns[PHRASE_COLUMNS];
        uint32_t start;
};

/* An array that grows while phrases are read. */
struct array {
        void *items;
        uint32_t count, cap;
};

#define OTHERS 0 /* the word for phrases that can begin with none of the words alone */

struct phrases {
        struct phrase *items;
        size_t count;
        struct array nodes;    /* struct node */
        struct array links;    /* uint32_t: words or nodes */
        struct array words;    /* struct word */
        struct array texts;    /* char */
        struct array postings; /* uint32_t: phrases */
        uint32_t *slots;       /* by hash: a word without * and 1, or 0; open addressing */
        size_t mask;
};

static inline struct node *node_at(const struct phrases *phrases, uint32_t number)
{
        return (struct node *)phrases->nodes.items + number;
}

static inline uint32_t *link_at(const struct phrases *phrases, uint32_t number)
{
        return (uint32_t *)phrases->links.items + number;
}

static inline struct word *word_at(const struct phrases *phrases, uint32_t number)
{
        return (struct word *)phrases->words.items + number;
}

static inline struct cm_str text_of(const struct phrases *phrases, const struct word *word)
{
        return (struct cm_str){ (const char *)phrases->texts.items + word->text, word->len };
}
