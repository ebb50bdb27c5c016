#pragma once
#include <mongoc/mongoc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/mongo.h"
#include "sys/work.h"

/* What the files of the MongoDB adapter share. Nobody else includes this. */

struct mongo_lane {
        struct cm_work_lane *work; /* one thread */
        mongoc_client_t *client;   /* of that thread */
        size_t running;            /* calls that have begun or wait */
};

/* Keys that fall together. While calls of theirs are under way, all of them are in one lane. */
struct mongo_slot {
        size_t running;
        struct mongo_lane *lane;
};
#define MONGO_SLOTS 1024

struct cm_mongo {
        mongoc_client_pool_t *pool;
        char *database;
        struct mongo_lane *lanes;
        size_t lane_count;
        struct mongo_slot slots[MONGO_SLOTS];
        pthread_mutex_t lock; /* of slots and of what runs in lanes */
        atomic_bool ready;
        atomic_bool standalone; /* no replica set: read concern and retries are not for it */
};

enum mongo_operation {
        MONGO_INSERT,
        MONGO_FIND,
        MONGO_COUNT,
        MONGO_UPDATE,
        MONGO_UPDATE_ALL,
        MONGO_UPDATE_EACH, /* `documents` are filter, update, filter, … */
        MONGO_MODIFY,
        MONGO_DELETE_ALL,
        MONGO_COMMAND, /* `update` is the command; a write */
};

/* One call. On the heap, because its thread may be left alone with it. */
struct mongo_job {
        struct cm_mongo *mongo;
        struct mongo_slot *slot;
        struct mongo_lane *lane;
        enum mongo_operation operation;
        char *collection;
        bson_t **documents; /* to insert */
        size_t document_count;
        bson_t *filter;
        bson_t *update;
        bson_t *options;
        bool upsert;
        int64_t deadline_us;

        bson_t **found; /* replies */
        size_t found_count;
        int64_t count; /* inserted, matched, deleted, counted */
        bool upserted;
        bson_error_t error;
};

struct mongo_job *mongo_job_new(struct cm_mongo *mongo, enum mongo_operation operation,
                                const char *collection);
void mongo_job_free(struct mongo_job **job);
/* Runs it and suspends. *job is NULL afterwards when its thread was left with it. */
int mongo_job_run(struct mongo_job **job, struct cm_str key) CM_MUST_CHECK;
/* mongo_execute.c: in the lane's thread. 0, an outcome or an error; never logs. */
int mongo_execute(struct mongo_job *job, mongoc_client_t *client);
bool mongo_is_duplicate(int64_t code); /* of the server */
void mongo_job_keep(struct mongo_job *job, const bson_t *document);

/* mongo_document.c */
bson_t *mongo_encode(const struct cm_schema *schema, const void *value);
void mongo_encode_members(bson_t *out, const struct cm_schema *schema, const void *value);
void mongo_append(bson_t *out, struct cm_str key, const struct cm_schema *schema,
                  const void *value);
/* 0 or CM_DECODE_FAULTS. */
int mongo_decode(const bson_t *document, const struct cm_schema *schema, struct cm_arena *arena,
                 void *out, struct cm_faults *faults) CM_MUST_CHECK;

/* mongo_quarantine.c. Suspends. */
void mongo_quarantine(struct cm_mongo *mongo, const struct cm_collection *collection,
                      const bson_t *document, const struct cm_faults *faults);

/* mongo_build.c */
bson_t *mongo_filter_build(const struct cm_filter *filter); /* NULL: everything */
bson_t *mongo_update_build(const struct cm_update *update);
/* Everything behind `after` in the order of the sort. */
void mongo_filter_after(struct cm_filter *filter, const struct cm_sort *sort, size_t count,
                        const void *const *after);
bson_t *mongo_sort_build(const struct cm_sort *sort, size_t count);
/* Appends the path, returns the schema of what is there. */
const struct cm_schema *mongo_field_path(struct cm_doc_field field, struct cm_buf *out);
