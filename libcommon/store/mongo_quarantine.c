#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/mongo_internal.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * What the store holds and no schema accepts. It stays where it is, so that whoever repairs the
 * program or the document finds it; a copy tells what it looked like when it was first met, and
 * outlives a careless repair. Ids of copies are made of the collection and the document's own, so
 * there is one copy however often it is read.
 */
#define COLLECTION "quarantine"

static struct cm_metric quarantined = CM_COUNTER(
        "salus_mongo_quarantined_total", "Reads that met a document which its schema refuses");

static char *id_of(const bson_t *document)
{
        bson_t id = BSON_INITIALIZER;
        bson_iter_t it;
        char *text;

        if (bson_iter_init_find(&it, document, "_id") && BSON_ITER_HOLDS_UTF8(&it))
                text = bson_strdup(bson_iter_utf8(&it, NULL));
        else {
                if (bson_iter_init_find(&it, document, "_id"))
                        bson_append_iter(&id, "_id", -1, &it);
                text = bson_as_relaxed_extended_json(&id, NULL);
        }
        bson_destroy(&id);
        return text;
}

static bson_t *copy_of(const struct cm_collection *collection, const char *id,
                       const bson_t *document, const struct cm_fault *fault)
{
        char *name = bson_strdup_printf("%s/%s", collection->name, id);
        bson_t *copy = BCON_NEW("_id", BCON_UTF8(name), "collection", BCON_UTF8(collection->name),
                                "pointer", BCON_UTF8(fault->pointer.data), "detail",
                                BCON_UTF8(fault->detail.data), "seenAt",
                                BCON_DATE_TIME(cm_now(&cm_clock_system) / CM_MILLISECOND));

        BSON_APPEND_DOCUMENT(copy, "document", document);
        bson_free(name);
        return copy;
}

void mongo_quarantine(struct cm_mongo *mongo, const struct cm_collection *collection,
                      const bson_t *document, const struct cm_faults *faults)
{
        struct mongo_job *job = mongo_job_new(mongo, MONGO_INSERT, COLLECTION);
        char *id = id_of(document);
        int r;

        cm_counter_add(&quarantined, 1);
        cm_log(CM_LOG_ERROR, "document put into quarantine",
               CM_F_TEXT("collection", collection->name), CM_F_TEXT("id", id),
               CM_F_STR("pointer", faults->items[0].pointer),
               CM_F_STR("detail", faults->items[0].detail));
        job->documents = cm_alloc_array(1, sizeof(*job->documents));
        job->documents[0] = copy_of(collection, id, document, &faults->items[0]);
        job->document_count = 1;
        r = mongo_job_run(&job, cm_str_from(id));
        if (r < 0)
                cm_log(CM_LOG_ERROR, "no copy in quarantine", CM_F_ERROR(r), CM_F_TEXT("id", id));
        mongo_job_free(&job);
        bson_free(id);
}
