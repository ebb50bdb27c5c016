#pragma once
#include "bus/event.h"
#include "codec/schema.h"
#include "store/mongo.h"
#include "store/pg.h"
#include "store/redis.h"
#include "sys/progress.h"

/*
 * A consumer of other services' events: the service's group on their streams. Each batch runs in
 * one transaction together with its inbox rows; what is in the inbox already is acknowledged
 * without effect; a handler that fails is retried alone and, after max_attempts, dead-lettered with
 * the reason. Keeps its work alive by heartbeat, claims what others left, notices gaps and has them
 * filled by the owner. Positions that the group has committed are kept in the service's own
 * database, in tables that come with libcommon/bus/inbox.up.sql.
 *
 * What a handler can rely on: the effect of each event id happens once. What it cannot: that an
 * older event never comes after a newer one (after a retry, a claim or a gap it may), so facts
 * carry a version or a time and a handler leaves what is newer alone.
 *
 * Types of a known stream that nobody subscribed to are acknowledged without effect. What cannot
 * be read (attributes, version of CloudEvents, size, data against its schema) is a dead letter at
 * once.
 */
struct cm_delivery {
        const struct cm_event *event;
        struct cm_pg_tx *tx;    /* the inbox transaction, scoped to the batch's subjects: the effect
                                   belongs in it. NULL with documents */
        struct cm_mongo *mongo; /* with documents: see struct cm_consumer_config */
        struct cm_arena *arena;
        void *service; /* the worker's service object */
        int attempt;   /* from 1 */
};

/* Returns 0; a positive value when the fact makes no sense (dead letter at once); negative: again.
 */
typedef int cm_event_handler(struct cm_delivery *delivery, const void *fact);

/*
 * The same for all facts of one read that it takes, to make one statement of them: facts[i]
 * came by deliveries[i], by subject and about one subject in the order of the stream. Anything but
 * 0 takes the whole transaction back, and each fact goes alone through `handle`, which then judges
 * it: poison is found there.
 */
typedef int cm_event_batch_handler(struct cm_delivery *deliveries, const void *const *facts,
                                   size_t count);

struct cm_subscription {
        const char *stream;             /* "auth": s1:events:auth */
        const char *type;               /* "user.created.v1" */
        const struct cm_schema *schema; /* of data */
        cm_event_handler *handle;
        cm_event_batch_handler *handle_batch; /* may be NULL. Types that share it go together */
        bool is_repeatable; /* handling a fact again is harmless: documents keep no inbox entry of
                               it. Tables do */
        int64_t delay_us;   /* a fact is handled when it is so old, with what gathered meanwhile; by
                               one that is taken over or comes after a gap perhaps sooner. The same
                               for all of a stream */
};
/* A table of subscriptions ends with stream NULL. */

/* Ways to die that tests ask for, in builds with CM_FAULTS only: by the configuration, or for a
 * whole daemon by TEST_FAULT=die-before-commit, die-before-ack, hang-consumer, slow-handler or
 * crash-handler in its environment.
 */
enum cm_consumer_fault {
        CM_FAULT_NONE,
        CM_FAULT_DIE_BEFORE_COMMIT,
        CM_FAULT_DIE_BEFORE_ACK, /* after the commit */
        CM_FAULT_HANG,           /* with the first batch, until it is stopped */
        CM_FAULT_SLOW,           /* with the first batch, for ten leases */
        CM_FAULT_CRASH,          /* abort() in the handler of an event about nobody */
};

struct cm_inbox;
/* Over config.mongo. Only who names it links MongoDB's driver. */
extern const struct cm_inbox cm_inbox_documents;

struct cm_consumer_config {
        const char *group; /* "main-health": the service */
        const struct cm_subscription *subscriptions;
        struct cm_pg *pg; /* needs tx_connections */
        /* Instead of pg, for a service that keeps documents, both. There is no transaction: the
         * inbox has an event's entry after its effect, so that a crash between the two repeats the
         * effect instead of losing it. Handlers must be idempotent, by a version or the event's id
         * in the filter of their write. */
        struct cm_mongo *mongo;
        const struct cm_inbox *inbox; /* &cm_inbox_documents; NULL: tables */
        struct cm_redis *redis;       /* the worker's commands on the bus */
        const char *redis_url;        /* for a connection of its own, which blocks */
        void *service;                /* for cm_delivery */
        size_t batch;                 /* events in one transaction; 0: 128 */
        size_t max_data;              /* bytes; 0: 1 MiB */
        int64_t lease_us;             /* work that shows no life is another's after; 0: 5 s */
        int max_attempts;             /* 0: 5 */
        int64_t keep_us;              /* inbox rows; 0: 30 days */
        struct cm_progress *progress; /* kept up to date, for liveness; a step is a read, a batch or
                                         one handler. May be NULL */
        enum cm_consumer_fault fault;
};

struct cm_consumer;
/* Starts the consumer's fibers in this loop. Fails with -CM_E_OVERLOAD only; whatever else is wrong
 * is tried again. */
int cm_consumer_start(struct cm_loop *loop, const struct cm_consumer_config *config,
                      struct cm_consumer **consumer_r) CM_MUST_CHECK;
/* Finishes the batch in hand, or hands it back when the fiber's deadline comes first. Suspends. */
void cm_consumer_stop(struct cm_consumer **consumer);

/* Refuses a Redis that may evict streams: 0, -CM_E_CONFIG (logged), or why it could not be asked.
 */
int cm_bus_check(struct cm_redis *redis) CM_MUST_CHECK;
