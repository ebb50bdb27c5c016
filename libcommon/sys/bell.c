#include "sys/bell.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/time.h"
#include "sys/fiber.h"

void cm_bell_ring(struct cm_bell *bell, unsigned reasons)
{
        struct cm_wait *waiter = bell->waiter;

        bell->rung |= reasons;
        if (!waiter)
                return;
        bell->waiter = NULL;
        cm_wait_done(waiter, 0);
}

static int await_ring(struct cm_bell *bell, int64_t until_us)
{
        struct cm_wait wait;
        int64_t before = cm_fiber_deadline_us();
        int r;

        CM_ASSERT(!bell->waiter);
        cm_wait_init(&wait);
        bell->waiter = &wait;
        if (until_us < before)
                (void)cm_fiber_set_deadline(until_us);
        r = cm_wait_for(&wait);
        (void)cm_fiber_set_deadline(before);
        if (bell->waiter == &wait)
                bell->waiter = NULL;
        return r == -CM_E_DEADLINE && until_us < before ? 0 : r;
}

int cm_bell_wait(struct cm_bell *bell, int64_t until_us, unsigned *reasons_r)
{
        int r = bell->rung ? 0 : await_ring(bell, until_us);

        *reasons_r = 0;
        if (r < 0)
                return r;
        *reasons_r = bell->rung;
        bell->rung = 0;
        return 0;
}
