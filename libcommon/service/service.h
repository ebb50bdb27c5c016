#pragma once
#include "bus/consumer.h"
#include "bus/rpc_client.h"
#include "bus/rpc_server.h"
#include "bus/signals.h"
#include "http/route.h"
#include "service/documents.h"
#include "settings.h"
#include "store/cache.h"
#include "store/migrate.h"
#include "store/pg.h"
#include "store/redis.h"
#include "sys/config.h"
#include "sys/loop.h"
#include "sys/work.h"

/*
 * What it means to be one of our daemons: settings, migrations, workers, readiness, drain. main.c
 * fills one struct cm_service and calls cm_service_main().
 */

/* Settings that each daemon has are in proto/settings/common.yaml: struct cm_service_settings and
 * cm_service_setting_table in the generated settings.h. A service's own struct starts with it. */

struct cm_worker {
        int index;
        struct cm_loop *loop;
        const struct cm_service *service;
        const void *settings;   /* the service's own settings struct */
        struct cm_pg *pg;       /* NULL with documents */
        struct cm_mongo *mongo; /* with documents: the process' */
        struct cm_redis *bus;
        struct cm_redis *cache_redis;
        struct cm_cache *cache;
        struct cm_rpc *rpc;         /* calls of other services */
        struct cm_signals *signals; /* live hints, to and from all workers of all replicas */
        void *object;               /* what worker_start made */
};

/* A command of a service's own. A table ends with name NULL. The functions get NULL when no
 * argument was given, and return the exit status. */
struct cm_command {
        const char *name;                 /* "--next" */
        const char *help;                 /* lines for --help, each beginning with two blanks */
        int (*run)(const char *argument); /* without settings and stores; or: */
        int (*run_with)(const void *settings, const char *argument); /* without stores; or: */
        /* In a fiber, with a minute's time. Of the worker there are settings, pg, bus (perhaps not
         * connected) and signals for sending. */
        int (*run_on_stores)(struct cm_worker *worker, const char *argument);
};

struct cm_service {
        const char *name;                         /* "main-health" */
        const char *program;                      /* "salus-main-health" */
        const struct cm_setting *const *settings; /* tables, ends with NULL; first is
                                                     cm_service_setting_table */
        size_t settings_size;
        const struct cm_migrations *migrations;
        const struct cm_documents *documents; /* instead: it keeps documents (MONGO_URI) */
        const struct cm_routes *routes;
        const struct cm_subscription *subscriptions; /* NULL: listens to nobody */
        const struct cm_rpc_methods *rpc;  /* NULL: answers no calls; else main_health_rpc */
        bool publishes;                    /* has an outbox and so a stream of its own */
        bool user_refs;                    /* has the table user_refs: see user_refs.h */
        const struct cm_command *commands; /* NULL: none of its own */
        /* NULL, or hears of requests that the guard refuses, before the reply and in their fiber:
         * for their token, unless there is none or it has expired ("bad_signature", "revoked"), for
         * what they may not do ("scope", "account"), for a limit ("limit"). May suspend. */
        void (*refused)(struct cm_request *request, const char *reason);
        /* In each worker's thread, in a fiber, before requests are taken; the database is there and
         * its schema is current. May suspend. Called again after a while when it fails, except with
         * -CM_E_CONFIG, which ends the daemon. worker_stop undoes it, also half done. */
        int (*worker_start)(struct cm_worker *worker);
        void (*worker_stop)(struct cm_worker *worker);
};

/* Runs the daemon or one of its commands (--migrate, --rollback N, --status, --print-config,
 * --healthcheck, --version, --help). Returns the exit status: 0; 1 when it failed or had to leave
 * work undone; 2 for a wrong command line or settings. */
int cm_service_main(const struct cm_service *service, int argc, char **argv);

/* There is something new in the outbox, and it is committed: the relay looks at once. `worker` is
 * any struct cm_worker of the daemon, in its own thread (void, to be cm_pg_gather_spec.committed).
 * A hint without promise: what it does not reach the relay finds by itself within half a second. */
void cm_worker_wake_relay(void *worker);

/* The same of one document: see cm_relay_wake_document(). `collection` is one of
 * cm_documents.outboxes. */
void cm_worker_wake_relay_document(struct cm_worker *worker, const char *collection,
                                   struct cm_str id);

/* The worker's own keys for tokens, when it knows them without the bus (auth does). JWK set. */
int cm_worker_set_keys(struct cm_worker *worker, struct cm_str jwks) CM_MUST_CHECK;
