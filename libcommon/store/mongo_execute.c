#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/mongo_internal.h"

/* What happens in a lane's thread: the driver's calls, and what their errors mean. */

#define MAX_DOCUMENT (16U << 20)

/* Codes of the server that this module tells apart (src/mongo/base/error_codes.yml). */
enum {
        SERVER_HOST_UNREACHABLE = 6,
        SERVER_HOST_NOT_FOUND = 7,
        SERVER_MAX_TIME_EXPIRED = 50,
        SERVER_WRITE_CONCERN_FAILED = 64,
        SERVER_NETWORK_TIMEOUT = 89,
        SERVER_SHUTDOWN_IN_PROGRESS = 91,
        SERVER_WRITE_CONCERN_TIMEOUT_OR_UNSATISFIABLE = 100,
        SERVER_PRIMARY_STEPPED_DOWN = 189,
        SERVER_SOCKET_EXCEPTION = 9001,
        SERVER_NOT_PRIMARY = 10107,
        SERVER_TOO_LARGE = 10334,
        SERVER_DUPLICATE_KEY = 11000,
        SERVER_DUPLICATE_KEY_UPDATE = 11001,
        SERVER_INTERRUPTED_AT_SHUTDOWN = 11600,
        SERVER_INTERRUPTED_BY_STATE_CHANGE = 11602,
        SERVER_NOT_PRIMARY_NO_SECONDARY_OK = 13435,
        SERVER_NOT_PRIMARY_OR_SECONDARY = 13436,
        SERVER_TOO_LARGE_INSERT = 17280,
        SERVER_TOO_LARGE_UPDATE = 17419,
        SERVER_TOO_LARGE_RESULT = 17420,
};

static int server_error(uint32_t code, bool writes)
{
        switch (code) {
        case SERVER_DUPLICATE_KEY:
        case SERVER_DUPLICATE_KEY_UPDATE:
                return CM_MONGO_DUPLICATE;
        case SERVER_NOT_PRIMARY:
        case SERVER_NOT_PRIMARY_NO_SECONDARY_OK:
        case SERVER_NOT_PRIMARY_OR_SECONDARY:
                return -CM_E_UNAVAILABLE;
        case SERVER_HOST_UNREACHABLE:
        case SERVER_HOST_NOT_FOUND:
        case SERVER_NETWORK_TIMEOUT:
        case SERVER_SHUTDOWN_IN_PROGRESS:
        case SERVER_PRIMARY_STEPPED_DOWN:
        case SERVER_SOCKET_EXCEPTION:
        case SERVER_INTERRUPTED_AT_SHUTDOWN:
        case SERVER_INTERRUPTED_BY_STATE_CHANGE:
                return writes ? -CM_E_UNCERTAIN : -CM_E_UNAVAILABLE;
        case SERVER_WRITE_CONCERN_FAILED:
        case SERVER_WRITE_CONCERN_TIMEOUT_OR_UNSATISFIABLE:
                return -CM_E_UNCERTAIN;
        case SERVER_MAX_TIME_EXPIRED:
                return writes ? -CM_E_UNCERTAIN : -CM_E_DEADLINE;
        case SERVER_TOO_LARGE:
        case SERVER_TOO_LARGE_INSERT:
        case SERVER_TOO_LARGE_UPDATE:
        case SERVER_TOO_LARGE_RESULT:
                return -CM_E_TOO_LARGE;
        default:
                return -CM_E_DATABASE;
        }
}

/* A broken connection may have broken before or after the server read the command. */
static int stream_error(uint32_t code, bool writes)
{
        if (code == MONGOC_ERROR_STREAM_NAME_RESOLUTION || code == MONGOC_ERROR_STREAM_CONNECT ||
            code == MONGOC_ERROR_STREAM_NOT_ESTABLISHED)
                return -CM_E_UNAVAILABLE;
        return writes ? -CM_E_UNCERTAIN : -CM_E_UNAVAILABLE;
}

static int meaning(const bson_error_t *error, bool writes)
{
        switch (error->domain) {
        case MONGOC_ERROR_SERVER_SELECTION:
                return -CM_E_UNAVAILABLE;
        case MONGOC_ERROR_STREAM:
        case MONGOC_ERROR_PROTOCOL:
                return stream_error(error->code, writes);
        case MONGOC_ERROR_WRITE_CONCERN:
                return -CM_E_UNCERTAIN;
        case MONGOC_ERROR_CLIENT:
                if (error->code == MONGOC_ERROR_CLIENT_TOO_BIG)
                        return -CM_E_TOO_LARGE;
                return -CM_E_UNAVAILABLE; /* authentication and the like: nothing was sent */
        case MONGOC_ERROR_BSON:
                return -CM_E_PROTOCOL;
        default:
                return server_error(error->code, writes);
        }
}

