#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/mongo_internal.h"

/* The calls: what the caller says becomes a job, what the job found becomes structs. */

static void clear(struct mongo_job **job)
{
        mongo_job_free(job);
}

static struct mongo_job *job_for(struct cm_mongo *mongo, enum mongo_operation operation,
                                 const struct cm_collection *collection,
                                 const struct cm_filter *filter)
{
        struct mongo_job *job = mongo_job_new(mongo, operation, collection->name);

        job->filter = mongo_filter_build(filter);
        return job;
}

/* Decodes one document; puts it aside when it is not what it should be. */
static int take(struct cm_mongo *mongo, const struct cm_collection *collection,
                const bson_t *document, struct cm_arena *arena, void *out)
{
        struct cm_faults faults = { 0 };

        if (mongo_decode(document, collection->schema, arena, out, &faults) == 0)
                return 0;
        mongo_quarantine(mongo, collection, document, &faults);
        return CM_MONGO_QUARANTINED;
}

static void want_tail(bson_t *wanted, const char *name, int64_t count)
{
        bson_t slice;

        BSON_APPEND_DOCUMENT_BEGIN(wanted, name, &slice);
        BSON_APPEND_INT32(&slice, "$slice", (int32_t)-count);
        bson_append_document_end(wanted, &slice);
}

static void add_projection(struct mongo_job *job, const struct cm_collection *collection,
                           const struct cm_mongo_tail *tail)
{
        const struct cm_schema *schema = collection->schema;
        bson_t wanted;

        if (!collection->is_part && !tail)
                return;
        BSON_APPEND_DOCUMENT_BEGIN(job->options, "projection", &wanted);
        for (size_t i = 0; i < schema->member_count; i++)
                if (tail && schema->members[i].offset == tail->array.offset)
                        want_tail(&wanted, schema->members[i].name, tail->count);
                else
                        BSON_APPEND_INT32(&wanted, schema->members[i].name, 1);
        bson_append_document_end(job->options, &wanted);
}

/* ---- inserting */

int cm_mongo_insert(struct cm_mongo *mongo, const struct cm_collection *collection,
                    struct cm_str key, const void *value, const struct cm_attachment *attachment)
{
        CM_CLEANUP(clear)
        struct mongo_job *job = mongo_job_new(mongo, MONGO_INSERT, collection->name);

        job->documents = cm_alloc_array(1, sizeof(*job->documents));
        job->documents[0] = mongo_encode(collection->schema, value);
        job->document_count = 1;
        if (attachment)
                mongo_encode_members(job->documents[0], attachment->schema, attachment->value);
        return mongo_job_run(&job, key);
}

int cm_mongo_insert_many(struct cm_mongo *mongo, const struct cm_collection *collection,
                         struct cm_str key, const void *values, size_t count, size_t *inserted_r)
{
        CM_CLEANUP(clear)
        struct mongo_job *job = mongo_job_new(mongo, MONGO_INSERT, collection->name);
        int r;

        CM_ASSERT(count > 0);
        job->documents = cm_alloc_array(count, sizeof(*job->documents));
        for (; job->document_count < count; job->document_count++)
                job->documents[job->document_count] = mongo_encode(
                        collection->schema,
                        (const char *)values + job->document_count * collection->schema->size);
        r = mongo_job_run(&job, key);
        *inserted_r = job ? (size_t)job->count : 0;
        return r;
}

/* ---- reading */

