#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "codec/schema.h"
#include "store/mongo_build.h"

/*
 * MongoDB over mongo-c-driver. The driver blocks, so each call runs on one of a few threads, which
 * have a client of the pool each; the fiber is suspended meanwhile and ends at its deadline even
 * when its thread hangs. Calls with the same key go to the same thread, in order: within a process
 * they never meet as a write conflict. One object serves all loops of a process.
 *
 * Documents are the structs of proto/schemas: nobody sees BSON. A time has milliseconds there, and
 * free-form JSON is kept as text. One document is the unit of atomicity; reach it by `_id` or by a
 * full unique key. Writes are acknowledged by a majority and journaled.
 *
 * A document that its schema does not accept is copied to the collection `quarantine` and logged;
 * it stays where it is. Members that the schema does not know are passed over: a newer release or
 * the outbox has put them there.
 *
 * Machinery errors: -CM_E_UNAVAILABLE (no server; nothing was changed), -CM_E_UNCERTAIN (a write
 * whose answer was lost or came too late), -CM_E_DEADLINE (nothing was changed), -CM_E_OVERLOAD
 * (too many waiting), -CM_E_TOO_LARGE (more than a document may hold), -CM_E_DATABASE (refused;
 * logged). All calls suspend.
 */
struct cm_mongo;

struct cm_mongo_config {
        const char *uri;             /* mongodb://host:port/database */
        size_t threads;              /* calls at a time */
        size_t max_waiting;          /* calls that may wait for one thread */
        int64_t connect_timeout_us;  /* also of the look whether a server is there */
        int64_t response_timeout_us; /* silence of the server that counts as lost */
};

/* Connects in the background. -CM_E_CONFIG (logged): the address cannot be used. */
int cm_mongo_new(const struct cm_mongo_config *config, struct cm_mongo **mongo_r) CM_MUST_CHECK;
/* Waits for what its threads have begun. No fiber may be waiting in it. */
void cm_mongo_free(struct cm_mongo **mongo);
bool cm_mongo_is_ready(const struct cm_mongo *mongo); /* a server takes writes; any thread */

/* A collection and what is in it; static. */
struct cm_collection {
        const char *name;
        const struct cm_schema *schema;
        bool is_part; /* the schema has some of the members; no others are fetched */
};

enum cm_mongo_outcome {
        CM_MONGO_DUPLICATE = 1, /* of a unique key */
        CM_MONGO_NO_MATCH,      /* no document is as the filter says */
        CM_MONGO_QUARANTINED,   /* it is there, and is not what its schema says */
};

/* Values of a further schema that go into the same document (the outbox). */
struct cm_attachment {
        const struct cm_schema *schema;
        const void *value;
};

/* Calls with the same `key` go one after the other; usually the text of the document's `_id`. */

/* 0 or CM_MONGO_DUPLICATE. `attachment` may be NULL. */
int cm_mongo_insert(struct cm_mongo *mongo, const struct cm_collection *collection,
                    struct cm_str key, const void *value,
                    const struct cm_attachment *attachment) CM_MUST_CHECK;
/* `values` is an array of the schema's structs; in order, until the first that is refused.
 * *inserted_r says how many are there now, also when the result is an outcome. */
int cm_mongo_insert_many(struct cm_mongo *mongo, const struct cm_collection *collection,
                         struct cm_str key, const void *values, size_t count,
                         size_t *inserted_r) CM_MUST_CHECK;

/* The one document. 0, CM_MONGO_NO_MATCH or CM_MONGO_QUARANTINED. */
int cm_mongo_find(struct cm_mongo *mongo, const struct cm_collection *collection, struct cm_str key,
                  const struct cm_filter *filter, struct cm_arena *arena, void *out) CM_MUST_CHECK;

struct cm_sort {
        struct cm_doc_field field; /* of a scalar that each document has */
        bool is_descending;
};

/* Of an array only its last items, at most so many. */
struct cm_mongo_tail {
        struct cm_doc_field array;
        int64_t count;
};

struct cm_mongo_page {
        const struct cm_sort *sort;
        size_t sort_count;
        int64_t limit;
        const void *const *after; /* values of the sort's fields: what comes behind them; or NULL */
        const struct cm_mongo_tail *tail; /* all else is fetched whole; or NULL */
};

/* Documents in order, as an array of structs. One that is quarantined is left out, so a page may be
 * shorter than its limit while more follow: *more_r (may be NULL). */
int cm_mongo_list(struct cm_mongo *mongo, const struct cm_collection *collection, struct cm_str key,
                  const struct cm_filter *filter, const struct cm_mongo_page *page,
                  struct cm_arena *arena, struct cm_items *items_r, bool *more_r) CM_MUST_CHECK;
int cm_mongo_count(struct cm_mongo *mongo, const struct cm_collection *collection,
                   struct cm_str key, const struct cm_filter *filter,
                   int64_t *count_r) CM_MUST_CHECK;

/* Changes the one document. 0, CM_MONGO_NO_MATCH, or CM_MONGO_DUPLICATE (of another unique key, or
 * by an upsert that lost a race). */
enum cm_mongo_write { CM_MONGO_UPDATE, CM_MONGO_UPSERT };
int cm_mongo_update(struct cm_mongo *mongo, const struct cm_collection *collection,
                    struct cm_str key, const struct cm_filter *filter,
                    const struct cm_update *update, enum cm_mongo_write kind) CM_MUST_CHECK;
/* Many such changes of one collection in one call, in any order. refused_r[i]: changes[i] is a
 * CM_MONGO_DUPLICATE; what matches nothing changes nothing. After an error some may have
 * happened. */
struct cm_mongo_change {
        struct cm_filter filter;
        struct cm_update update;
};
int cm_mongo_update_each(struct cm_mongo *mongo, const struct cm_collection *collection,
                         struct cm_str key, const struct cm_mongo_change *changes, size_t count,
                         enum cm_mongo_write kind, bool *refused_r) CM_MUST_CHECK;
/* As cm_mongo_update(), and *out is the document afterwards; also CM_MONGO_QUARANTINED (it was
 * changed). */
int cm_mongo_modify(struct cm_mongo *mongo, const struct cm_collection *collection,
                    struct cm_str key, const struct cm_filter *filter,
                    const struct cm_update *update, enum cm_mongo_write kind,
                    struct cm_arena *arena, void *out) CM_MUST_CHECK;
/* All documents that match; *count_r may be NULL. */
int cm_mongo_update_all(struct cm_mongo *mongo, const struct cm_collection *collection,
                        struct cm_str key, const struct cm_filter *filter,
                        const struct cm_update *update, int64_t *count_r) CM_MUST_CHECK;
int cm_mongo_delete_all(struct cm_mongo *mongo, const struct cm_collection *collection,
                        struct cm_str key, const struct cm_filter *filter,
                        int64_t *count_r) CM_MUST_CHECK;

struct cm_mongo_index {
        const struct cm_collection *collection;
        const char *name;
        const struct cm_sort *fields;
        size_t count;
        bool is_unique;
        bool is_sparse;
};
/* Makes those that are not there. */
int cm_mongo_ensure_indexes(struct cm_mongo *mongo, const struct cm_mongo_index *indexes,
                            size_t count) CM_MUST_CHECK;

/*
 * Runs everything that this module ever asks of a server, in a collection of its own, and compares
 * the answers. -CM_E_CONFIG when the server lacks something: logged in words, one line each.
 */
int cm_mongo_probe(struct cm_mongo *mongo) CM_MUST_CHECK;
