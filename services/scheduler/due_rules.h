#pragma once
#include <stddef.h>

#include "recurrence.h"

/*
 * What becomes of the planned times of a schedule that have passed: each ends in one state (enum
 * occurrence_state). Pure. Times that are late (beyond `grace_us`) go by the schedule's misfire
 * rule; what is later than `max_lateness_us` is missed in any case.
 */
enum { DUE_MAX_RUNS = 1024 }; /* in one plan; the rest has one of its own */

struct due_case {
        const struct recurrence *recurrence;
        const struct recurrence_place *place;
        uint64_t seed;        /* of the schedule, for its jitter */
        cm_time next_nominal; /* the first that was not worked through */
        cm_time now;
        int64_t grace_us, jitter_us;
        int64_t max_lateness_us; /* 0: none */
        int32_t misfire, overlap_policy;
        int64_t catchup_limit;
        bool account_ended;
        bool paused;
        cm_time paused_until; /* INT64_MAX: until it is resumed */
        bool delivers;        /* a run sends a message */
        int64_t open;         /* messages of earlier runs that are not out yet */
};

struct due_run {
        cm_time nominal;
        int32_t state;    /* enum run_state */
        int32_t adjusted; /* enum run_adjusted; 0: as planned */
};

struct due_plan {
        struct due_run runs[DUE_MAX_RUNS];
        size_t count;
        int64_t missed;
        bool resumed; /* the pause has ended */
        bool has_next;
        cm_time next_nominal,
                next_run; /* next_run may be past: then there is more to work through */
};

void due_rules_plan(const struct due_case *due, struct due_plan *plan_r);

/* When a planned time is due: spread over `jitter_us`, but never beyond the next one; the same in
 * each replica and after each restart. */
cm_time due_rules_run_at(const struct due_case *due, cm_time nominal);
