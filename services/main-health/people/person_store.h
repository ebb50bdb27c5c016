#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "person.h"
#include "schemas.h"
#include "store/pg.h"

/*
 * Persons by id, through a small cache of the worker: what somebody does is written down many times
 * between two moves. An entry is at most five seconds old, and is dropped when this worker hears of
 * a change.
 */
struct person_store;

struct person_store *person_store_new(struct cm_pg *pg);
void person_store_free(struct person_store **store);

/* A copy in the arena. A person of whom nothing is known yet has no zones. Suspends. */
int person_store_get(struct person_store *store, struct cm_arena *arena, const struct cm_uuid *id,
                     struct person *person_r) CM_MUST_CHECK;
void person_store_drop(struct person_store *store, const struct cm_uuid *id);

/* Somebody is in `zone` from then on. */
struct person_move {
        struct cm_uuid id;
        struct cm_str zone;
        cm_time from;
};
/* Writes moves down, in any order and of any persons. Inside the caller's transaction, whose scope
 * must name the persons. */
int person_store_moved(struct cm_pg_tx *tx, const struct person_move *moves,
                       size_t count) CM_MUST_CHECK;
/* Writes down whom accounts are to stand for, or that they stand for nobody any more: after the
 * same facts are in user_refs, by which it tells an older one. Inside the caller's transaction. */
int person_store_claims(struct cm_pg_tx *tx, const struct user_ref *const *facts,
                        size_t count) CM_MUST_CHECK;
/* Removes all that is kept of a person. Inside the caller's transaction. */
int person_store_erase(struct cm_pg_tx *tx, const struct cm_uuid *id) CM_MUST_CHECK;
