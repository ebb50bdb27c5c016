#pragma once
#include "bus/event.h"
#include "store/pg.h"

/*
 * A consumer of other services' events: the service's group on their streams. Each batch runs in
 * one transaction together with its inbox rows; what is in the inbox already is acknowledged
 * without effect; a handler that fails is retried alone and, after max_attempts, dead-lettered with
 * the reason. Keeps its work alive by heartbeat, claims what others left, notices gaps and has them
 * filled by the owner. Positions that the group has committed are kept in the service's own
 * database.
 */
struct cm_delivery {
        const struct cm_event *event;
        struct cm_pg_tx *tx; /* the inbox transaction: the effect belongs in it */
        struct cm_arena *arena;
        void *service; /* the worker's service object */
        int attempt;   /* from 1 */
};

/* Returns 0; a positive value when the fact makes no sense (dead letter at once); negative: again.
 */
typedef int cm_event_handler(struct cm_delivery *delivery, const void *fact);

struct cm_subscription {
        const char *stream;             /* "auth": s1:events:auth */
        const char *type;               /* "user.created.v1" */
        const struct cm_schema *schema; /* of data */
        cm_event_handler *handle;
};
/* A table of subscriptions ends with stream NULL. */
