#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

/*
 * Worker threads for what blocks (hashing, name look-ups, files). A lane is a named set of threads
 * with a bounded queue of its own, so that slow work of one kind never delays another kind.
 */
struct cm_work_lane;

/* `name` is static text, for the log and metrics. */
int cm_work_lane_new(const char *name, size_t threads, size_t max_queued,
                     struct cm_work_lane **lane_r) CM_MUST_CHECK;
/* The same with threads that give way to whoever else wants the processor: `nice` as of nice(2). */
int cm_work_lane_new_nice(const char *name, size_t threads, size_t max_queued, int nice,
                          struct cm_work_lane **lane_r) CM_MUST_CHECK;
/* Finishes what is queued, then ends the threads. */
void cm_work_lane_free(struct cm_work_lane **lane);

typedef int cm_work_fn(void *arg);

/*
 * Runs fn(arg) on a thread of the lane and suspends the fiber meanwhile; returns what fn returned.
 * -CM_E_OVERLOAD when the queue is full. Once fn was queued this waits for its end even beyond the
 * fiber's deadline (arg usually lives on the caller's stack); fn that is still queued at the
 * deadline is taken out and not run: -CM_E_DEADLINE.
 */
int cm_work_run(struct cm_work_lane *lane, cm_work_fn *fn, void *arg) CM_MUST_CHECK;

/*
 * The same for calls that may hang: never waits beyond the fiber's deadline or its end by a cancel.
 * fn that has begun then goes on alone: *left_r is true, the result is why the wait ended, and
 * `arg`, which must not lie on a stack, is the thread's, which calls release(arg) when fn has
 * returned. In every other case `arg` stays the caller's.
 */
int cm_work_run_or_leave(struct cm_work_lane *lane, cm_work_fn *fn, void *arg,
                         void (*release)(void *arg), bool *left_r) CM_MUST_CHECK;
