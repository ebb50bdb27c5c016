#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "base/uuid.h"
#include "store/mongo_internal.h"
#include "sys/log.h"

/*
 * All that this adapter asks of a server, one row each: what is run, and what must come of it. A
 * server that lacks something says so when a service starts, not in the middle of somebody's
 * conversation.
 *
 * The rows run in order on documents of their own: `_id` is the row's place in a run that has a
 * random name, so that several replicas may probe at a time.
 */
#define COLLECTION "probe"

enum {
        RUN_INSERT,
        RUN_UPDATE,
        RUN_UPSERT,
        RUN_MODIFY,
        RUN_FIND,
        RUN_TAIL,
        RUN_COUNT,
        RUN_DELETE,
        RUN_INDEX,
};

struct probe {
        const char *what;
        int run;
        const char *filter; /* JSON; without the run's own condition */
        const char *update; /* the document, the update, or the index' keys */
        int result;
        int64_t count;        /* documents found, matched or counted */
        const char *contains; /* in the first document found, as relaxed JSON; NULL: anything */
};

static const struct probe probes[] = {
        { "createIndexes, compound", RUN_INDEX, "{}", "{\"run\":1,\"n\":-1,\"_id\":1}" },
        { "createIndexes again", RUN_INDEX, "{}", "{\"run\":1,\"n\":-1,\"_id\":1}" },
        { "insert", RUN_INSERT, "{}", "{\"n\":1,\"list\":[],\"text\":\"a\"}" },
        { "insert of a second document", RUN_INSERT, "{}", "{\"n\":2,\"extra\":true,\"list\":[]}" },
        { "$set", RUN_UPDATE, "{\"n\":1}", "{\"$set\":{\"inner.deep\":\"x\"}}", 0, 1 },
        { "$inc", RUN_UPDATE, "{\"n\":1}", "{\"$inc\":{\"m\":5}}", 0, 1 },
        { "$max", RUN_UPDATE, "{\"n\":1}", "{\"$max\":{\"m\":9}}", 0, 1 },
        { "$push with $each", RUN_UPDATE, "{\"n\":1}",
          "{\"$push\":{\"list\":{\"$each\":[{\"k\":1},{\"k\":2}]}}}", 0, 1 },
        { "an item by its index", RUN_UPDATE, "{\"n\":1}", "{\"$set\":{\"list.1.v\":7}}", 0, 1 },
        { "a condition on an item by its index", RUN_COUNT, "{\"list.1.k\":2}", NULL, 0, 1 },
        { "$exists of an index", RUN_COUNT,
          "{\"$and\":[{\"list.1\":{\"$exists\":true}},{\"list.2\":{\"$exists\":false}}]}", NULL, 0,
          1 },
        { "several operators in one update", RUN_UPDATE, "{\"n\":1}",
          "{\"$inc\":{\"m\":1},\"$set\":{\"b\":true},\"$push\":{\"list\":{\"$each\":[{\"k\":3}]}}}",
          0, 1 },
        { "what these updates made", RUN_FIND, "{\"n\":1}", NULL, 0, 1,
          "\"list\" : [ { \"k\" : 1 }, { \"k\" : 2, \"v\" : 7 }, { \"k\" : 3 } ]" },
        { "$inc and $max together", RUN_FIND, "{\"m\":10}", NULL, 0, 1, "\"deep\" : \"x\"" },
        { "$slice beside other fields", RUN_TAIL, "{\"n\":1}", NULL, 0, 1,
          "\"list\" : [ { \"k\" : 2, \"v\" : 7 }, { \"k\" : 3 } ]" },
        { "$unset", RUN_UPDATE, "{\"n\":1}", "{\"$unset\":{\"b\":\"\"}}", 0, 1 },
        { "$exists", RUN_FIND, "{\"$and\":[{\"b\":{\"$exists\":false}},{\"m\":10}]}", NULL, 0, 1 },
        { "$pull with $in", RUN_UPDATE, "{\"n\":1}",
          "{\"$pull\":{\"list\":{\"k\":{\"$in\":[1,3]}}}}", 0, 1 },
        { "what $pull left", RUN_FIND, "{\"n\":1}", NULL, 0, 1,
          "\"list\" : [ { \"k\" : 2, \"v\" : 7 } ]" },
        { "a value in an item", RUN_FIND, "{\"list.k\":2}", NULL, 0, 1 },
        { "$ne over items", RUN_COUNT, "{\"$and\":[{\"list.k\":{\"$ne\":2}}]}", NULL, 0, 1 },
        { "a filter that does not match", RUN_UPDATE, "{\"n\":1,\"m\":11}",
          "{\"$set\":{\"b\":true}}", CM_MONGO_NO_MATCH, 0 },
        { "findAndModify", RUN_MODIFY, "{\"n\":2}", "{\"$inc\":{\"m\":1}}", 0, 1, "\"m\" : 1" },
        { "upsert", RUN_UPSERT, "{\"n\":3}", "{\"$setOnInsert\":{\"m\":3},\"$set\":{\"c\":1}}", 0,
          0 },
        { "upsert again", RUN_UPSERT, "{\"n\":3}",
          "{\"$setOnInsert\":{\"m\":4},\"$set\":{\"c\":2}}", 0, 1 },
        { "$setOnInsert only once", RUN_FIND, "{\"m\":3,\"c\":2}", NULL, 0, 1 },
        { "$lt, $gt, sort, limit", RUN_FIND, "{\"$and\":[{\"n\":{\"$gt\":0}},{\"n\":{\"$lt\":3}}]}",
          NULL, 0, 2, "\"n\" : 2" },
        { "$lte, $gte", RUN_COUNT, "{\"$and\":[{\"n\":{\"$gte\":1}},{\"n\":{\"$lte\":3}}]}", NULL,
          0, 3 },
        { "$or for pages", RUN_FIND, "{\"$or\":[{\"n\":{\"$lt\":2}},{\"n\":2,\"m\":{\"$lt\":1}}]}",
          NULL, 0, 1, "\"n\" : 1" },
        { "$in", RUN_COUNT, "{\"n\":{\"$in\":[1,3,9]}}", NULL, 0, 2 },
        { "delete", RUN_DELETE, "{}", NULL, 0, 3 },
};

