#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis.h"
#include "base/time.h"
#include "base/uuid.h"
#include "embedding.h"
#include "vector_store.h"

/*
 * All memories of one person, ready to be asked. Exact: every memory that may be shown is compared,
 * by words and by vector. Holds no text. One worker's own; not thread-safe.
 *
 * Takes some 1.2 KiB a memory of a sentence (768 bytes of vector, the rest words and places).
 */
struct recall_index;

#define RECALL_ALWAYS INT64_MAX /* valid_until, expires_at: no end */

struct recall_item {
        struct cm_uuid id;
        int64_t version;
        uint8_t memory_type;
        uint8_t consent; /* bits, as stored */
        bool is_active;
        bool is_archived;
        cm_time valid_from;
        cm_time valid_until;
        cm_time expires_at; /* archived from then on */
};

struct recall_index *recall_index_new(const struct vector_store_kind *vectors);
void recall_index_free(struct recall_index **index);

/* Takes the place of an older one of the same id. */
int recall_index_put(struct recall_index *index, const struct recall_item *item,
                     const struct analysis *text, const struct embedding *vector) CM_MUST_CHECK;
/* Nothing when there is none of that id. */
int recall_index_remove(struct recall_index *index, const struct cm_uuid *id) CM_MUST_CHECK;

struct recall_query {
        const struct analysis *text;
        const struct embedding *vector;
        size_t limit;
        uint32_t memory_types; /* bits 1 << type; 0: all */
        uint8_t consent;       /* all of these bits */
        bool include_archived;
        bool certain;    /* only what was clearly meant */
        cm_time now;     /* for what expires */
        cm_time held_at; /* what held then; RECALL_ALWAYS: what holds still */
};

struct recall_hit {
        struct cm_uuid id;
        int64_t version;
        float score;
        float lexical; /* coverage */
        float cosine;
        struct cm_uuid *restated_by; /* the same words: shown once, by the best */
        size_t restated_count;
};

/* Best first, at most query->limit, in the arena. */
int recall_index_search(struct recall_index *index, const struct recall_query *query,
                        struct cm_arena *arena, struct recall_hit **hits_r,
                        size_t *count_r) CM_MUST_CHECK;

size_t recall_index_count(const struct recall_index *index);
size_t recall_index_bytes(const struct recall_index *index);
