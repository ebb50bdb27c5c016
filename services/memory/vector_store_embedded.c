#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "vector_store.h"

/*
 * Exact search, laid out by dimension: a block holds the first dimension of its vectors, then the
 * second, and so on. A question has few places that are not zero, some tens of 768, so a comparison
 * reads those rows only, each one a run of bytes that the compiler makes vector instructions of: 60
 * rows of 20,000 vectors are 1.2 MB instead of 15. Sums are integers, so results are the same on
 * every machine: 16 bits as long as they cannot overflow, then they are added to 32. An index of
 * neighbours was rejected: it loses some, and a person's memories are few.
 *
 * All blocks are full-sized but the last, which doubles as it grows, so that few memories take
 * little memory.
 */
enum { BLOCK = 1024, FIRST = 32, LANES = 16, CHUNK = 2 * LANES, MAX_VALUE = 127 };

struct block {
        size_t capacity;
        int8_t *values; /* [EMBEDDING_DIMENSIONS][capacity] */
        float *scales;  /* 1 / length; 0: no vector */
};

struct embedded {
        struct vector_store store;
        struct block *blocks;
        size_t count;
};

static struct embedded *of(struct vector_store *store)
{
        return (struct embedded *)store;
}

static struct vector_store *open_embedded(void)
{
        struct embedded *embedded = CM_NEW(struct embedded);

        embedded->store.kind = &vector_store_embedded;
        return &embedded->store;
}

static void free_embedded(struct vector_store *store)
{
        struct embedded *embedded = of(store);

        for (size_t i = 0; i < embedded->count; i++) {
                cm_free(embedded->blocks[i].values);
                cm_free(embedded->blocks[i].scales);
        }
        cm_free(embedded->blocks);
        cm_free(embedded);
}

static void grow_block(struct block *block, size_t capacity)
{
        int8_t *values = cm_alloc_array(EMBEDDING_DIMENSIONS, capacity);
        float *scales = cm_alloc_array(capacity, sizeof(*scales));

        for (size_t d = 0; block->capacity && d < EMBEDDING_DIMENSIONS; d++)
                memcpy(values + d * capacity, block->values + d * block->capacity, block->capacity);
        if (block->capacity)
                memcpy(scales, block->scales, block->capacity * sizeof(*scales));
        cm_free(block->values);
        cm_free(block->scales);
        *block = (struct block){ capacity, values, scales };
}

/* Makes the block of that place and those before it large enough. */
static struct block *block_for(struct embedded *embedded, size_t place)
{
        size_t needed = place / BLOCK + 1, capacity = FIRST;

        if (needed > embedded->count) {
                embedded->blocks = cm_realloc(embedded->blocks, needed * sizeof(*embedded->blocks));
                memset(embedded->blocks + embedded->count, 0,
                       (needed - embedded->count) * sizeof(*embedded->blocks));
                embedded->count = needed;
        }
        while (capacity <= place % BLOCK)
                capacity *= 2;
        if (embedded->blocks[needed - 1].capacity < capacity)
                grow_block(&embedded->blocks[needed - 1], capacity);
        return &embedded->blocks[needed - 1];
}

static int put(struct vector_store *store, size_t place, const struct embedding *embedding)
{
        struct block *block = block_for(of(store), place);
        size_t at = place % BLOCK;

        for (size_t d = 0; d < EMBEDDING_DIMENSIONS; d++)
                block->values[d * block->capacity + at] = embedding->values[d];
        block->scales[at] = embedding->norm > 0 ? 1 / embedding->norm : 0;
        return 0;
}

static int remove_vector(struct vector_store *store, size_t place)
{
        static const struct embedding nothing = { .norm = 0 };

        CM_ASSERT(place / BLOCK < of(store)->count);
        return put(store, place, &nothing);
}

/* The places of a question that are not zero, in runs whose sums fit into 16 bits. */
struct rows {
        size_t count, run_count;
        uint16_t dimension[EMBEDDING_DIMENSIONS];
        int8_t factor[EMBEDDING_DIMENSIONS];
        uint16_t run_end[EMBEDDING_DIMENSIONS];
};