struct run {
        struct cm_mongo *mongo;
        char name[CM_UUID_TEXT_SIZE];
        int inserted;
};

static bson_t *from_json(const char *json)
{
        return bson_new_from_json((const uint8_t *)json, -1, NULL);
}

/* The row's filter, of this run only. */
static bson_t *filter_of(const struct run *run, const struct probe *probe)
{
        bson_t *filter = from_json(probe->filter);

        BSON_APPEND_UTF8(filter, "run", run->name);
        return filter;
}

static void prepare_insert(struct run *run, struct mongo_job *job)
{
        char *id = bson_strdup_printf("%s/%d", run->name, run->inserted++);

        BSON_APPEND_UTF8(job->update, "_id", id);
        BSON_APPEND_UTF8(job->update, "run", run->name);
        job->documents = cm_alloc_array(1, sizeof(*job->documents));
        job->documents[0] = bson_copy(job->update);
        job->document_count = 1;
        bson_free(id);
}

static void prepare_index(struct mongo_job *job)
{
        bson_t *command =
                BCON_NEW("createIndexes", BCON_UTF8(COLLECTION), "indexes", "[", "{", "key",
                         BCON_DOCUMENT(job->update), "name", BCON_UTF8("probe"), "}", "]");

        bson_destroy(job->update);
        job->update = command;
}

