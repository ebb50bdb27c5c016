#pragma once
#include <stdint.h>

#include "base/attr.h"

/*
 * A bell that one fiber waits for and anybody in the loop's thread may ring, for a reason (a bit).
 * It remembers what rang while nobody waited, so nothing is missed; ringing twice counts once. For
 * a fiber that has to attend to several things, none of which it may block on.
 */
struct cm_wait;

struct cm_bell {
        struct cm_wait *waiter;
        unsigned rung;
};

void cm_bell_ring(struct cm_bell *bell, unsigned reasons);
/* Waits until something rings, at the latest until `until_us` (monotonic; CM_NEVER: no limit).
 * Returns 0 with the reasons, which are then forgotten; none: the time is over. Or
 * -CM_E_DEADLINE (the fiber's own came first), -CM_E_CANCELLED; the reasons are kept. Suspends. */
int cm_bell_wait(struct cm_bell *bell, int64_t until_us, unsigned *reasons_r) CM_MUST_CHECK;
