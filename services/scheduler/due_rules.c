#include "due_rules.h"

#include "schemas.h"
#include "spread.h"

cm_time due_rules_run_at(const struct due_case *due, cm_time nominal)
{
        uint64_t share = spread_mix(due->seed ^ spread_mix((uint64_t)(nominal / CM_SECOND)));
        int64_t span = due->jitter_us;
        struct cron_firing next;

        if (span <= 0)
                return nominal;
        if (recurrence_next(due->recurrence, due->place, nominal, &next) &&
            next.at - nominal < span)
                span = next.at - nominal;
        return nominal + (int64_t)((unsigned __int128)share * (uint64_t)span >> 64);
}

/* What a time comes to when only itself and the schedule's state are looked at; FIRED is a maybe.
 */
static int32_t first_state(const struct due_case *due, cm_time nominal, int64_t lateness_us)
{
        if (due->account_ended)
                return RUN_STATE_CANCELLED;
        if (due->paused && nominal < due->paused_until)
                return RUN_STATE_SKIPPED_PAUSED;
        if (due->max_lateness_us && lateness_us > due->max_lateness_us)
                return RUN_STATE_MISSED;
        if (due->misfire == MISFIRE_SKIP && lateness_us > due->grace_us)
                return RUN_STATE_MISSED;
        return RUN_STATE_FIRED;
}

/* All that are due, oldest first; what does not fit is left for the next plan. */
static void collect(const struct due_case *due, struct due_plan *plan)
{
        cm_time at = due->next_nominal - CM_SECOND;
        struct cron_firing firing;

        while ((plan->has_next = recurrence_next(due->recurrence, due->place, at, &firing))) {
                cm_time run_at = due_rules_run_at(due, firing.at);

                plan->next_nominal = firing.at;
                plan->next_run = run_at;
                if (run_at > due->now || plan->count == DUE_MAX_RUNS)
                        return;
                plan->runs[plan->count++] = (struct due_run){
                        .nominal = firing.at,
                        .state = first_state(due, firing.at, due->now - run_at),
                        .adjusted = (int32_t)firing.adjusted, /* the same numbers */
                };
                at = firing.at;
        }
}

/* How many of the newest may fire. Of a plan that was cut off all newer ones are still to come. */
static int64_t room_of(const struct due_case *due, const struct due_plan *plan)
{
        if (due->misfire == MISFIRE_SKIP)
                return DUE_MAX_RUNS;
        if (plan->has_next && plan->next_run <= due->now)
                return 0;
        return due->misfire == MISFIRE_FIRE_ALL ? due->catchup_limit : 1;
}

static void coalesce(const struct due_case *due, struct due_plan *plan)
{
        int64_t room = room_of(due, plan);

        for (size_t i = plan->count; i-- > 0;) {
                if (plan->runs[i].state != RUN_STATE_FIRED)
                        continue;
                if (room == 0)
                        plan->runs[i].state = RUN_STATE_COALESCED;
                else
                        room--;
        }
}

static void limit_overlap(const struct due_case *due, struct due_plan *plan)
{
        int64_t limit = due->overlap_policy == OVERLAP_POLICY_ALLOW       ? INT64_MAX
                        : due->overlap_policy == OVERLAP_POLICY_QUEUE_ONE ? 2
                                                                          : 1;
        int64_t open = due->open;

        for (size_t i = 0; due->delivers && i < plan->count; i++)
                if (plan->runs[i].state == RUN_STATE_FIRED) {
                        if (open >= limit)
                                plan->runs[i].state = RUN_STATE_SKIPPED_OVERLAP;
                        else
                                open++;
                }
}

void due_rules_plan(const struct due_case *due, struct due_plan *plan_r)
{
        plan_r->count = 0;
        plan_r->missed = 0;
        collect(due, plan_r);
        coalesce(due, plan_r);
        limit_overlap(due, plan_r);
        for (size_t i = 0; i < plan_r->count; i++)
                plan_r->missed += plan_r->runs[i].state == RUN_STATE_MISSED;
        plan_r->resumed = due->paused && due->now >= due->paused_until;
}