static struct mongo_job *prepare(struct run *run, const struct probe *probe)
{
        static const enum mongo_operation operations[] = {
                [RUN_INSERT] = MONGO_INSERT, [RUN_UPDATE] = MONGO_UPDATE,
                [RUN_UPSERT] = MONGO_UPDATE, [RUN_MODIFY] = MONGO_MODIFY,
                [RUN_FIND] = MONGO_FIND,     [RUN_TAIL] = MONGO_FIND,
                [RUN_COUNT] = MONGO_COUNT,   [RUN_DELETE] = MONGO_DELETE_ALL,
                [RUN_INDEX] = MONGO_COMMAND,
        };
        struct mongo_job *job = mongo_job_new(run->mongo, operations[probe->run], COLLECTION);

        job->filter = filter_of(run, probe);
        if (probe->update)
                job->update = from_json(probe->update);
        if (probe->run == RUN_INSERT)
                prepare_insert(run, job);
        else if (probe->run == RUN_INDEX)
                prepare_index(job);
        else if (probe->run == RUN_UPSERT)
                job->options = BCON_NEW("upsert", BCON_BOOL(true));
        else if (probe->run == RUN_FIND)
                job->options = BCON_NEW("sort", "{", "n", BCON_INT32(-1), "_id", BCON_INT32(1), "}",
                                        "limit", BCON_INT64(10));
        else if (probe->run == RUN_TAIL)
                job->options = BCON_NEW("projection", "{", "n", BCON_INT32(1), "list", "{",
                                        "$slice", BCON_INT32(-2), "}", "}");
        return job;
}

static bool shows(const struct mongo_job *job, const char *text)
{
        char *json;
        bool found;

        if (!text)
                return true;
        if (!job->found_count)
                return false;
        json = bson_as_relaxed_extended_json(job->found[0], NULL);
        found = json && strstr(json, text);
        bson_free(json);
        return found;
}

static int64_t count_of(const struct mongo_job *job)
{
        return job->operation == MONGO_FIND || job->operation == MONGO_MODIFY
                       ? (int64_t)job->found_count
                       : job->count;
}

/* 0, 1 when the server does something else than it should, or an error. */
static int run_probe(struct run *run, const struct probe *probe)
{
        struct mongo_job *job = prepare(run, probe);
        bool counts = probe->run != RUN_INSERT && probe->run != RUN_INDEX;
        int r = mongo_job_run(&job, cm_str_from(run->name));
        bool ok = job && r == probe->result && (!counts || count_of(job) == probe->count) &&
                  shows(job, probe->contains);

        if (!ok && (r >= 0 || r == -CM_E_DATABASE)) {
                cm_log(CM_LOG_ERROR, "this MongoDB server cannot do what Salus needs",
                       CM_F_TEXT("what", probe->what), CM_F_INT("result", r),
                       CM_F_TEXT("message", job ? job->error.message : ""));
                r = 1;
        }
        mongo_job_free(&job);
        return ok ? 0 : r;
}

/* Two writers of one key: the second is told. */
static int probe_duplicate(struct run *run)
{
        static const struct probe twice = { "a unique _id", RUN_INSERT, "{}", "{}",
                                            CM_MONGO_DUPLICATE };

        run->inserted = 0; /* the first document's name once more */
        return run_probe(run, &twice);
}

int cm_mongo_probe(struct cm_mongo *mongo)
{
        struct run run = { .mongo = mongo };
        struct cm_uuid id = cm_uuid7(cm_now(&cm_clock_system));
        size_t faults = 0;

        cm_uuid_format(&id, run.name);
        for (size_t i = 0; i < CM_COUNT(probes); i++) {
                bool is_last = i == CM_COUNT(probes) - 1;
                int r = is_last ? probe_duplicate(&run) : 0;

                if (r >= 0)
                        faults += (size_t)r;
                if (r >= 0)
                        r = run_probe(&run, &probes[i]);
                if (r < 0)
                        return r;
                faults += (size_t)r;
        }
        return faults ? -CM_E_CONFIG : 0;
}
