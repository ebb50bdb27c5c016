#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/attr.h"
#include "bus/event.h"
#include "memory_rules.h"
#include "store/pg.h"

/*
 * The only files that know the tables of memories: memory_store.c (one memory),
 * memory_store_index.c (what indexes are made of), memory_store_forget.c. Every change takes the
 * next generation of its person under a lock, and writes its fact for the bus in the same
 * transaction. All calls suspend; what they give lives in the arena.
 */
enum memory_outcome {
        MEMORY_NOT_FOUND = 20,
        MEMORY_KNOWN,         /* there is one with this text: it is given */
        MEMORY_STORED_BEFORE, /* under the same idempotency key: it is given */
        MEMORY_KEY_REUSED,
        MEMORY_FULL,
        MEMORY_CHANGED, /* another change came in between */
        MEMORY_TEXT_TAKEN,
};

/* An index that is more generations or changes behind than this is made anew. */
enum { MEMORY_MAX_BEHIND = 1000 };

/* 0 or an outcome; *stored_r is what is stored now, *generation_r the one of its last change.
 * `created` is told when it is new. */
int memory_store_remember(struct cm_pg *pg, struct cm_arena *arena, const struct new_memory *new,
                          int64_t max_items, const struct cm_event *created,
                          struct memory *stored_r, int64_t *generation_r) CM_MUST_CHECK;
int memory_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_uuid *id, struct memory *memory_r) CM_MUST_CHECK;
/* Replaces the version before memory->version. 0, MEMORY_CHANGED or MEMORY_TEXT_TAKEN. */
int memory_store_change(struct cm_pg *pg, const struct memory *memory,
                        const uint8_t digest[CONTENT_DIGEST_SIZE],
                        int64_t *generation_r) CM_MUST_CHECK;

struct memory_list {
        struct memory *items;
        size_t count;
};

/* 0 when the person has never had a memory. */
int memory_store_generation(struct cm_pg *pg, const struct cm_uuid *user,
                            int64_t *generation_r) CM_MUST_CHECK;

struct memory_list_query {
        struct cm_uuid user;
        struct cm_uuid before; /* nil: from the newest */
        int16_t memory_type;   /* 0: all */
        bool current;
        int16_t consent;          /* all of these bits */
        cm_time short_term_since; /* what is older of that kind is archived */
        int32_t limit;
};
int memory_store_list(struct cm_pg *pg, struct cm_arena *arena,
                      const struct memory_list_query *query,
                      struct memory_list *list_r) CM_MUST_CHECK;

/* ---- forgetting */

struct forgotten_ids {
        struct cm_uuid *items;
        struct cm_str *texts; /* what they said, when it is known; NULL: it is not */
        size_t count;
};

/* What a repeated request is known by; absent: nothing. */
struct forget_key {
        struct cm_str key;
        struct cm_str body;
};

/* Makes the fact of what was really forgotten. `ids` is NULL when all were. */
typedef void memory_forgotten_fn(void *arg, int64_t count, const struct forgotten_ids *ids,
                                 struct cm_event *event_r);

/* Forgets those of `ids` that are there. *generation_r is the person's after it. 0,
 * MEMORY_STORED_BEFORE (what went then is given, without texts) or MEMORY_KEY_REUSED. */
int memory_store_forget(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                        const struct forgotten_ids *ids, const struct forget_key *key,
                        memory_forgotten_fn *make, void *arg, struct forgotten_ids *gone_r,
                        int64_t *generation_r) CM_MUST_CHECK;
/* In a transaction of the caller's, or in one of its own. */
int memory_store_forget_all_in(struct cm_pg_tx *tx, const struct cm_uuid *user,
                               memory_forgotten_fn *make, void *arg, int64_t *count_r,
                               int64_t *generation_r) CM_MUST_CHECK;
int memory_store_forget_all(struct cm_pg *pg, const struct cm_uuid *user, memory_forgotten_fn *make,
                            void *arg, int64_t *count_r, int64_t *generation_r) CM_MUST_CHECK;

/* ---- what indexes are made of */

struct memory_change {
        struct cm_uuid id;
        int64_t generation;
        bool is_forgotten; /* then that is all */
        int64_t version;
        struct cm_str content;
        int16_t memory_type, storage_type;
        uint8_t consent;
        bool is_active, is_archived;
        cm_time valid_from, valid_until; /* valid_until: INT64_MAX when it holds still */
        cm_time updated_at;
};

struct memory_changes {
        int64_t generation; /* of the person, as it was before the rest was read; 0: nothing yet */
        struct memory_change *items;
        size_t count;
};

/* As of one moment: the person's generation (0: never had a memory) and of the memories `ids` those
 * that are there. */
int memory_store_check(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                       const struct forgotten_ids *ids, int64_t *generation_r,
                       struct memory_list *memories_r) CM_MUST_CHECK;
/* In one round trip: the person's generation, then what changed after `after`. */
int memory_store_catch_up(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          int64_t after, struct memory_changes *changes_r) CM_MUST_CHECK;
/* A page of all memories, by id, after `after`; no page is larger than this. */
enum { MEMORY_LOAD_PAGE = 256 };
int memory_store_load(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_uuid *after, struct memory_changes *changes_r) CM_MUST_CHECK;
