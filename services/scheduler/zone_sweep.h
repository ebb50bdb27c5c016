#pragma once
#include "scheduler.h"

/*
 * After the time zone database, or a person's zone, has changed: next runs are computed anew, and
 * told. Only schedules whose zone has other rules than those that they were computed with are
 * touched.
 */

/* Looks for changed rules, and works through what they touch. Suspends. */
int zone_sweep(struct scheduler *scheduler) CM_MUST_CHECK;

/* A locked schedule, in the transaction that locked it: its next run after `after` is computed,
 * saved and told when it is another one. Suspends. */
int zone_sweep_schedule(struct scheduler *scheduler, struct cm_pg_tx *tx, struct cm_arena *arena,
                        struct stored_schedule *schedule, const struct cm_uuid *tenant,
                        cm_time after) CM_MUST_CHECK;
