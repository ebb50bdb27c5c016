#include "term_table.h"

#include "base/mem.h"

enum { FIRST_SIZE = 64 };

void term_table_deinit(struct term_table *table)
{
        cm_free(table->keys);
        cm_free(table->values);
        *table = (struct term_table){ 0 };
}

static size_t home(const struct term_table *table, uint64_t key)
{
        return key & (table->size - 1);
}

/* Where the key is, or where it would be put. */
static size_t find(const struct term_table *table, uint64_t key)
{
        size_t at = home(table, key);

        while (table->keys[at] && table->keys[at] != key)
                at = (at + 1) & (table->size - 1);
        return at;
}

static uint64_t key_of(uint64_t term)
{
        return term ? term : 1;
}

uint32_t term_table_get(const struct term_table *table, uint64_t term)
{
        size_t at;

        if (!table->size)
                return TERM_TABLE_NONE;
        at = find(table, key_of(term));
        return table->keys[at] ? table->values[at] : TERM_TABLE_NONE;
}

static void grow(struct term_table *table)
{
        struct term_table larger = { .size = table->size ? table->size * 2 : FIRST_SIZE };

        larger.keys = cm_alloc_array(larger.size, sizeof(*larger.keys));
        larger.values = cm_alloc_array(larger.size, sizeof(*larger.values));
        for (size_t i = 0; i < table->size; i++)
                if (table->keys[i])
                        term_table_put(&larger, table->keys[i], table->values[i]);
        term_table_deinit(table);
        *table = larger;
}

void term_table_put(struct term_table *table, uint64_t term, uint32_t value)
{
        uint64_t key = key_of(term);
        size_t at;

        if ((table->count + 1) * 4 > table->size * 3)
                grow(table);
        at = find(table, key);
        table->count += !table->keys[at];
        table->keys[at] = key;
        table->values[at] = value;
}

/* What follows moves up, so that each key stays reachable from its home. */
void term_table_remove(struct term_table *table, uint64_t term)
{
        size_t hole, at;

        if (!table->size)
                return;
        hole = find(table, key_of(term));
        if (!table->keys[hole])
                return;
        table->count--;
        for (at = (hole + 1) & (table->size - 1); table->keys[at];
             at = (at + 1) & (table->size - 1)) {
                size_t wanted = home(table, table->keys[at]);
                size_t distance = (at - wanted) & (table->size - 1);

                if (distance < ((at - hole) & (table->size - 1)))
                        continue;
                table->keys[hole] = table->keys[at];
                table->values[hole] = table->values[at];
                hole = at;
        }
        table->keys[hole] = 0;
}

size_t term_table_bytes(const struct term_table *table)
{
        return table->size * (sizeof(*table->keys) + sizeof(*table->values));
}
