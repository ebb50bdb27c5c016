#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "sys/context.h"
#include "sys/loop.h"

/*
 * Fibers: straight-line code over the loop. A fiber runs on a small stack of its own until it
 * waits; then the loop goes on. Fibers of one loop never run at the same time, so between two waits
 * nothing else of this worker changes. Every wait ends at the fiber's deadline at the latest.
 */
struct cm_fiber;
typedef void cm_fiber_fn(void *arg);

#define CM_NEVER INT64_MAX

struct cm_fiber_pool_config {
        size_t stack_size;  /* bytes, a multiple of the page size; a guard page is added */
        size_t max_fibers;  /* beyond it cm_fiber_start() says -CM_E_OVERLOAD */
        size_t keep_stacks; /* idle stacks kept for reuse */
};

/* Gives the loop its fibers. Once per loop, before the first start; freed with the loop's thread.
 */
int cm_fiber_pool_init(struct cm_loop *loop,
                       const struct cm_fiber_pool_config *config) CM_MUST_CHECK;
/* All fibers must have ended. */
void cm_fiber_pool_deinit(struct cm_loop *loop);

struct cm_fiber_stats {
        size_t running;      /* started and not ended */
        size_t most_running; /* high-water mark */
        size_t stack_size;
        size_t stack_high_water; /* most bytes of one stack ever used, sampled when fibers end */
};
void cm_fiber_stats(struct cm_loop *loop, struct cm_fiber_stats *stats_r);

/*
 * Starts a fiber in this thread's loop; it runs first when the current code returns to the loop, or
 * waits. `deadline_us` is monotonic (cm_monotonic_us()), CM_NEVER for none; a fiber started by a
 * fiber gets the earlier of the two, and a copy of its context. Fails with -CM_E_OVERLOAD only.
 */
int cm_fiber_start(const char *name, cm_fiber_fn *fn, void *arg, int64_t deadline_us) CM_MUST_CHECK;
/* Like cm_fiber_start, but runs the fiber at once until its first wait: for fresh requests. */
int cm_fiber_enter(const char *name, cm_fiber_fn *fn, void *arg, int64_t deadline_us) CM_MUST_CHECK;

/* NULL when the caller is not in a fiber. */
struct cm_fiber *cm_fiber_self(void);
int64_t cm_fiber_deadline_us(void);
/* Sets the current fiber's deadline; returns the one before. May be later than before only up to
 * what the caller saved: the habit is  old = set(min(old, mine)); …; set(old). */
int64_t cm_fiber_set_deadline(int64_t deadline_us);
/* Makes the fiber's present or next wait end with -CM_E_CANCELLED, and each one after. */
void cm_fiber_cancel(struct cm_fiber *fiber);
/* From now on the current fiber's waits are not cancelled (for work that must be finished). */
void cm_fiber_shield(void);

/*
 * A wait: the adapter's way to suspend the current fiber until something is done.
 *
 *     struct cm_wait wait;
 *     cm_wait_init(&wait);
 *     start_something(&wait);                 (keeps the pointer)
 *     r = cm_wait_for(&wait);
 *     if (r == -CM_E_DEADLINE || …CANCELLED)  (nobody called done: the adapter must forget &wait)
 *
 * cm_wait_done() may come before cm_wait_for(); exactly once; in the loop's thread only.
 */
struct cm_wait {
        struct cm_fiber *fiber;
        int result;
        bool done;
        bool waiting;
        bool answered; /* cm_wait_done() ended it, not the deadline or a cancel */
};

void cm_wait_init(struct cm_wait *wait);
int cm_wait_for(struct cm_wait *wait) CM_MUST_CHECK;
/* Like cm_wait_for, but neither the deadline nor a cancel ends it: only for what is bound to end.
 */
int cm_wait_for_shielded(struct cm_wait *wait);
void cm_wait_done(struct cm_wait *wait, int result);

/* Suspends for a time. 0, -CM_E_DEADLINE (when it comes first) or -CM_E_CANCELLED. */
int cm_fiber_sleep(int64_t duration_us) CM_MUST_CHECK;
/* Lets the loop do a turn. */
int cm_fiber_yield(void) CM_MUST_CHECK;

/* Children that the caller waits for. Lives on the parent's stack. */
struct cm_group {
        size_t running;
        struct cm_wait *joiner;
        struct cm_list children;
};
void cm_group_init(struct cm_group *group);
int cm_group_start(struct cm_group *group, const char *name, cm_fiber_fn *fn,
                   void *arg) CM_MUST_CHECK;
/* Waits for all children. When the wait ends early it cancels them and still waits until they have
 * ended, so nothing of the group runs afterwards. Returns 0 or why the wait ended early. */
int cm_group_join(struct cm_group *group);

/* A condition: fibers wait until somebody says so. Lives in any object of the loop's thread. */
struct cm_cond {
        struct cm_list waiters;
};
void cm_cond_init(struct cm_cond *cond);
int cm_cond_wait(struct cm_cond *cond) CM_MUST_CHECK;
void cm_cond_signal(struct cm_cond *cond);    /* wakes the first waiter */
void cm_cond_broadcast(struct cm_cond *cond); /* wakes all */

/* The current fiber's context (a static empty one outside of fibers). Never NULL. */
struct cm_context *cm_fiber_context(void);
