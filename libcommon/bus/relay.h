#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "store/mongo.h"
#include "store/redis.h"
#include "sys/loop.h"
#include "sys/progress.h"

/*
 * The relay moves what the outbox holds to the stream `s1:events:<service>`. Of all the relays of a
 * service (replicas, workers) one leads at a time; the others wait, so starting one in a single
 * worker of each process is enough.
 *
 * It also keeps the stream: sends again what Redis lost, sends a group what it misses, trims behind
 * the slowest group, prunes the outbox, and measures lag.
 */
struct cm_relay;

struct cm_outbox;
/* Inside documents, over config.mongo (outbox_document.h). Only who names it links MongoDB's
 * driver.
 */
extern const struct cm_outbox cm_outbox_documents;

struct cm_relay_config {
        const char *service; /* "auth"; static text */
        const char
                *conninfo; /* of the service's database; the relay opens connections of its own */
        const struct cm_outbox *outbox; /* &cm_outbox_documents; NULL: a table */
        struct cm_mongo *mongo;         /* instead of conninfo, with documents */
        const char *const *collections; /* whose documents may have events; ends with NULL */
        int64_t lease_us; /* with documents: a leader that says nothing for so long is replaced; 0:
                           * 5 s
                           */
        struct cm_redis *redis; /* the worker's commands on the bus */
        int64_t keep_us; /* outbox rows are kept at least as long after they were sent; 0: 7 days */
        int64_t window;  /* positions that stay in the stream behind the slowest group; 0: 1000 */
        int64_t silent_us; /* a group that says nothing for so long is not waited for; 0: 24 hours
                            */
        struct cm_progress *progress; /* kept up to date, for liveness; a step gives up on a silent
                                         server after 20 s. May be NULL */
        bool hangs; /* for tests, in builds with CM_FAULTS only; TEST_FAULT=hang-relay likewise: the
                       first step never ends */
        bool mirrors; /* says each fact on its topic, for apps that listen to Redis */
};

/* Starts the relay's fibers in this loop. Fails with -CM_E_OVERLOAD only; whatever else is wrong is
 * tried again. `config` is copied, its texts and pointers must live as long as the relay. */
int cm_relay_start(struct cm_loop *loop, const struct cm_relay_config *config,
                   struct cm_relay **relay_r) CM_MUST_CHECK;
/* Finishes the batch in hand, gives the lead up and frees everything. Suspends the fiber. */
void cm_relay_stop(struct cm_relay **relay);
/* There is something new in the outbox. From any thread, also when another process leads: it is
 * told. */
void cm_relay_wake(struct cm_relay *relay);
/* The same of one document: it has a waiting event. `collection` is one of the configuration's, the
 * text is copied. Without it the event waits until the relay looks at all documents, which it does
 * seldom. */
void cm_relay_wake_document(struct cm_relay *relay, const char *collection, struct cm_str id);
