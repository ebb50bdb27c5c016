#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "crisis.h"

/*
 * Whom a person in a crisis can reach, where that person is, and the words around it. The tables
 * are data/help.tsv and data/help-countries.tsv. Pure; does not suspend.
 */
struct help;

struct help_resource {
        struct cm_str country; /* ISO 3166, "*" for anywhere */
        struct cm_str kind;    /* "crisis" or "emergency" */
        struct cm_str language;
        struct cm_str name, reach, hours, spoken;
        struct cm_str source;     /* the page that says so */
        struct cm_str checked_on; /* YYYY-MM-DD, "-" when nobody has yet */
};

/* NULL and *error_r when a table is wrong. The tables must outlive it. Immutable, any thread. */
struct help *help_new(struct cm_str resources, struct cm_str countries, const char **error_r);
void help_free(struct help **help);

/* The person's country: that of the time zone, else the region of the language tag ("en-GB"), else
 * "*". */
struct cm_str help_country(const struct help *help, struct cm_str time_zone, struct cm_str tag);
/* Those of a country in the language, in another one when there are none in it; of anywhere when
 * the country has none. Never empty. */
const struct help_resource **help_resources(const struct help *help, struct cm_arena *arena,
                                            struct cm_str country, enum chat_language language,
                                            size_t *count_r);
/* What is said before anything else: a few sentences and the resources, one a line. */
struct cm_str help_text(const struct help *help, struct cm_arena *arena, struct cm_str country,
                        enum chat_language language, const struct chat_crisis *crisis);
/* When the row that was compared with its source the longest ago was, and how many were never: then
 * the former is 0. */
cm_time help_oldest_check(const struct help *help, size_t *never_r);
