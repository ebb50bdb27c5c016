#pragma once
#include "base/list.h"
#include "base/map.h"
#include "bus/event_log.h"
#include "sys/fiber.h"

/* What the files of the event log share: event_log.c (the log in memory), event_log_copy.c (its
 * copy in Redis), event_log_follow.c (readers), event_log_signal.c (signals between workers). */
#define CM_EVENT_LOG_NEWS 1u /* = CM_STREAM_NEWS */
#define INSTANCE_SIZE     33
#define MAX_WATCHERS      8
#define WATCH_US          (2 * CM_SECOND) /* a follower says so often that it is there */
#define POLL_US           (500 * CM_MILLISECOND)

struct log_entry {
        const char *type; /* a contract's constant */
        struct cm_str data;
};

/* A worker that follows the log through Redis. */
struct log_watcher {
        char instance[INSTANCE_SIZE];
        int64_t until_us;
};

struct cm_event_log {
        struct cm_event_logs *logs;
        struct cm_list link; /* of logs->logs */
        struct cm_uuid id;
        char id_text[CM_UUID_TEXT_SIZE];
        char holder[INSTANCE_SIZE + 24]; /* who it is for the lease */
        struct cm_arena arena;
        struct log_entry *entries;
        size_t count;
        size_t cap;
        size_t bytes;
        bool ended;   /* the last entry is a last event */
        bool closed;  /* the producer has gone */
        bool stopped; /* somebody asked */
        bool lost;    /* it is another's in Redis */
        bool taken;   /* ... who makes it, or has made it */
        bool broken;  /* ... and the last entry here says so too */
        bool held;    /* the last entry is not shown before Redis has taken it: see append */
        void (*on_stop)(void *arg);
        void *on_stop_arg;
        struct cm_list followers; /* of this worker */
        struct log_watcher watchers[MAX_WATCHERS];
        size_t watcher_count;
        size_t copied;    /* entries known to be in Redis */
        bool copying;     /* a fiber is at it */
        bool ask_again;   /* ... and has to do it once more: lease, watchers */
        int64_t lease_us; /* monotonic time of the last renewal; 0: never */
        int64_t retry_us; /* after a failure: not before */
};

struct cm_event_logs {
        struct cm_event_logs_config config;
        struct cm_loop *loop;
        struct cm_redis *signals;
        char instance[INSTANCE_SIZE];
        struct cm_map *by_id; /* struct cm_event_log, by the text of the id */
        struct cm_list logs;
        struct cm_list remote; /* followers through Redis */
        size_t copying;
        uint64_t opened; /* how many, for holders' names */
        struct cm_cond quiet;
        struct cm_timer *timer; /* leases, watches, polls */
        bool ending;            /* no further copies */
};

struct cm_event_follower {
        struct cm_list link; /* of log->followers or logs->remote */
        struct cm_event_logs *logs;
        struct cm_event_log *log; /* NULL: through Redis */
        struct cm_uuid id;
        char id_text[CM_UUID_TEXT_SIZE];
        struct cm_bell *bell;
        int64_t last_id;
        int64_t end_id; /* of the last event, when it is known at the start; else 0 */
        bool hinted;    /* there may be more in Redis */
        int64_t watched_us;
        struct cm_arena arena; /* of what was read */
        struct cm_stream_event *batch;
        size_t batch_count, batch_next;
};

/* event_log.c */
int64_t log_entry_id(const struct cm_event_log *log, size_t index);
/* How many entries followers may see. */
size_t log_visible(const struct cm_event_log *log);
/* Wakes all who read it here. */
void log_tell(struct cm_event_log *log);
void log_stop(struct cm_event_log *log);
/* Somebody else has ended it. */
void log_lose(struct cm_event_log *log);
void log_ring(struct cm_event_follower *follower);
/* Frees it when nobody needs it any more. */
void log_settle(struct cm_event_log *log);
struct cm_str log_interrupted(struct cm_arena *arena);

/* event_log_copy.c */
void log_copy_soon(struct cm_event_log *log);
/* Makes a log with its first entry this worker's, if nobody has begun it. 0, CM_EVENT_LOG_BEGUN or
 * negative. Suspends. */
int log_claim(struct cm_event_log *log, struct cm_arena *arena) CM_MUST_CHECK;
/* Ends a log whose producer is dead. 0 with whether it has an end (now); NONE; or negative. */
int log_take_over(struct cm_event_logs *logs, const struct cm_uuid *id, struct cm_arena *arena,
                  bool *ended_r);

/* event_log_signal.c */
int log_signals_start(struct cm_event_logs *logs);
/* Tells the producer that this worker wants to be told. May be lost. Suspends. */
void log_watch(struct cm_event_follower *follower, struct cm_arena *arena);
