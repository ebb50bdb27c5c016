#pragma once
#include "bus/consumer.h"
#include "http/route.h"
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

/* Settings that each daemon has; the service's own struct starts with it. */
struct cm_service_settings {
        char *listen;               /* SALUS_LISTEN host:port */
        int64_t workers;            /* SALUS_WORKERS */
        char *database_url;         /* DATABASE_URL */
        char *migrate_database_url; /* MIGRATE_DATABASE_URL */
        int64_t pg_connections;     /* SALUS_PG_CONNECTIONS per worker */
        char *redis_url;            /* REDIS_URL: the bus */
        char *redis_cache_url;      /* REDIS_CACHE_URL */
        char *log_level;            /* SALUS_LOG_LEVEL */
        char *token_issuer;         /* SALUS_TOKEN_ISSUER */
        char *token_audience;       /* SALUS_TOKEN_AUDIENCE */
        char *cursor_key;           /* SALUS_CURSOR_KEY: signs cursors; the same in all replicas */
        char *trusted_proxies; /* SALUS_TRUSTED_PROXIES: addresses whose X-Forwarded-For counts */
        int64_t max_body;      /* SALUS_MAX_BODY */
        int64_t request_timeout_us;
        int64_t drain_timeout_us;
        /* the owner of the rest may add */
};

struct cm_worker {
        int index;
        struct cm_loop *loop;
        const struct cm_service *service;
        const void *settings; /* the service's own settings struct */
        struct cm_pg *pg;
        struct cm_redis *bus;
        struct cm_redis *cache_redis;
        struct cm_cache *cache;
        void *object; /* what worker_start made */
};

struct cm_service {
        const char *name;    /* "main-health" */
        const char *program; /* "salus-main-health" */
        const struct cm_setting *const
                *settings; /* tables, ends with NULL; first is cm_service_setting_table */
        size_t settings_size;
        const struct cm_migrations *migrations;
        const struct cm_routes *routes;
        const struct cm_subscription *subscriptions;
        /* In each worker's thread, in a fiber, before requests are taken. May suspend. */
        int (*worker_start)(struct cm_worker *worker);
        void (*worker_stop)(struct cm_worker *worker);
};

extern const struct cm_setting cm_service_setting_table[];

/* Runs the daemon or one of its commands (--migrate, --rollback N, --status, --print-config,
 * --healthcheck, --version). Returns the exit status. */
int cm_service_main(const struct cm_service *service, int argc, char **argv);
