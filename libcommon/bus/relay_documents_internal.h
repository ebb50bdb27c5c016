#pragma once
#include <pthread.h>

#include "bus/relay_internal.h"
#include "schemas.h"

/* What the files of the outbox inside documents share: see relay_documents.c. Nobody else includes
 * this. */

#define RELAY_LOOK_US       (50 * CM_MILLISECOND)
#define RELAY_GATHER_US     (50 * CM_MILLISECOND)
#define RELAY_MAX_DOCUMENTS 200 /* in one batch */

struct hint {
        struct cm_list link;
        const char *collection;
        struct cm_str id; /* behind the struct */
};

struct relay_documents {
        struct cm_mongo *mongo;
        struct cm_uuid owner; /* this relay */
        pthread_mutex_t lock; /* of the three below */
        struct cm_list hints;
        size_t hint_count;
        bool wants_scan;
        bool has_indexes;
        int64_t next_look_us;
        int64_t next_scan_us;
        int64_t waiting_since_us; /* monotonic; 0: nothing waits */
};

extern const struct cm_collection relay_records, relay_leases;

struct cm_str relay_lease_key(void);
/* What nobody here expects is the database's fault. */
int relay_expect_none(int r);
void relay_filter_own_lease(const struct cm_relay *relay, struct cm_filter *filter);

/* relay_documents_hints.c: which documents have events */
void relay_hint(struct cm_relay *relay, const char *collection, struct cm_str id);
void relay_hint_add(struct relay_documents *documents, const char *collection, struct cm_str id);
struct hint *relay_hint_next(struct relay_documents *documents); /* the caller's; NULL: none */
void relay_want_scan(struct relay_documents *documents, bool wants);
bool relay_must_scan(struct relay_documents *documents); /* no hint is left, and it is time */
/* Those of other processes: takes them, or gives them to the leader. Suspend. */
int relay_hints_look(struct cm_relay *relay) CM_MUST_CHECK;
int relay_hints_give(struct cm_relay *relay) CM_MUST_CHECK;

/* relay_documents_take.c: from documents to records. Suspends. */
int relay_documents_take(struct cm_relay *relay, struct relay_batch *batch_r) CM_MUST_CHECK;
void relay_documents_batch(struct cm_relay *relay, const struct published_event *events,
                           size_t count, struct relay_batch *batch);
