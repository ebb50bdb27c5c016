#include "schedule_plan.h"

#include "service/user_refs.h"

int schedule_plan_zone(struct scheduler *scheduler, struct cm_arena *arena,
                       const struct cm_uuid *user, struct cm_str *name_r)
{
        struct cm_user_ref ref;
        int r = cm_user_ref_get(scheduler->worker, user, &ref);

        if (r < 0)
                return r;
        *name_r = r == 0 ? cm_arena_str(arena, cm_str_from(ref.time_zone)) : CM_STR("UTC");
        return 0;
}

int schedule_plan_next(struct scheduler *scheduler, struct cm_arena *arena, cm_time now,
                       struct stored_schedule *schedule, struct cron_fault *fault_r)
{
        struct schedule_record *view = &schedule->view;
        int r = view->follow_user
                        ? schedule_plan_zone(scheduler, arena, &view->user_id, &view->timezone)
                        : 0;
        const struct cm_zone *zone;

        if (r)
                return r;
        zone = scheduler_zone(scheduler, view->timezone, &schedule->rule_hash);
        schedule->tz_version = cm_str_from(scheduler->tz_version);
        return schedule_rules_next(schedule, zone, now, fault_r);
}

int schedule_plan_new(struct scheduler *scheduler, struct cm_arena *arena,
                      const struct cm_uuid *user, cm_time now, struct stored_schedule *schedule,
                      struct cron_fault *fault_r)
{
        struct schedule_record *view = &schedule->view;
        int r;

        view->id = cm_uuid7(now);
        view->user_id = *user;
        view->created_at = view->updated_at = now;
        schedule->anchor_at = now - now % CM_SECOND;
        r = schedule_rules_check(view);
        return r ? r : schedule_plan_next(scheduler, arena, now, schedule, fault_r);
}
