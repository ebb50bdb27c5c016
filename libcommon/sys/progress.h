#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/time.h"

/*
 * Whether something that works step by step in a fiber still comes to the end of its steps: for
 * liveness. A step that fails has ended as well: whoever tries again and again because a server is
 * away moves. Written by one thread, read by any.
 */
struct cm_progress {
        _Atomic int64_t since_us; /* monotonic: when the present step began; 0: none */
};

/* Ends the step before, if there was one. */
static inline void cm_progress_step(struct cm_progress *progress)
{
        atomic_store_explicit(&progress->since_us, cm_monotonic_us(), memory_order_relaxed);
}

/* There is nothing to do now. */
static inline void cm_progress_idle(struct cm_progress *progress)
{
        atomic_store_explicit(&progress->since_us, 0, memory_order_relaxed);
}

/* For how long the present step has been going on; 0 without one. */
static inline int64_t cm_progress_age_us(const struct cm_progress *progress)
{
        int64_t since = atomic_load_explicit(&progress->since_us, memory_order_relaxed);

        return since ? cm_monotonic_us() - since : 0;
}
