#include "store/mongo.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/mongo_internal.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * A lane is one thread with one client. A call goes where calls with its key are under way, so
 * that those on one document happen one after the other; else to the lane that has least to do.
 *
 * While no server is known a call that finds its lane empty goes through all the same: it makes the
 * driver look for a server at once. Those behind it are told "unavailable" without waiting.
 */
#define HEARTBEAT_MS 1000 /* the driver looks at the server so often */
#define SELECTION_MS 500  /* the least interval of its looks while a call waits for a server */
#define APP_NAME     "salus"

static struct cm_metric duration = CM_HISTOGRAM("salus_mongo_seconds", "Calls to MongoDB");
static struct cm_metric left_alone =
        CM_COUNTER("salus_mongo_left_total", "Calls to MongoDB that outlived their deadline");

/* ---- what the driver tells: from a thread of its own */

static void on_topology(const mongoc_apm_topology_changed_t *event)
{
        struct cm_mongo *mongo = mongoc_apm_topology_changed_get_context(event);
        mongoc_topology_description_t *now = /* the driver's getters want no const */
                (mongoc_topology_description_t *)(uintptr_t)
                        mongoc_apm_topology_changed_get_new_description(event);

        atomic_store(&mongo->ready, mongoc_topology_description_has_writable_server(now));
        atomic_store(&mongo->standalone,
                     strcmp(mongoc_topology_description_type(now), "Single") == 0);
}

/* The driver's own log repeats what our errors say. */
static void drop_log(mongoc_log_level_t level CM_UNUSED, const char *domain CM_UNUSED,
                     const char *message CM_UNUSED, void *arg CM_UNUSED)
{
}

static void init_driver(void)
{
        mongoc_log_set_handler(drop_log, NULL);
        mongoc_init();
}

/* ---- life */

static int32_t milliseconds(int64_t duration_us)
{
        int64_t result = duration_us / CM_MILLISECOND;

        return result < 1 ? 1 : result > INT32_MAX ? INT32_MAX : (int32_t)result;
}

static void set_options(mongoc_uri_t *uri, const struct cm_mongo_config *config)
{
        mongoc_write_concern_t *written = mongoc_write_concern_new();

        mongoc_write_concern_set_wmajority(written, 0);
        mongoc_write_concern_set_journal(written, true);
        mongoc_uri_set_write_concern(uri, written);
        mongoc_write_concern_destroy(written);
        mongoc_uri_set_appname(uri, APP_NAME);
        mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 2 * SELECTION_MS);
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS,
                                       milliseconds(config->connect_timeout_us));
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS,
                                       milliseconds(config->response_timeout_us));
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)config->threads);
}

static int refuse_uri(const char *why)
{
        cm_log(CM_LOG_ERROR, "address of MongoDB cannot be used", CM_F_TEXT("reason", why));
        return -CM_E_CONFIG;
}

static int open_pool(struct cm_mongo *mongo, const struct cm_mongo_config *config)
{
        bson_error_t error = { 0 };
        mongoc_uri_t *uri = mongoc_uri_new_with_error(config->uri, &error);
        const char *database = uri ? mongoc_uri_get_database(uri) : NULL;
        mongoc_apm_callbacks_t *callbacks;

        if (!uri)
                return refuse_uri(error.message);
        if (!database) {
                mongoc_uri_destroy(uri);
                return refuse_uri("it names no database");
        }
        mongo->database = bson_strdup(database);
        set_options(uri, config);
        mongo->pool = mongoc_client_pool_new_with_error(uri, &error);
        mongoc_uri_destroy(uri);
        if (!mongo->pool)
                return refuse_uri(error.message);
        mongoc_client_pool_set_error_api(mongo->pool, MONGOC_ERROR_API_VERSION_2);
        callbacks = mongoc_apm_callbacks_new();
        mongoc_apm_set_topology_changed_cb(callbacks, on_topology);
        mongoc_client_pool_set_apm_callbacks(mongo->pool, callbacks, mongo);
        mongoc_apm_callbacks_destroy(callbacks);
        return 0;
}

static int open_lanes(struct cm_mongo *mongo, const struct cm_mongo_config *config)
{
        mongo->lanes = cm_alloc_array(config->threads, sizeof(*mongo->lanes));
        for (; mongo->lane_count < config->threads; mongo->lane_count++) {
                struct mongo_lane *lane = &mongo->lanes[mongo->lane_count];
                int r = cm_work_lane_new("mongo", 1, config->max_waiting, &lane->work);

                if (r)
                        return r;
                lane->client = mongoc_client_pool_pop(mongo->pool); /* the first starts the looks */
        }
        return 0;
}

int cm_mongo_new(const struct cm_mongo_config *config, struct cm_mongo **mongo_r)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        struct cm_mongo *mongo = CM_NEW(struct cm_mongo);
        int r;

        (void)pthread_once(&once, init_driver);
        pthread_mutex_init(&mongo->lock, NULL);
        r = open_pool(mongo, config);
        if (!r)
                r = open_lanes(mongo, config);
        if (r)
                cm_mongo_free(&mongo);
        *mongo_r = mongo;
        return r;
}