static void find_rows(const struct embedding *query, struct rows *rows)
{
        int32_t most = 0;

        rows->count = rows->run_count = 0;
        for (int d = 0; d < EMBEDDING_DIMENSIONS; d++) {
                int32_t size = abs(query->values[d]) * (MAX_VALUE + 1);

                if (!size)
                        continue;
                if (most + size > INT16_MAX) {
                        rows->run_end[rows->run_count++] = (uint16_t)rows->count;
                        most = 0;
                }
                most += size;
                rows->dimension[rows->count] = (uint16_t)d;
                rows->factor[rows->count++] = query->values[d];
        }
        if (most)
                rows->run_end[rows->run_count++] = (uint16_t)rows->count;
}

typedef int16_t vector16 __attribute__((vector_size(LANES * 2)));
typedef int32_t vector32 __attribute__((vector_size(LANES * 4), aligned(4)));
typedef int8_t vector8 __attribute__((vector_size(LANES), aligned(1)));

#define WIDEN(values) __builtin_convertvector(*(const vector8 *)(values), vector16)

/* The sums of CHUNK vectors: two registers that stay registers. As one vector of twice the width
 * the compiler keeps it in memory, which takes twice the time. */
static inline __attribute__((always_inline)) void sum_chunk(const struct block *block,
                                                            const struct rows *rows, size_t at,
                                                            int32_t *sums_r)
{
        vector32 low_sums = { 0 }, high_sums = { 0 };

        for (size_t run = 0, row = 0; run < rows->run_count; run++) {
                vector16 low = { 0 }, high = { 0 };

                for (; row < rows->run_end[run]; row++) {
                        const int8_t *values =
                                block->values + rows->dimension[row] * block->capacity + at;

                        low += WIDEN(values) * rows->factor[row];
                        high += WIDEN(values + LANES) * rows->factor[row];
                }
                low_sums += __builtin_convertvector(low, vector32);
                high_sums += __builtin_convertvector(high, vector32);
        }
        *(vector32 *)sums_r = low_sums;
        *(vector32 *)(sums_r + LANES) = high_sums;
}

static inline __attribute__((always_inline)) void sum_chunks(const struct block *block,
                                                             const struct rows *rows, size_t count,
                                                             int32_t *sums_r)
{
        for (size_t at = 0; at < count; at += CHUNK)
                sum_chunk(block, rows, at, sums_r + at);
}

static void sum_plain(const struct block *block, const struct rows *rows, size_t count,
                      int32_t *sums_r)
{
        sum_chunks(block, rows, count, sums_r);
}

#ifdef __x86_64__
/* The same, for machines that have wider registers. */
static __attribute__((target("avx2"))) void sum_wide(const struct block *block,
                                                     const struct rows *rows, size_t count,
                                                     int32_t *sums_r)
{
        sum_chunks(block, rows, count, sums_r);
}
#endif

static void sum_block(const struct block *block, const struct rows *rows, size_t count,
                      int32_t *sums_r)
{
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2")) {
                sum_wide(block, rows, count, sums_r);
                return;
        }
#endif
        sum_plain(block, rows, count, sums_r);
}

static void compare_block(const struct block *block, float scale, const struct rows *rows,
                          float *cosines_r, size_t count)
{
        int32_t sums[BLOCK];

        sum_block(block, rows, count, sums);
        for (size_t i = 0; i < count; i++)
                cosines_r[i] = (float)sums[i] * block->scales[i] * scale;
}

static int compare(struct vector_store *store, const struct embedding *query, float *cosines_r,
                   size_t count)
{
        struct embedded *embedded = of(store);
        struct rows rows;

        find_rows(query, &rows);
        memset(cosines_r, 0, count * sizeof(*cosines_r));
        for (size_t i = 0; query->norm > 0 && i < embedded->count && i * BLOCK < count; i++) {
                const struct block *block = &embedded->blocks[i];
                size_t here = count - i * BLOCK;

                compare_block(block, 1 / query->norm, &rows, cosines_r + i * BLOCK,
                              here < block->capacity ? here : block->capacity);
        }
        return 0;
}

static size_t bytes(const struct vector_store *store)
{
        const struct embedded *embedded = (const struct embedded *)store;
        size_t sum = sizeof(*embedded) + embedded->count * sizeof(*embedded->blocks);

        for (size_t i = 0; i < embedded->count; i++)
                sum += embedded->blocks[i].capacity * (EMBEDDING_DIMENSIONS + sizeof(float));
        return sum;
}

const struct vector_store_kind vector_store_embedded = {
        .name = "embedded",
        .open = open_embedded,
        .put = put,
        .remove = remove_vector,
        .compare = compare,
        .bytes = bytes,
        .free = free_embedded,
};
