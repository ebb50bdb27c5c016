#pragma once
#include "analysis.h"
#include "embedding.h"
#include "memory_store.h"
#include "recall_index.h"

/*
 * The indexes of people, of one worker: made from the database when somebody is asked about for the
 * first time, dropped when memory is short (the longest unused first). Each answer is checked in
 * the round trip that fetches the memories it shows: when the person's generation has moved on, by
 * a write on whichever worker or replica, the index catches up and the question is asked again. So
 * an answer knows all that was acknowledged before the question came, and nothing that was
 * forgotten.
 */
struct person_indexes;

struct person_indexes_config {
        struct cm_pg *pg;
        struct analyser *analyser;
        struct embedder *embedder;
        const struct vector_store_kind *vectors;
        size_t max_bytes;
        int64_t short_term_life_us;
};

struct person_indexes *person_indexes_new(const struct person_indexes_config *config);
void person_indexes_free(struct person_indexes **indexes);

struct recalled {
        struct recall_hit hit;
        struct memory memory;
};

struct recalled_list {
        struct recalled *items;
        size_t count;
};

/* Answers `text`; of `query` the rest is taken. In the arena. Suspends. */
int person_indexes_ask(struct person_indexes *indexes, struct cm_arena *arena,
                       const struct cm_uuid *user, struct cm_str text,
                       const struct recall_query *query,
                       struct recalled_list *list_r) CM_MUST_CHECK;