bool mongo_is_duplicate(int64_t code)
{
        return code == SERVER_DUPLICATE_KEY || code == SERVER_DUPLICATE_KEY_UPDATE;
}

static int64_t number_in(const bson_t *reply, const char *name)
{
        bson_iter_t it;

        return bson_iter_init_find(&it, reply, name) ? bson_iter_as_int64(&it) : 0;
}

void mongo_job_keep(struct mongo_job *job, const bson_t *document)
{
        size_t count = job->found_count;

        if ((count & (count + 1)) == 0) { /* full: 1, 3, 7, … */
                bson_t **more = cm_alloc_array(2 * count + 1, sizeof(*more));

                if (count)
                        memcpy(more, job->found, count * sizeof(*more));
                cm_free(job->found);
                job->found = more;
        }
        job->found[job->found_count++] = bson_copy(document);
}

/* ---- operations */

/* Where an ordered insert came to its end. Not the reply's own count, which the stand-in gets
 * wrong.
 */
static int64_t inserted(const struct mongo_job *job, const bson_t *reply, bool ok)
{
        bson_iter_t it, error;

        if (ok)
                return (int64_t)job->document_count;
        if (bson_iter_init(&it, reply) &&
            bson_iter_find_descendant(&it, "writeErrors.0.index", &error))
                return bson_iter_as_int64(&error);
        return 0;
}

static bool fit(const struct mongo_job *job)
{
        for (size_t i = 0; i < job->document_count; i++)
                if (job->documents[i]->len > MAX_DOCUMENT)
                        return false;
        return true;
}

static int insert(struct mongo_job *job, mongoc_collection_t *collection)
{
        bson_t reply;
        bool ok = mongoc_collection_insert_many(collection, (const bson_t **)job->documents,
                                                job->document_count, job->options, &reply,
                                                &job->error);

        job->count = inserted(job, &reply, ok);
        bson_destroy(&reply);
        return ok ? 0 : meaning(&job->error, true);
}

static int find(struct mongo_job *job, mongoc_collection_t *collection)
{
        mongoc_cursor_t *cursor =
                mongoc_collection_find_with_opts(collection, job->filter, job->options, NULL);
        const bson_t *document;
        int r = 0;

        while (mongoc_cursor_next(cursor, &document))
                mongo_job_keep(job, document);
        if (mongoc_cursor_error(cursor, &job->error))
                r = meaning(&job->error, false);
        mongoc_cursor_destroy(cursor);
        return r;
}

static int count(struct mongo_job *job, mongoc_client_t *client)
{
        bson_t command = BSON_INITIALIZER, reply;
        bool ok;

        BSON_APPEND_UTF8(&command, "count", job->collection);
        BSON_APPEND_DOCUMENT(&command, "query", job->filter);
        ok = mongoc_client_read_command_with_opts(client, job->mongo->database, &command, NULL,
                                                  job->options, &reply, &job->error);
        job->count = number_in(&reply, "n");
        bson_destroy(&reply);
        bson_destroy(&command);
        return ok ? 0 : meaning(&job->error, false);
}

static int update(struct mongo_job *job, mongoc_collection_t *collection)
{
        bool all = job->operation == MONGO_UPDATE_ALL, ok;
        bson_t reply;

        ok = all ? mongoc_collection_update_many(collection, job->filter, job->update, job->options,
                                                 &reply, &job->error)
                 : mongoc_collection_update_one(collection, job->filter, job->update, job->options,
                                                &reply, &job->error);
        job->count = number_in(&reply, "matchedCount");
        job->upserted = bson_has_field(&reply, "upsertedId");
        bson_destroy(&reply);
        if (!ok)
                return meaning(&job->error, true);
        return all || job->count || job->upserted ? 0 : CM_MONGO_NO_MATCH;
}