void cm_mongo_free(struct cm_mongo **mongo)
{
        struct cm_mongo *it = *mongo;

        if (!it)
                return;
        for (size_t i = 0; i < it->lane_count; i++) {
                cm_work_lane_free(&it->lanes[i].work);
                mongoc_client_pool_push(it->pool, it->lanes[i].client);
        }
        cm_free(it->lanes);
        if (it->pool)
                mongoc_client_pool_destroy(it->pool);
        bson_free(it->database);
        pthread_mutex_destroy(&it->lock);
        cm_free(it);
        *mongo = NULL;
}

bool cm_mongo_is_ready(const struct cm_mongo *mongo)
{
        return atomic_load(&mongo->ready);
}

/* ---- one call */

struct mongo_job *mongo_job_new(struct cm_mongo *mongo, enum mongo_operation operation,
                                const char *collection)
{
        struct mongo_job *job = CM_NEW(struct mongo_job);

        job->mongo = mongo;
        job->operation = operation;
        job->collection = bson_strdup(collection);
        return job;
}

static void destroy_all(bson_t **documents, size_t count)
{
        for (size_t i = 0; i < count; i++)
                bson_destroy(documents[i]);
        cm_free(documents);
}

void mongo_job_free(struct mongo_job **job)
{
        struct mongo_job *it = *job;

        if (!it)
                return;
        destroy_all(it->documents, it->document_count);
        destroy_all(it->found, it->found_count);
        bson_destroy(it->filter);
        bson_destroy(it->update);
        bson_destroy(it->options);
        bson_free(it->collection);
        cm_free(it);
        *job = NULL;
}

static struct mongo_slot *slot_of(struct cm_mongo *mongo, struct cm_str key)
{
        uint64_t hash = 14695981039346656037ULL; /* FNV-1a */

        for (size_t i = 0; i < key.len; i++)
                hash = (hash ^ (unsigned char)key.data[i]) * 1099511628211ULL;
        return &mongo->slots[(hash >> 32) % MONGO_SLOTS];
}

static struct mongo_lane *idlest(struct cm_mongo *mongo)
{
        struct mongo_lane *best = &mongo->lanes[0];

        for (size_t i = 1; i < mongo->lane_count; i++)
                if (mongo->lanes[i].running < best->running)
                        best = &mongo->lanes[i];
        return best;
}

/* Chooses the lane. True when nothing runs in it. */
static bool enter(struct cm_mongo *mongo, struct mongo_job *job, struct cm_str key)
{
        bool first;

        job->slot = slot_of(mongo, key);
        pthread_mutex_lock(&mongo->lock);
        if (!job->slot->running++)
                job->slot->lane = idlest(mongo);
        job->lane = job->slot->lane;
        first = !job->lane->running++;
        pthread_mutex_unlock(&mongo->lock);
        return first;
}

static void go(struct mongo_job *job)
{
        pthread_mutex_lock(&job->mongo->lock);
        job->slot->running--;
        job->lane->running--;
        pthread_mutex_unlock(&job->mongo->lock);
}

static void release(void *arg)
{
        struct mongo_job *job = arg;

        go(job);
        mongo_job_free(&job);
}

static int execute(void *arg)
{
        struct mongo_job *job = arg;

        /* Nobody waits for it any more, or will not when it is done. */
        if (cm_monotonic_us() >= job->deadline_us)
                return -CM_E_DEADLINE;
        return mongo_execute(job, job->lane->client);
}

static bool is_write(const struct mongo_job *job)
{
        return job->operation != MONGO_FIND && job->operation != MONGO_COUNT;
}

static int say(int r, const struct mongo_job *job)
{
        if (r == -CM_E_DATABASE || r == -CM_E_UNCERTAIN || r == -CM_E_TOO_LARGE)
                cm_log(CM_LOG_ERROR, "MongoDB refused or lost a call", CM_F_ERROR(r),
                       CM_F_TEXT("collection", job->collection), CM_F_INT("code", job->error.code),
                       CM_F_INT("domain", job->error.domain),
                       CM_F_TEXT("message", job->error.message));
        return r;
}

/* The fiber has to go while the thread is at work: a write may happen, or not. */
static int leave(bool writes, int r)
{
        cm_counter_add(&left_alone, 1);
        return writes ? -CM_E_UNCERTAIN : r;
}

int mongo_job_run(struct mongo_job **job, struct cm_str key)
{
        struct mongo_job *it = *job;
        struct cm_mongo *mongo = it->mongo;
        int64_t start_us = cm_monotonic_us();
        bool writes = is_write(it), left;
        int r;

        if (!enter(mongo, it, key) && !cm_mongo_is_ready(mongo)) {
                go(it);
                return -CM_E_UNAVAILABLE;
        }
        it->deadline_us = cm_fiber_deadline_us();
        r = cm_work_run_or_leave(it->lane->work, execute, it, release, &left);
        cm_histogram_observe_us(&duration, cm_monotonic_us() - start_us);
        if (left) {
                *job = NULL;
                return leave(writes, r);
        }
        go(it);
        return say(r, it);
}