int cm_mongo_find(struct cm_mongo *mongo, const struct cm_collection *collection, struct cm_str key,
                  const struct cm_filter *filter, struct cm_arena *arena, void *out)
{
        CM_CLEANUP(clear) struct mongo_job *job = job_for(mongo, MONGO_FIND, collection, filter);
        int r;

        job->options = BCON_NEW("limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true));
        add_projection(job, collection, NULL);
        r = mongo_job_run(&job, key);
        if (r)
                return r;
        if (!job->found_count)
                return CM_MONGO_NO_MATCH;
        return take(mongo, collection, job->found[0], arena, out);
}

static struct mongo_job *list_job(struct cm_mongo *mongo, const struct cm_collection *collection,
                                  const struct cm_filter *filter, const struct cm_mongo_page *page)
{
        struct mongo_job *job = job_for(mongo, MONGO_FIND, collection, filter);
        bson_t *sort = mongo_sort_build(page->sort, page->sort_count);

        if (page->after) {
                struct cm_filter behind = { 0 };
                bson_t *whole = bson_new(), *beyond, both;

                mongo_filter_after(&behind, page->sort, page->sort_count, page->after);
                beyond = mongo_filter_build(&behind);
                BSON_APPEND_ARRAY_BEGIN(whole, "$and", &both);
                BSON_APPEND_DOCUMENT(&both, "0", job->filter);
                BSON_APPEND_DOCUMENT(&both, "1", beyond);
                bson_append_array_end(whole, &both);
                bson_destroy(beyond);
                bson_destroy(job->filter);
                job->filter = whole;
                cm_filter_deinit(&behind);
        }
        job->options = bson_new();
        BSON_APPEND_INT64(job->options, "limit", page->limit + 1); /* one more says: more */
        if (page->sort_count)
                BSON_APPEND_DOCUMENT(job->options, "sort", sort);
        bson_destroy(sort);
        add_projection(job, collection, page->tail);
        return job;
}

int cm_mongo_list(struct cm_mongo *mongo, const struct cm_collection *collection, struct cm_str key,
                  const struct cm_filter *filter, const struct cm_mongo_page *page,
                  struct cm_arena *arena, struct cm_items *items_r, bool *more_r)
{
        CM_CLEANUP(clear) struct mongo_job *job = list_job(mongo, collection, filter, page);
        size_t size = collection->schema->size, limit = (size_t)page->limit;
        int r;

        CM_ASSERT(page->limit > 0);
        r = mongo_job_run(&job, key);
        *items_r = (struct cm_items){ 0 };
        if (r)
                return r;
        if (more_r)
                *more_r = job->found_count > limit;
        items_r->items = cm_arena_array(arena, job->found_count ? job->found_count : 1, size);
        for (size_t i = 0; i < job->found_count && i < limit; i++)
                if (take(mongo, collection, job->found[i], arena,
                         (char *)items_r->items + items_r->count * size) == 0)
                        items_r->count++;
        return 0;
}

int cm_mongo_count(struct cm_mongo *mongo, const struct cm_collection *collection,
                   struct cm_str key, const struct cm_filter *filter, int64_t *count_r)
{
        CM_CLEANUP(clear) struct mongo_job *job = job_for(mongo, MONGO_COUNT, collection, filter);
        int r = mongo_job_run(&job, key);

        *count_r = r ? 0 : job->count;
        return r;
}

/* ---- changing */

int cm_mongo_update(struct cm_mongo *mongo, const struct cm_collection *collection,
                    struct cm_str key, const struct cm_filter *filter,
                    const struct cm_update *update, enum cm_mongo_write kind)
{
        CM_CLEANUP(clear) struct mongo_job *job = job_for(mongo, MONGO_UPDATE, collection, filter);

        job->update = mongo_update_build(update);
        if (kind == CM_MONGO_UPSERT)
                job->options = BCON_NEW("upsert", BCON_BOOL(true));
        return mongo_job_run(&job, key);
}

static void add_change(struct mongo_job *job, const struct cm_mongo_change *change)
{
        job->documents[job->document_count++] = mongo_filter_build(&change->filter);
        job->documents[job->document_count++] = mongo_update_build(&change->update);
}

/* Which were duplicates. False: something else was wrong with one of them. */
static bool read_refused(const bson_t *reply, size_t count, bool *refused_r)
{
        bson_iter_t it, error, member;
        bool only_duplicates = true;

        if (!bson_iter_init_find(&it, reply, "writeErrors") || !bson_iter_recurse(&it, &error))
                return true;
        while (bson_iter_next(&error)) {
                int64_t index = -1;

                if (bson_iter_recurse(&error, &member) && bson_iter_find(&member, "index"))
                        index = bson_iter_as_int64(&member);
                if (index >= 0 && index < (int64_t)count)
                        refused_r[index] = true;
                only_duplicates = only_duplicates && bson_iter_recurse(&error, &member) &&
                                  bson_iter_find(&member, "code") &&
                                  mongo_is_duplicate(bson_iter_as_int64(&member));
        }
        return only_duplicates;
}

int cm_mongo_update_each(struct cm_mongo *mongo, const struct cm_collection *collection,
                         struct cm_str key, const struct cm_mongo_change *changes, size_t count,
                         enum cm_mongo_write kind, bool *refused_r)
{
        CM_CLEANUP(clear)
        struct mongo_job *job = mongo_job_new(mongo, MONGO_UPDATE_EACH, collection->name);
        int r;

        CM_ASSERT(count > 0);
        memset(refused_r, 0, count * sizeof(*refused_r));
        job->documents = cm_alloc_array(2 * count, sizeof(*job->documents));
        for (size_t i = 0; i < count; i++)
                add_change(job, &changes[i]);
        if (kind == CM_MONGO_UPSERT)
                job->options = BCON_NEW("upsert", BCON_BOOL(true));
        r = mongo_job_run(&job, key);
        if (r != CM_MONGO_DUPLICATE)
                return r;
        return read_refused(job->found[0], count, refused_r) ? 0 : -CM_E_DATABASE;
}

int cm_mongo_modify(struct cm_mongo *mongo, const struct cm_collection *collection,
                    struct cm_str key, const struct cm_filter *filter,
                    const struct cm_update *update, enum cm_mongo_write kind,
                    struct cm_arena *arena, void *out)
{
        CM_CLEANUP(clear) struct mongo_job *job = job_for(mongo, MONGO_MODIFY, collection, filter);
        int r;

        job->update = mongo_update_build(update);
        job->upsert = kind == CM_MONGO_UPSERT;
        r = mongo_job_run(&job, key);
        return r ? r : take(mongo, collection, job->found[0], arena, out);
}

int cm_mongo_update_all(struct cm_mongo *mongo, const struct cm_collection *collection,
                        struct cm_str key, const struct cm_filter *filter,
                        const struct cm_update *update, int64_t *count_r)
{
        CM_CLEANUP(clear)
        struct mongo_job *job = job_for(mongo, MONGO_UPDATE_ALL, collection, filter);
        int r;

        job->update = mongo_update_build(update);
        r = mongo_job_run(&job, key);
        if (count_r)
                *count_r = r ? 0 : job->count;
        return r;
}

int cm_mongo_delete_all(struct cm_mongo *mongo, const struct cm_collection *collection,
                        struct cm_str key, const struct cm_filter *filter, int64_t *count_r)
{
        CM_CLEANUP(clear)
        struct mongo_job *job = job_for(mongo, MONGO_DELETE_ALL, collection, filter);
        int r = mongo_job_run(&job, key);

        if (count_r)
                *count_r = r ? 0 : job->count;
        return r;
}
