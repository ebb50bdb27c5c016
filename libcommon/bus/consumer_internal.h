#pragma once
#include "base/arena.h"
#include "base/map.h"
#include "bus/consumer.h"
#include "sys/fiber.h"

/* What the files of the consumer share. Nobody else includes this. */

#define CONSUMER_MAX_STREAMS 8

/* A stream of facts that the group reads. */
struct consumer_stream {
        struct cm_str name;
        struct cm_str key;
        int64_t seen;        /* last position read by this process */
        int64_t asked_first; /* what was last asked of the owner */
        int64_t asked_last;
        bool is_suspicious; /* a position was missing in between */
        bool has_moved;     /* something was committed since the last look */
        int64_t next_look_us;
        int64_t delay_us; /* of its facts; 0: none */
};

/* Entries of streams with a delay: read, and held until they are old enough. */
struct consumer_held {
        struct cm_arena arena;
        struct consumer_entry *entries;
        size_t count;
        int64_t due_us; /* then they are worked on, or the streams are read */
};

enum entry_fate {
        ENTRY_EFFECT, /* a handler is to see it, unless the inbox knows it */
        ENTRY_SKIP,   /* nobody subscribed to its type */
        ENTRY_VOID,   /* no event: the owner says that positions mean nothing */
        ENTRY_DEAD,
        ENTRY_LATER, /* failed; stays pending until it is claimed again */
};

struct consumer_entry {
        struct cm_str key; /* of the Redis stream that it came by */
        struct cm_str id;
        const struct cm_redis_reply *fields;
        struct consumer_stream *stream; /* NULL: of none that we read */
        enum entry_fate fate;
        int attempt;
        const char *reason; /* of a dead letter; static text, a metric's label */
        struct cm_str detail;
        int64_t first_position; /* 0: none */
        int64_t last_position;
        struct cm_event event;
        const struct cm_subscription *subscription;
        void *fact;
        bool is_new; /* the inbox did not know it */
};

struct cm_consumer {
        struct cm_loop *loop;
        struct cm_consumer_config config;
        struct cm_redis *reader; /* blocks */
        struct cm_arena names;
        struct cm_arena arena;    /* of the batch */
        struct cm_arena *reading; /* of what is being read: `arena`, or that of what is held */
        struct cm_arena attempt;  /* of one transaction for it: a database that is away for hours is
                                     tried often */
        struct cm_str group;
        struct cm_str name; /* of this process start */
        struct cm_str redelivery;
        struct cm_str dead;
        struct consumer_stream streams[CONSUMER_MAX_STREAMS];
        size_t stream_count;

        struct consumer_entry *work; /* what the heartbeat keeps alive */
        size_t work_count;
        struct consumer_held held;
        bool has_groups;
        int64_t next_claim_us;
        int64_t next_prune_us;

        struct cm_progress own_progress; /* when nobody wants to know */
        struct cm_fiber *fiber;
        struct cm_cond stopped;
        bool is_stopping;
        int fibers; /* that have not ended */
};

struct consumer_stream *consumer_stream_find(struct cm_consumer *consumer, struct cm_str name);
/* Sets the current fiber's deadline for one step. */
void consumer_limit(int64_t duration_us);

/* consumer.c: reading and working. Suspend. */
int consumer_read(struct cm_consumer *consumer, bool are_delayed, int64_t block_us,
                  struct consumer_entry **entries_r, size_t *count_r) CM_MUST_CHECK;
int consumer_work_out(struct cm_consumer *consumer, struct consumer_entry *entries,
                      size_t count) CM_MUST_CHECK;

/* consumer_held.c: streams whose facts have a delay. Suspends. */
int consumer_held_work(struct cm_consumer *consumer) CM_MUST_CHECK;
/* At the end nothing is handed to another replica that can be done now. */
void consumer_held_end(struct cm_consumer *consumer);
/* Microseconds until there is something to do. */
int64_t consumer_held_wait_us(const struct cm_consumer *consumer);

/* consumer_entry.c: what an entry is; in the arena `reading` */
void consumer_entry_read(struct cm_consumer *consumer, struct cm_str key,
                         const struct cm_redis_reply *entry, int attempt,
                         struct consumer_entry *entry_r);
void consumer_entry_kill(struct consumer_entry *entry, const char *reason, struct cm_str detail);

/* consumer_batch.c: from entries to effects. Suspends. 0, or why nothing of it can be done now. */
int consumer_work(struct cm_consumer *consumer, struct consumer_entry *entries,
                  size_t count) CM_MUST_CHECK;

struct consumer_range {
        int64_t first;
        int64_t last;
};

/* The inbox, in tables (consumer_store.c) or as documents (consumer_documents.c). All suspend. */
struct cm_inbox {
        int (*open)(struct cm_consumer *consumer, struct cm_str stream);
        /* Begins the transaction of these entries, where there is one, and marks those is_new that
         * the inbox did not have. */
        int (*begin)(struct cm_consumer *consumer, const struct cm_pg_scope *scope,
                     struct consumer_entry *entries, size_t count, struct cm_pg_tx **tx_r);
        /* Writes down that they are done with, and commits. */
        int (*commit)(struct cm_consumer *consumer, struct cm_pg_tx **tx,
                      const struct consumer_entry *entries, size_t count);
        /* Joins what is done to the position. Ranges beyond it are returned in the arena, by
         * position. */
        int (*advance)(struct cm_consumer *consumer, struct cm_str stream, struct cm_arena *arena,
                       int64_t *position_r, struct consumer_range **beyond_r, size_t *count_r);
        int (*prune)(struct cm_consumer *consumer);
};
extern const struct cm_inbox consumer_inbox_tables;
/* What is done with, as ranges: neighbours joined. Room for `count` each. */
size_t consumer_runs(const struct consumer_entry *entries, size_t count,
                     struct consumer_range *runs, const struct consumer_stream **streams);

/* consumer_group.c: the group in Redis. All suspend. */
int consumer_group_open(struct cm_consumer *consumer) CM_MUST_CHECK;
/* Acknowledges, and moves dead letters away. */
void consumer_group_finish(struct cm_consumer *consumer, struct consumer_entry *entries,
                           size_t count);
void consumer_group_keep_alive(struct cm_consumer *consumer);
/* Takes over one entry that shows no life: *entry_r, or count 0. */
int consumer_group_claim(struct cm_consumer *consumer, struct cm_str key,
                         struct consumer_entry *entry_r, size_t *count_r) CM_MUST_CHECK;

/* consumer_gap.c: looks for positions that are nowhere and asks the owner for them. Suspends. */
int consumer_gap_look(struct cm_consumer *consumer, struct consumer_stream *stream) CM_MUST_CHECK;
