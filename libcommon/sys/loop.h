#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/*
 * One event loop per thread, over libevent. Everything that belongs to a loop is touched by its own
 * thread only; cm_loop_post() is the one way in from outside.
 */
struct cm_loop;
struct event_base;

typedef void cm_loop_fn(void *arg);

int cm_loop_new(struct cm_loop **loop_r) CM_MUST_CHECK;
void cm_loop_free(struct cm_loop **loop);
/* Runs until cm_loop_stop(). */
void cm_loop_run(struct cm_loop *loop);
void cm_loop_stop(struct cm_loop *loop);
/* The loop that this thread is running, or NULL. */
struct cm_loop *cm_loop_current(void);

/* Calls fn once, in this loop's thread, later in the same turn; in order of asking. Own thread
 * only. */
void cm_loop_defer(struct cm_loop *loop, cm_loop_fn *fn, void *arg);
/* Calls fn at the end of every turn (flushing of buffers). Own thread only. */
void cm_loop_each_turn(struct cm_loop *loop, cm_loop_fn *fn, void *arg);
/* Calls fn once in the loop's thread. From any thread; in order of asking. */
void cm_loop_post(struct cm_loop *loop, cm_loop_fn *fn, void *arg);

/* A timer owned by the caller's object. Fires once per start; stop is always allowed. */
struct cm_timer;
struct cm_timer *cm_timer_new(struct cm_loop *loop, cm_loop_fn *fn, void *arg);
void cm_timer_free(struct cm_timer **timer);
void cm_timer_start(struct cm_timer *timer, int64_t delay_us);
void cm_timer_stop(struct cm_timer *timer);

/* A file descriptor's readiness, level-triggered. `events` is a mask; 0 pauses the watch. */
enum { CM_READABLE = 1, CM_WRITABLE = 2 };
struct cm_watch;
typedef void cm_watch_fn(void *arg, int events);
struct cm_watch *cm_watch_new(struct cm_loop *loop, int fd, cm_watch_fn *fn, void *arg);
void cm_watch_free(struct cm_watch **watch);
void cm_watch_set(struct cm_watch *watch, int events);

/* Monotonic time of the loop's last turn: its progress, for liveness. Any thread. */
int64_t cm_loop_heartbeat_us(const struct cm_loop *loop);

/* For driver adapters in store/ and http/ only. */
struct event_base *cm_loop_event_base(struct cm_loop *loop);
