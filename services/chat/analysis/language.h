#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * The first stage of a message: normal form, language, and its words as the other stages compare
 * them. Pure; does not suspend. Everything lives in the arena.
 */
enum chat_language {
        CHAT_LANGUAGE_UNKNOWN, /* no letters of either: numbers, emoji, other scripts */
        CHAT_LANGUAGE_EN,
        CHAT_LANGUAGE_HE,
        CHAT_LANGUAGE_MIXED
};

enum chat_break {
        CHAT_BREAK_BLANK = 1,   /* there is something between this word and the one before */
        CHAT_BREAK_COMMA = 2,   /* a comma, dash, bracket, colon */
        CHAT_BREAK_LINE = 4,    /* a new line */
        CHAT_BREAK_SENTENCE = 8 /* a full stop, exclamation or question mark; not an ellipsis */
};

/* A word or a number. Apostrophes and gershayim inside a word are gone ("dont", "קמ"). */
struct chat_word {
        struct cm_str text; /* folded: codec/text_match.h */
        uint64_t hash;      /* chat_word_hash() of the text */
        uint32_t from, to;  /* where it stands in the source, in bytes */
        double number;      /* when is_number: "1,000", "62.5", "1/2" */
        bool is_number;
        uint8_t breaks; /* enum chat_break, between it and the word before */
        char sign;      /* the last ASCII sign before it, 0 when there is none: '@', '*', '?' … */
};

struct chat_text {
        struct cm_str source; /* what is stored: NFC, without embedding and override controls */
        struct chat_word *words;
        size_t count;
        enum chat_language language; /* that it is written in */
        enum chat_language reply;    /* that it wants to be answered in: never mixed */
        bool is_question;            /* it ends with a question mark */
};

/* False when `message` is not well-formed UTF-8. */
bool chat_text_read(struct cm_arena *arena, struct cm_str message,
                    struct chat_text *text_r) CM_MUST_CHECK;

uint64_t chat_word_hash(struct cm_str text);
/* The part of the source from one word to another, both included. */
struct cm_str chat_text_span(const struct chat_text *text, size_t first, size_t last);
/* "en", "he", "mixed" or "und". */
const char *chat_language_name(enum chat_language language);
