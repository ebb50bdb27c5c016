#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "embedding.h"

/*
 * Where the vectors of one person are searched. Places are small numbers that the caller gives and
 * takes back. VECTOR_DB_TYPE chooses the implementation; `embedded` keeps them in this process and
 * is exact.
 */
struct vector_store {
        const struct vector_store_kind *kind;
};

struct vector_store_kind {
        const char *name;
        struct vector_store *(*open)(void);
        /* Both may suspend when the store is elsewhere. */
        int (*put)(struct vector_store *store, size_t place, const struct embedding *embedding);
        int (*remove)(struct vector_store *store, size_t place);
        /* The cosine of the query with the vector of each place below `count`; 0 where there is
         * none, or where the store did not look because it is far. */
        int (*compare)(struct vector_store *store, const struct embedding *query, float *cosines_r,
                       size_t count);
        size_t (*bytes)(const struct vector_store *store);
        void (*free)(struct vector_store *store);
};

/* -CM_E_CONFIG, logged, when there is none of that name. */
int vector_store_find(const char *name, const struct vector_store_kind **kind_r) CM_MUST_CHECK;
void vector_store_free(struct vector_store **store);

extern const struct vector_store_kind vector_store_embedded;
