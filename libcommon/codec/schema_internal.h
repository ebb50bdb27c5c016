#pragma once
#include "codec/schema.h"

/* Above it 15 digits may round to more than a double holds. */
#define SCHEMA_NUMBER_MAX 1e308

/* Where we are in a document; a pointer text is made of it only when there is a fault. */
struct schema_place {
        const struct schema_place *parent;
        struct cm_str key; /* absent: an index */
        size_t index;
};

struct schema_context {
        struct cm_arena *arena;
        struct cm_faults *faults;
        struct cm_str base; /* pointer of the root */
};

void schema_fault(const struct schema_context *context, const struct schema_place *place,
                  const char *detail, ...) CM_PRINTF(3, 4);

/* Checks text against a string-like schema (string, enum, time, date, uuid) and stores it. */
void schema_store_text(const struct schema_context *context, const struct schema_place *place,
                       const struct cm_schema *schema, struct cm_str text, void *out);
void schema_store_integer(const struct schema_context *context, const struct schema_place *place,
                          const struct cm_schema *schema, int64_t value, void *out);
void schema_store_number(const struct schema_context *context, const struct schema_place *place,
                         const struct cm_schema *schema, double value, void *out);
/* The number of items against the schema's bounds. */
bool schema_count_holds(const struct schema_context *context, const struct schema_place *place,
                        const struct cm_schema *schema, size_t count);
