#pragma once
#include "scheduler.h"

/* When a schedule runs next, in the zone that counts for it. Both suspend, and return 0, an outcome
 * of schedule_rules.h (*fault_r is of SCHEDULE_BAD_EXPRESSION) or an error. */

/* Makes an owned schedule of what schedule_rules_create() has filled. */
int schedule_plan_new(struct scheduler *scheduler, struct cm_arena *arena,
                      const struct cm_uuid *user, cm_time now, struct stored_schedule *schedule,
                      struct cron_fault *fault_r) CM_MUST_CHECK;
int schedule_plan_next(struct scheduler *scheduler, struct cm_arena *arena, cm_time now,
                       struct stored_schedule *schedule, struct cron_fault *fault_r) CM_MUST_CHECK;

/* The person's own zone. One whose account we have not heard of yet is in UTC until we do. */
int schedule_plan_zone(struct scheduler *scheduler, struct cm_arena *arena,
                       const struct cm_uuid *user, struct cm_str *name_r) CM_MUST_CHECK;
