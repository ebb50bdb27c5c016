#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/*
 * Names of people where the words before say that one follows: titles ("Dr. Cohen", "ד״ר כהן"),
 * introductions ("my name is Dana Levi", "קוראים לי דנה לוי"), and relations ("my son Yoav"). A
 * name that nothing announces is not recognised here. Pure.
 */

/* The end of a name that begins at `from`, where a word begins; 0: none does. */
size_t pii_name_at(struct cm_str text, size_t from);

/*
 * The words of a name, one after the other, which may stand alone elsewhere ("Dana" of "Dana
 * Levi"). Start with *place = 0. Particles and initials are left out.
 */
bool pii_name_next_word(struct cm_str name, size_t *place, struct cm_str *word_r);
/* Whether such a word stands at a place by itself, perhaps behind Hebrew prefixes. */
bool pii_name_stands_at(struct cm_str text, size_t at, struct cm_str word);