/* One that is refused does not keep the others from being tried; the reply says which were. */
static int update_each(struct mongo_job *job, mongoc_collection_t *collection)
{
        bson_t *unordered = BCON_NEW("ordered", BCON_BOOL(false)), reply = BSON_INITIALIZER;
        mongoc_bulk_operation_t *bulk =
                mongoc_collection_create_bulk_operation_with_opts(collection, unordered);
        bool ok = true;

        for (size_t i = 0; i < job->document_count && ok; i += 2)
                ok = mongoc_bulk_operation_update_one_with_opts(
                        bulk, job->documents[i], job->documents[i + 1], job->options, &job->error);
        if (ok) {
                bson_destroy(&reply);
                ok = mongoc_bulk_operation_execute(bulk, &reply, &job->error) != 0;
                mongo_job_keep(job, &reply);
        }
        bson_destroy(&reply);
        mongoc_bulk_operation_destroy(bulk);
        bson_destroy(unordered);
        return ok ? 0 : meaning(&job->error, true);
}

static int modify(struct mongo_job *job, mongoc_collection_t *collection)
{
        mongoc_find_and_modify_opts_t *options = mongoc_find_and_modify_opts_new();
        mongoc_find_and_modify_flags_t flags = MONGOC_FIND_AND_MODIFY_RETURN_NEW;
        bson_t reply, document;
        bson_iter_t it;
        bool ok;
        int r = CM_MONGO_NO_MATCH;

        if (job->upsert)
                flags |= MONGOC_FIND_AND_MODIFY_UPSERT;
        mongoc_find_and_modify_opts_set_flags(options, flags);
        mongoc_find_and_modify_opts_set_update(options, job->update);
        ok = mongoc_collection_find_and_modify_with_opts(collection, job->filter, options, &reply,
                                                         &job->error);
        if (ok && bson_iter_init_find(&it, &reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&it)) {
                const uint8_t *data;
                uint32_t len;

                bson_iter_document(&it, &len, &data);
                if (bson_init_static(&document, data, len)) {
                        mongo_job_keep(job, &document);
                        r = 0;
                }
        }
        bson_destroy(&reply);
        mongoc_find_and_modify_opts_destroy(options);
        return ok ? r : meaning(&job->error, true);
}

static int delete_all(struct mongo_job *job, mongoc_collection_t *collection)
{
        bson_t reply;
        bool ok = mongoc_collection_delete_many(collection, job->filter, job->options, &reply,
                                                &job->error);

        job->count = number_in(&reply, "deletedCount");
        bson_destroy(&reply);
        return ok ? 0 : meaning(&job->error, true);
}

static int command(struct mongo_job *job, mongoc_client_t *client)
{
        bson_t reply;
        bool ok = mongoc_client_write_command_with_opts(client, job->mongo->database, job->update,
                                                        job->options, &reply, &job->error);

        mongo_job_keep(job, &reply);
        bson_destroy(&reply);
        return ok ? 0 : meaning(&job->error, true);
}

static int on_collection(struct mongo_job *job, mongoc_client_t *client)
{
        mongoc_collection_t *collection =
                mongoc_client_get_collection(client, job->mongo->database, job->collection);
        int r;

        switch (job->operation) {
        case MONGO_INSERT:
                r = insert(job, collection);
                break;
        case MONGO_FIND:
                r = find(job, collection);
                break;
        case MONGO_UPDATE_EACH:
                r = update_each(job, collection);
                break;
        case MONGO_MODIFY:
                r = modify(job, collection);
                break;
        case MONGO_DELETE_ALL:
                r = delete_all(job, collection);
                break;
        default:
                r = update(job, collection);
        }
        mongoc_collection_destroy(collection);
        return r;
}

/* A server that stands alone knows no majority to read from. */
static void add_read_options(struct mongo_job *job)
{
        int64_t left_us = job->deadline_us - cm_monotonic_us();
        mongoc_read_concern_t *level;

        if (!job->options)
                job->options = bson_new();
        if (job->deadline_us < INT64_MAX)
                BSON_APPEND_INT64(job->options, "maxTimeMS", left_us / CM_MILLISECOND + 1);
        if (atomic_load(&job->mongo->standalone))
                return;
        level = mongoc_read_concern_new();
        mongoc_read_concern_set_level(level, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
        mongoc_read_concern_append(level, job->options);
        mongoc_read_concern_destroy(level);
}

int mongo_execute(struct mongo_job *job, mongoc_client_t *client)
{
        if (job->operation == MONGO_FIND || job->operation == MONGO_COUNT)
                add_read_options(job);
        if (!fit(job))
                return -CM_E_TOO_LARGE;
        if (job->operation == MONGO_COUNT)
                return count(job, client);
        if (job->operation == MONGO_COMMAND)
                return command(job, client);
        return on_collection(job, client);
}
