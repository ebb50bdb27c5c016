#include "base/error.h"
#include "store/mongo_internal.h"
#include "sys/log.h"

/* Indexes, made when a service starts. */

static bson_t *index_command(const struct cm_mongo_index *index)
{
        bson_t *keys = mongo_sort_build(index->fields, index->count);
        bson_t *command = bson_new(), list, item;

        BSON_APPEND_UTF8(command, "createIndexes", index->collection->name);
        BSON_APPEND_ARRAY_BEGIN(command, "indexes", &list);
        bson_append_document_begin(&list, "0", -1, &item);
        BSON_APPEND_DOCUMENT(&item, "key", keys);
        BSON_APPEND_UTF8(&item, "name", index->name);
        if (index->is_unique)
                BSON_APPEND_BOOL(&item, "unique", true);
        if (index->is_sparse)
                BSON_APPEND_BOOL(&item, "sparse", true);
        bson_append_document_end(&list, &item);
        bson_append_array_end(command, &list);
        bson_destroy(keys);
        return command;
}

int cm_mongo_ensure_indexes(struct cm_mongo *mongo, const struct cm_mongo_index *indexes,
                            size_t count)
{
        int r = 0;

        for (size_t i = 0; i < count && !r; i++) {
                struct mongo_job *job =
                        mongo_job_new(mongo, MONGO_COMMAND, indexes[i].collection->name);

                job->update = index_command(&indexes[i]);
                r = mongo_job_run(&job, cm_str_from(indexes[i].collection->name));
                mongo_job_free(&job);
                if (r)
                        cm_log(CM_LOG_ERROR, "index was not made", CM_F_ERROR(r),
                               CM_F_TEXT("collection", indexes[i].collection->name),
                               CM_F_TEXT("index", indexes[i].name));
        }
        return r > 0 ? -CM_E_DATABASE : r;
}
