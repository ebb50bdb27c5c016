#pragma once
#include <stddef.h>

#include "base/attr.h"
#include "store/migrate.h"
#include "store/mongo.h"

/*
 * What a service that keeps documents has instead of SQL migrations: indexes, which are made when
 * they are not there, and steps, which change documents of older versions. The version of a
 * database is one more than the number of steps that it has seen.
 *
 * A step runs while older daemons may still be at work, and may run twice when it was interrupted:
 * it adds and rewrites, and does not mind what is done already.
 */
struct cm_document_step {
        const char *name;
        int (*run)(struct cm_mongo *mongo); /* suspends */
};

struct cm_documents {
        const struct cm_document_store *store; /* &cm_document_store */
        const struct cm_mongo_index *indexes;
        size_t index_count;
        const struct cm_document_step *steps; /* the first one makes version 2 of version 1 */
        size_t step_count;
        const char *const *outboxes; /* collections whose documents may have events; ends with NULL;
                                        NULL: none */
};

/*
 * What service/ does with documents, as a table: only a daemon that names it links MongoDB's
 * driver, which costs each process memory whether it is used or not.
 */
struct cm_inbox;
struct cm_outbox;
struct cm_service_settings;
struct cm_user_ref;
struct cm_uuid;
struct user_ref;

struct cm_document_store {
        const struct cm_inbox *inbox;
        const struct cm_outbox *outbox;
        int (*open)(const struct cm_service_settings *settings, struct cm_mongo **mongo_r);
        void (*close)(struct cm_mongo **mongo);
        bool (*is_ready)(const struct cm_mongo *mongo);
        int (*check)(struct cm_mongo *mongo, const struct cm_documents *documents);
        int (*begin)(struct cm_mongo *mongo, const struct cm_documents *documents);
        int (*migrate_command)(const struct cm_service_settings *settings,
                               const struct cm_documents *documents);
        int (*status_command)(const struct cm_service_settings *settings,
                              const struct cm_documents *documents);
        /* user_refs_internal.h */
        int (*find_user)(struct cm_mongo *mongo, const struct cm_uuid *user_id,
                         struct cm_user_ref *ref_r);
        int (*put_users)(struct cm_mongo *mongo, struct cm_arena *arena,
                         const struct user_ref *const *users, size_t count);
};
extern const struct cm_document_store cm_document_store;

/* Runs the probe of the server (cm_mongo_probe), makes indexes, runs the steps that are missing.
 * Suspends. 0, CM_SCHEMA_TOO_NEW (nothing was touched) or an error. */
int documents_migrate(struct cm_mongo *mongo, const struct cm_documents *documents) CM_MUST_CHECK;
/* A cm_schema_state, or an error. Suspends. */
int documents_check(struct cm_mongo *mongo, const struct cm_documents *documents) CM_MUST_CHECK;
/* At the start of a daemon whose documents are current: the server can do what is asked of it, and
 * the indexes are there. 0, -CM_E_CONFIG (logged) or an error. Suspends. */
int documents_begin(struct cm_mongo *mongo, const struct cm_documents *documents) CM_MUST_CHECK;

/* The commands --migrate and --status, with a loop of their own. Results as above. */
int documents_migrate_command(const struct cm_service_settings *settings,
                              const struct cm_documents *documents) CM_MUST_CHECK;
int documents_status_command(const struct cm_service_settings *settings,
                             const struct cm_documents *documents) CM_MUST_CHECK;
/* The connection of a process; -CM_E_CONFIG is logged. */
int documents_open(const struct cm_service_settings *settings,
                   struct cm_mongo **mongo_r) CM_MUST_CHECK;
