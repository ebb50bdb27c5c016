#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/uuid.h"
#include "codec/stream_event.h"
#include "store/redis.h"
#include "sys/bell.h"

/*
 * Event logs: what a reply consists of while it is made, so that any replica can serve any client
 * of it, from the start or from where the client was cut off, byte for byte the same.
 *
 * The worker that makes a reply owns its log. Clients that are served by the same worker read it
 * from memory, at once; a copy goes to Redis behind it, for all others. Without Redis the former do
 * not notice, the latter are told to come again (-CM_E_UNAVAILABLE).
 *
 * A log ends with exactly one last event, which nobody sees before Redis has it, unless that is
 * away. The owner renews a lease; when it has died, whoever follows the log writes its end, `error`
 * with the code `interrupted`, exactly once, and nothing that the owner may still send is taken any
 * more.
 *
 * producer (a fiber of the service, not of a request):     consumer: http/event_follow.h
 *     r = cm_event_log_open(logs, &reply_id, &log);
 *     while (r == 0 && (r = next_token(&delta)) == 0)
 *             r = cm_event_log_append(log, &reply_event_delta, &delta);
 *     (void)cm_event_log_append(log, r == CM_EVENT_LOG_STOPPED ? … : &reply_event_done, &done);
 *     cm_event_log_close(&log);
 */
struct cm_event_logs; /* all of a worker */
struct cm_event_log;  /* one that is being made here */
struct cm_event_follower;

/* 0 anywhere takes the default in brackets. */
struct cm_event_logs_config {
        struct cm_redis *redis; /* commands */
        const char *redis_url;  /* the same server: a connection for signals is made */
        const char *service;    /* whose logs they are */
        int64_t lease_us;       /* [5 s] a producer that is silent for so long is dead */
        int64_t life_us;        /* [1 h] of a log in Redis after its end */
        size_t max_events;      /* [100000] of a log; then append says -CM_E_TOO_LARGE */
        size_t max_bytes;       /* [4 MiB] likewise */
};

enum cm_event_log_outcome {
        CM_EVENT_LOG_NONE = 1, /* there is no such log (any more) */
        CM_EVENT_LOG_STOPPED,  /* append: somebody asked to stop; say the last event */
        CM_EVENT_LOG_LOST,     /* append: another has ended or makes it; it is of no use any more */
        CM_EVENT_LOG_NOT_YET,  /* next: wait for the bell */
        CM_EVENT_LOG_BEGUN,    /* claim: somebody has begun it, or did long ago */
};

int cm_event_logs_new(struct cm_loop *loop, const struct cm_event_logs_config *config,
                      struct cm_event_logs **logs_r) CM_MUST_CHECK;
/* Waits until what was said is in Redis, at the latest until the fiber's deadline. Suspends. */
int cm_event_logs_flush(struct cm_event_logs *logs) CM_MUST_CHECK;
/* All logs and followers must be closed. What has not reached Redis is lost. */
void cm_event_logs_free(struct cm_event_logs **logs);

/* ---- the producer. Nothing here suspends but where it says so. */

/* -CM_E_OVERLOAD when this worker makes a log of that id already. */
int cm_event_log_open(struct cm_event_logs *logs, const struct cm_uuid *id,
                      struct cm_event_log **log_r) CM_MUST_CHECK;
/*
 * The same for a log that somebody else was to open and perhaps did not: with its first event, by
 * one operation, so that of all who try exactly one makes it. Who had opened it and is not in Redis
 * yet loses it. 0, CM_EVENT_LOG_BEGUN or negative; after -CM_E_UNCERTAIN it may be claimed, and
 * ends as interrupted. Suspends.
 */
int cm_event_log_claim(struct cm_event_logs *logs, const struct cm_uuid *id,
                       const struct cm_event_type *type, const void *value,
                       struct cm_event_log **log_r) CM_MUST_CHECK;
/* Whether Redis or this worker has each of these logs: nobody can claim it. Suspends, once for all.
 */
int cm_event_log_are_begun(struct cm_event_logs *logs, const struct cm_uuid *ids, size_t count,
                           bool *begun_r) CM_MUST_CHECK;
/* `value` is of the type's schema. Ids count from 1. A last event is always taken, once. 0,
 * CM_EVENT_LOG_STOPPED or CM_EVENT_LOG_LOST (nothing was appended), -CM_E_TOO_LARGE. */
int cm_event_log_append(struct cm_event_log *log, const struct cm_event_type *type,
                        const void *value) CM_MUST_CHECK;
/* Calls fn once when somebody asks to stop (at once when that was before) or the log is lost, so
 * that a producer that waits for something else can end that. */
void cm_event_log_on_stop(struct cm_event_log *log, void (*fn)(void *arg), void *arg);
bool cm_event_log_is_stopped(const struct cm_event_log *log);
/* Another makes it, or has made it: what becomes of it is said there. */
bool cm_event_log_is_taken(const struct cm_event_log *log);
/* The end of producing. Without a last event it becomes `error`, interrupted. Sets *log to NULL. */
void cm_event_log_close(struct cm_event_log **log);

/* ---- stopping, from any replica */

/* Asks the producer to stop; it is told within milliseconds. 0, CM_EVENT_LOG_NONE, or negative.
 * Suspends unless the log is this worker's. */
int cm_event_log_stop(struct cm_event_logs *logs, const struct cm_uuid *id) CM_MUST_CHECK;

/* Ends a log whose producer has died, as its followers do, for one that nobody follows. *ended_r:
 * it has ended, now or before. 0, CM_EVENT_LOG_NONE, or negative. Suspends unless the log is this
 * worker's. */
int cm_event_log_end_orphan(struct cm_event_logs *logs, const struct cm_uuid *id,
                            bool *ended_r) CM_MUST_CHECK;

/* ---- followers */

/* Follows a log behind `last_id`. 0, CM_EVENT_LOG_NONE (the reply has ended long ago: serve what
 * was stored), or negative. Suspends when the log is not this worker's. */
int cm_event_follower_new(struct cm_event_logs *logs, const struct cm_uuid *id, int64_t last_id,
                          struct cm_event_follower **follower_r) CM_MUST_CHECK;
/* The bell is rung (CM_STREAM_NEWS) when there may be more, and now. Outlives the follower. */
void cm_event_follower_listen(struct cm_event_follower *follower, struct cm_bell *bell);
/* The next event, a view until the next call. CM_EVENT_LOG_NOT_YET, also while Redis is away;
 * CM_EVENT_LOG_NONE: no more will come, or the log was lost with Redis; the client has to ask
 * again. Suspends when the log is not this worker's. */
int cm_event_follower_next(struct cm_event_follower *follower,
                           struct cm_stream_event *event_r) CM_MUST_CHECK;
const struct cm_uuid *cm_event_follower_id(const struct cm_event_follower *follower);
/* Nothing comes behind the id that it was made with: the client has seen the end. */
bool cm_event_follower_is_behind_end(const struct cm_event_follower *follower);
void cm_event_follower_free(struct cm_event_follower **follower);
