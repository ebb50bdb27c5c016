#include "service/documents.h"

#include <stdio.h>

#include "base/error.h"
#include "schemas.h"
#include "settings.h"
#include "sys/fiber.h"
#include "sys/log.h"

/*
 * The version of a database is one document. It is raised after each step, on the condition that it
 * is what the step began with, so that two who migrate at a time do not count twice.
 */
#define CONNECT_US    (5 * CM_SECOND)
#define AWAIT_US      (30 * CM_SECOND)
#define STACK_SIZE    (64 * 1024)
#define FIRST_VERSION 1

static const struct cm_collection versions = { .name = "schema", .schema = &store_version_schema };

static struct cm_str key(void)
{
        return CM_STR("schema");
}

static int64_t newest(const struct cm_documents *documents)
{
        return FIRST_VERSION + (int64_t)documents->step_count;
}

/* 0: nothing was ever migrated. */
static int read_version(struct cm_mongo *mongo, int64_t *version_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct store_version found = { 0 };
        struct cm_str id = key();
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 512);
        CM_FILTER_IS(&filter, store_version, id, &id);
        r = cm_mongo_find(mongo, &versions, id, &filter, &arena, &found);
        cm_arena_deinit(&arena);
        *version_r = r == 0 ? found.version : 0;
        if (r == CM_MONGO_NO_MATCH)
                return 0;
        return r > 0 ? -CM_E_DATABASE : r;
}

static int write_first(struct cm_mongo *mongo)
{
        const struct store_version first = { .id = key(),
                                             .version = FIRST_VERSION,
                                             .migrated_at = cm_now(&cm_clock_system) };
        int r = cm_mongo_insert(mongo, &versions, first.id, &first, NULL);

        return r == CM_MONGO_DUPLICATE ? 0 : r;
}

static int raise_version(struct cm_mongo *mongo, int64_t from)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_str id = key();
        cm_time now = cm_now(&cm_clock_system);
        int r;

        CM_FILTER_IS(&filter, store_version, id, &id);
        CM_FILTER_IS(&filter, store_version, version, &from);
        CM_UPDATE_INC(&update, store_version, version, 1);
        CM_UPDATE_SET(&update, store_version, migrated_at, &now);
        r = cm_mongo_update(mongo, &versions, id, &filter, &update, CM_MONGO_UPDATE);
        return r == CM_MONGO_NO_MATCH ? 0 : r; /* somebody else has done the same step */
}

int documents_check(struct cm_mongo *mongo, const struct cm_documents *documents)
{
        int64_t version;
        int r = read_version(mongo, &version);

        if (r)
                return r;
        if (version > newest(documents))
                return CM_SCHEMA_TOO_NEW;
        return version < newest(documents) ? CM_SCHEMA_BEHIND : CM_SCHEMA_CURRENT;
}

int documents_begin(struct cm_mongo *mongo, const struct cm_documents *documents)
{
        int r = cm_mongo_probe(mongo);

        return r ? r : cm_mongo_ensure_indexes(mongo, documents->indexes, documents->index_count);
}

static int run_step(struct cm_mongo *mongo, const struct cm_document_step *step, int64_t version)
{
        int64_t start = cm_monotonic_us();
        int r = step->run(mongo);

        if (r == 0)
                r = raise_version(mongo, version);
        if (r) {
                cm_log(CM_LOG_ERROR, "migration failed", CM_F_TEXT("step", step->name),
                       CM_F_INT("result", r));
                return r > 0 ? -CM_E_DATABASE : r;
        }
        cm_log(CM_LOG_INFO, "migration applied", CM_F_INT("version", version + 1),
               CM_F_TEXT("name", step->name),
               CM_F_INT("duration_ms", (cm_monotonic_us() - start) / CM_MILLISECOND));
        return 0;
}

