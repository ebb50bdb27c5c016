#pragma once
#include "scheduler.h"

/*
 * Works through due schedules: one transaction locks a batch (others skip what is locked, so any
 * number of replicas may do this at once), records each planned time that has passed with its
 * state, queues messages, moves the schedules on and writes the facts. Committed is fired; a time
 * is recorded once, whoever comes first. Times are the database's. Suspends.
 */
struct due_done {
        size_t schedules; /* worked through; fewer than the batch: there is nothing more now */
        size_t messages;  /* queued */
};

int due_store_work(struct scheduler *scheduler, struct cm_arena *arena,
                   struct due_done *done_r) CM_MUST_CHECK;

/* When the next schedule or message is due, in microseconds from now (0: it is); INT64_MAX: none.
 */
int due_store_next(struct cm_pg *pg, int64_t *in_us_r) CM_MUST_CHECK;
