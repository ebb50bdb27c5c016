#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* What text must be before it is compared or stored: Unicode normal forms and the named formats. */

/* NFC of well-formed UTF-8, in the arena; absent when the input is not well-formed. */
struct cm_str cm_text_nfc(struct cm_arena *arena, struct cm_str text);
/* For comparing names and e-mail addresses: NFC, case-folded. */
struct cm_str cm_text_fold(struct cm_arena *arena, struct cm_str text);
/* For finding words: compatibility forms and case folded, without accents, niqqud and other marks,
 * bidi controls and whatever else is not seen. Absent when not well-formed. */
struct cm_str cm_text_bare(struct cm_arena *arena, struct cm_str text);
/* Cuts the next word off well-formed text: a run of letters, digits and symbols such as emoji.
 * Inside of a word an apostrophe, geresh or gershayim (or the ASCII quote that stands for it)
 * between letters, and a point or comma between digits, belong to it. False at the end. */
bool cm_text_next_word(struct cm_str *rest, struct cm_str *word_r);

/* RFC 5321 lengths (64 @ 255, 254 in all), dot-atom local part or UTF-8 (RFC 6531), IDNA 2008
 * domain with at least two labels; no quoted local parts, no address literals. */
bool cm_email_is_valid(struct cm_str email);
/* The form to compare and to look up by: local part folded, domain as lower-case A-labels. Absent
 * when not valid. */
struct cm_str cm_email_canonical(struct cm_arena *arena, struct cm_str email);
/* An IANA zone or link name of the machine's tz database, case-sensitive. The first call reads the
 * list of names; any thread. */
bool cm_time_zone_is_known(struct cm_str name);
/* Well-formed BCP 47 (RFC 5646 section 2.1), grandfathered tags included; no extension twice. */
bool cm_language_is_valid(struct cm_str tag);
/* HH:MM, 00:00 to 23:59. */
bool cm_clock_time_is_valid(struct cm_str text);
/* A URI with a scheme (RFC 3986): only the characters that it allows, whole percent signs. */
bool cm_uri_is_valid(struct cm_str text);
/* One line: well-formed UTF-8 without control characters and line or paragraph separators. */
bool cm_line_is_valid(struct cm_str text);
