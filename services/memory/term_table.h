#pragma once
#include <stddef.h>
#include <stdint.h>

/* Numbers by term: open addressing that shrinks no entry and leaves no trace of what was removed.
 */
struct term_table {
        uint64_t *keys; /* 0: free; a term that is 0 is kept as 1 */
        uint32_t *values;
        size_t size; /* a power of two, or 0 */
        size_t count;
};

#define TERM_TABLE_NONE UINT32_MAX

void term_table_deinit(struct term_table *table);
uint32_t term_table_get(const struct term_table *table, uint64_t term); /* or TERM_TABLE_NONE */
void term_table_put(struct term_table *table, uint64_t term, uint32_t value); /* replaces */
void term_table_remove(struct term_table *table, uint64_t term);
size_t term_table_bytes(const struct term_table *table);
