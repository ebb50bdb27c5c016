#pragma once
#include <stdint.h>

#include "base/str.h"
#include "schemas.h"

/*
 * What an import has seen so far, by name: the counts that a person reads in the end. It goes to
 * the database with each chunk and comes back when an import is resumed. Bounded: names beyond 600
 * a list are counted together.
 */
enum import_list {
        IMPORT_UNDERSTOOD,
        IMPORT_WITHOUT_FACT,
        IMPORT_NOT_UNDERSTOOD,
        IMPORT_IGNORED_FILES,
        IMPORT_LISTS
};

struct import_tally;

struct import_tally *import_tally_new(void);
void import_tally_free(struct import_tally **tally);
void import_tally_add(struct import_tally *tally, enum import_list list, struct cm_str name,
                      int64_t line);
int64_t import_tally_total(const struct import_tally *tally, enum import_list list);
/* As JSON of the schema ImportSummary. */
void import_tally_encode(const struct import_tally *tally, struct cm_buf *out);
/* Starts from what was encoded before. */
void import_tally_load(struct import_tally *tally, const struct import_summary *summary);