int documents_migrate(struct cm_mongo *mongo, const struct cm_documents *documents)
{
        int64_t version;
        int r = read_version(mongo, &version);

        if (r == 0 && version > newest(documents)) {
                cm_log(CM_LOG_ERROR, "documents were left alone: they are of a newer release",
                       CM_F_INT("version", version), CM_F_INT("known", newest(documents)));
                return CM_SCHEMA_TOO_NEW;
        }
        if (r == 0)
                r = documents_begin(mongo, documents);
        if (r == 0 && version == 0) {
                /* A new database has no documents of older versions: the steps find nothing. */
                r = write_first(mongo);
                version = FIRST_VERSION;
        }
        for (; r == 0 && version < newest(documents); version++)
                r = run_step(mongo, &documents->steps[version - FIRST_VERSION], version);
        return r > 0 ? -CM_E_DATABASE : r;
}

int documents_open(const struct cm_service_settings *settings, struct cm_mongo **mongo_r)
{
        const struct cm_mongo_config config = {
                .uri = settings->mongo_uri,
                .threads = (size_t)settings->mongo_threads,
                .max_waiting = (size_t)settings->mongo_queue,
                .connect_timeout_us = CONNECT_US,
                .response_timeout_us = settings->mongo_response_timeout_us,
        };

        return cm_mongo_new(&config, mongo_r);
}

/* ---- commands */

struct command {
        const struct cm_documents *documents;
        struct cm_mongo *mongo;
        struct cm_loop *loop;
        int (*run)(struct cm_mongo *mongo, const struct cm_documents *documents);
        int result;
};

static void command_fiber(void *arg)
{
        struct command *command = arg;
        int64_t until = cm_monotonic_us() + AWAIT_US;
        int r = 0;

        while (r == 0 && !cm_mongo_is_ready(command->mongo) && cm_monotonic_us() < until)
                r = cm_fiber_sleep(10 * CM_MILLISECOND);
        if (cm_mongo_is_ready(command->mongo)) {
                command->result = command->run(command->mongo, command->documents);
        } else {
                cm_log(CM_LOG_ERROR, "database is not reachable");
                command->result = -CM_E_UNAVAILABLE;
        }
        cm_loop_stop(command->loop);
}

static void start_command(void *arg)
{
        struct command *command = arg;

        command->result = cm_fiber_start("command", command_fiber, command, CM_NEVER);
        if (command->result)
                cm_loop_stop(command->loop);
}

static int run_in_loop(const struct cm_service_settings *settings, struct command *command)
{
        const struct cm_fiber_pool_config fibers = { STACK_SIZE, 16, 1 };
        int r = documents_open(settings, &command->mongo);

        if (r)
                return r;
        r = cm_loop_new(&command->loop);
        if (r == 0)
                r = cm_fiber_pool_init(command->loop, &fibers);
        if (r == 0) {
                cm_loop_defer(command->loop, start_command, command);
                cm_loop_run(command->loop);
                cm_fiber_pool_deinit(command->loop);
                r = command->result;
        }
        cm_mongo_free(&command->mongo);
        cm_loop_free(&command->loop);
        cm_log_flush();
        return r;
}

int documents_migrate_command(const struct cm_service_settings *settings,
                              const struct cm_documents *documents)
{
        struct command command = { .documents = documents, .run = documents_migrate };

        return run_in_loop(settings, &command);
}

static int print_status(struct cm_mongo *mongo, const struct cm_documents *documents)
{
        int64_t version;
        int r = read_version(mongo, &version);

        if (r)
                return r;
        r = documents_check(mongo, documents);
        if (r > 0)
                printf("documents: version %lld of %lld, %s\n", (long long)version,
                       (long long)newest(documents), cm_schema_state_name(r));
        return r;
}

int documents_status_command(const struct cm_service_settings *settings,
                             const struct cm_documents *documents)
{
        struct command command = { .documents = documents, .run = print_status };

        return run_in_loop(settings, &command);
}
