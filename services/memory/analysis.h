#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * What a text is made of, for finding it: words without case, accents, niqqud, final letters and
 * bidi marks, each with the other forms under which it may be found. Pure; the same on every
 * machine.
 */
struct analyser;

int analyser_new(struct analyser **analyser_r) CM_MUST_CHECK;
void analyser_free(struct analyser **analyser);

/* A form of a word, and how much a match by it is worth (1: the word itself). */
struct variant {
        uint64_t term;
        float weight;
};
enum { MAX_VARIANTS = 6 };

enum token_role {
        TOKEN_CONTENT,
        TOKEN_STOP,     /* finds nothing */
        TOKEN_NEGATION, /* finds nothing, but changes what is said */
};

struct token {
        struct cm_str word; /* normalised */
        struct cm_str core; /* without Hebrew prefixes; a part of word */
        uint64_t canonical; /* the form by which two words are the same: concept, or stem */
        uint64_t concept;   /* 0: none */
        uint8_t role;
        uint8_t variant_count;
        struct variant variants[MAX_VARIANTS]; /* the heaviest first, all different */
};

struct analysis {
        struct cm_str bare; /* cm_text_bare */
        struct token *tokens;
        size_t count;
        size_t content;       /* tokens of that role; all of them when there would be none */
        uint64_t fingerprint; /* of the set of content words and negations; 0 without any */
};

/* `text` is well-formed UTF-8. All lives in the arena. Fails with -CM_E_MALFORMED only. */
int analyse(struct analyser *analyser, struct cm_str text, struct cm_arena *arena,
            struct analysis *analysis_r) CM_MUST_CHECK;

/* "he" when most letters are Hebrew, else "und": which language it is cannot be told by script. */
struct cm_str analysis_language(const struct analysis *analysis);

/* The text as it is compared: bare, blanks collapsed, without what ends a sentence. In the arena.
 */
struct cm_str analysis_same_text(const struct analysis *analysis, struct cm_arena *arena);
