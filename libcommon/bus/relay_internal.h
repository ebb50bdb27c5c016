#pragma once
#include <stdatomic.h>

#include "base/arena.h"
#include "base/list.h"
#include "bus/event.h"
#include "bus/relay.h"
#include "store/pg.h"
#include "sys/fiber.h"
#include "sys/metrics.h"

/* What the files of the relay share. Nobody else includes this. */

/* Outcomes, which all end in a new start: see relay.c. */
enum {
        RELAY_NOT_LEADING = 1,
        RELAY_OUT_OF_STEP, /* the stream's head is not where it should be */
};

/* Where the relay stands in the outbox: `position` is the last one given, to the last event of row
 * (xid, id). */
struct relay_cursor {
        int64_t position;
        int64_t xid;
        int64_t id;
};

/* A group that reads the stream, as last seen. */
struct relay_group {
        struct cm_list node;
        char *name;
        int64_t acked;       /* all up to here is done with */
        int64_t acked_saved; /* in the database */
        int64_t seen_us;     /* monotonic: when a consumer of it last showed life */
        struct cm_metric *lag;
        struct cm_metric *oldest;
};

struct cm_relay {
        struct cm_loop *loop;
        struct cm_relay_config config;
        const struct cm_outbox *store;     /* config.outbox, or the table */
        struct cm_pg *pg;                  /* relay_store.c's */
        struct relay_documents *documents; /* relay_documents.c's */
        struct cm_str stream;              /* s1:events:<service> */
        struct cm_str missing;             /* s1:missing:<service> */
        struct cm_arena keys;
        struct cm_arena arena; /* of the present step */

        int64_t term;
        struct relay_cursor cursor;
        struct cm_list groups;
        int64_t trimmed;
        int64_t next_tick_us;
        int64_t next_save_us;
        int64_t next_prune_us;

        struct cm_cond woken;
        bool has_news; /* said by this process */
        bool was_told; /* said by the database */
        bool is_leading;
        bool is_stopping;
        bool has_ended;
        _Atomic bool wake_posted;

        struct cm_progress own_progress; /* when nobody wants to know */
        struct cm_metric *published;
};

struct relay_batch {
        struct cm_event *events; /* by position */
        size_t count;
        struct cm_pg_result result; /* holds their texts */
};
void relay_batch_clear(struct relay_batch *batch);

/* Begins the next step and gives it its time, so that a server that says nothing stops it. */
void relay_limit(struct cm_relay *relay);

/*
 * The outbox, in PostgreSQL (relay_store.c) or inside documents (relay_documents.c). All but open
 * and close suspend.
 */
struct cm_outbox {
        int64_t most_nap_us; /* it wants to be asked so often */
        int64_t gather_us;   /* news gather for so long; 0: not at all */
        int (*open)(struct cm_relay *relay);
        void (*close)(struct cm_relay *relay); /* also when open failed */
        int (*lead)(struct cm_relay *relay);   /* 0 or RELAY_NOT_LEADING */
        int (*still_leads)(struct cm_relay *relay);
        void (*resign)(struct cm_relay *relay);
        /* Gives the next events their positions, records that, moves the cursor. */
        int (*take)(struct cm_relay *relay, struct relay_batch *batch_r);
        /* Events that have positions from `first` to `last`; fewer when some are void or pruned. */
        int (*read)(struct cm_relay *relay, int64_t first, int64_t last,
                    struct relay_batch *batch_r);
        /* The next position from `from` on that has an event; beyond the cursor when there is none.
         */
        int (*next)(struct cm_relay *relay, int64_t from, int64_t *position_r);
        /* Which event would get `position`, were all that waits taken now. False: none. */
        int (*preview)(struct cm_relay *relay, int64_t position, struct cm_uuid *id_r,
                       bool *found_r);
        /* Gives up the positions up to `last`: they mean nothing. */
        int (*skip)(struct cm_relay *relay, int64_t last);
        int (*groups)(struct cm_relay *relay);
        int (*save_group)(struct cm_relay *relay, const struct relay_group *group);
        int (*prune)(struct cm_relay *relay);
        int (*measure)(struct cm_relay *relay);
        /* What this process has written is the leader's to send. */
        int (*tell)(struct cm_relay *relay);
        /* A document has a waiting event. NULL: there are no documents. Does not suspend. */
        void (*hint)(struct cm_relay *relay, const char *collection, struct cm_str id);
};
extern const struct cm_outbox relay_outbox_table;

/* relay.c: the outbox says that there is news (cm_loop_fn). */
void relay_told(void *relay);
/* relay_store.c: gauges */
void relay_show_outbox(int64_t pending, int64_t oldest_s);

/* relay_publish.c: the stream. All suspend. */
int relay_publish(struct cm_relay *relay, const struct relay_batch *batch) CM_MUST_CHECK;
/* relay_mirror.c: topics, of what relay_publish() has sent. Suspends. */
void relay_mirror(struct cm_relay *relay, const struct relay_batch *batch);
/* Brings stream and outbox together, whichever is behind. */
int relay_compare(struct cm_relay *relay) CM_MUST_CHECK;
/* Last generated position of the stream from the reply of XINFO STREAM. */
int64_t relay_head(const struct cm_redis_reply *info);

/* relay_refill.c: what a group asks for */
int relay_refill(struct cm_relay *relay, const struct cm_redis_reply *asked) CM_MUST_CHECK;

/* relay_keep.c: what is done from time to time */
int relay_keep(struct cm_relay *relay) CM_MUST_CHECK;
struct relay_group *relay_group_get(struct cm_relay *relay, struct cm_str name);
void relay_groups_free(struct cm_relay *relay);
