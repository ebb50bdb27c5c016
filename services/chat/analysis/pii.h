#pragma once
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * Personal data by its form: what identifies somebody by itself and can be recognised without
 * knowing the world; and names that are announced (pii_names.h). Other names, addresses and
 * employers are not recognised at this level. Pure.
 *
 * E-mail addresses, phone numbers (international, Israeli, and grouped ones), IBANs (checksum),
 * payment cards (Luhn), teudat zehut (check digit), US social security numbers, dates of birth
 * (a date behind words of birth), URLs, IP addresses.
 */
enum pii_kind {
        PII_EMAIL,
        PII_PHONE,
        PII_IBAN,
        PII_CARD,
        PII_ID,
        PII_BIRTH,
        PII_URL,
        PII_IP,
        PII_NAME,
        PII_TEXT, /* text that looks like one of our pseudonyms */
        PII_KINDS
};

struct pii_span {
        enum pii_kind kind;
        size_t from, to; /* bytes */
};

/* Spans in order, none overlapping. In the arena. `text` is well-formed UTF-8. */
struct pii_span *pii_find(struct cm_arena *arena, struct cm_str text, size_t *count_r);
const char *pii_kind_name(enum pii_kind kind); /* "EMAIL" … */

/*
 * Reversible pseudonyms: "[EMAIL_1]". The same value has the same pseudonym everywhere in one map;
 * a map lives as long as one request to a provider, and never leaves the process.
 */
struct pii_map;

struct pii_map *pii_map_new(void);
void pii_map_free(struct pii_map **map); /* wipes what it knew */
/* Makes names of the text known, so that their words are hidden wherever they stand alone, in texts
 * that come before it, too. */
void pii_learn(struct pii_map *map, struct cm_arena *arena, struct cm_str text);
/* The text with pseudonyms. */
struct cm_str pii_hide(struct pii_map *map, struct cm_arena *arena, struct cm_str text);

/* Puts the values back into a stream of text. A pseudonym may be cut anywhere between pieces. */
struct pii_restorer {
        const struct pii_map *map;
        char held[40]; /* the beginning of what may become a pseudonym */
        size_t len;
};
void pii_restorer_init(struct pii_restorer *restorer, const struct pii_map *map);
/* Appends what is certain. */
void pii_restore(struct pii_restorer *restorer, struct cm_str piece, struct cm_buf *out);
/* Appends what was held back: the stream is at its end. */
void pii_restore_end(struct pii_restorer *restorer, struct cm_buf *out);
/* The same for text inside of JSON: values are escaped as they are put in. */
void pii_restore_json(const struct pii_map *map, struct cm_str json, struct cm_buf *out);
