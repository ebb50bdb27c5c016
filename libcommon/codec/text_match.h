#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/*
 * Text as it is compared with words and phrases, never as it is stored or shown: compatibility
 * forms, case and accents are gone, Hebrew has no niqqud, no cantillation and no final letters,
 * every apostrophe, quotation mark and dash is the ASCII one, what cannot be seen is left out, and
 * letters that only look like Latin ones (Cyrillic, Greek, small capitals) are Latin.
 */
struct cm_match_text {
        struct cm_str text;
        /* at[i]: the byte of the source whose character became byte i; at[text.len] is its end. */
        const uint32_t *at;
};

/* False when `source` is not well-formed UTF-8 or is longer than 16 MiB. In the arena. */
bool cm_text_match(struct cm_arena *arena, struct cm_str source, struct cm_match_text *match_r);

/* The code point at `text.data[*at]` of well-formed UTF-8; moves *at behind it. */
uint32_t cm_utf8_next(struct cm_str text, size_t *at);
