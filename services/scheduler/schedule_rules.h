#pragma once
#include "due_rules.h"
#include "schemas.h"
#include "sys/zones.h"

/* What a schedule is beyond what its owner sees. */
struct stored_schedule {
        struct schedule_record view; /* explanation and warnings are filled for replies only */
        struct cm_str sealed_email, sealed_phone;
        cm_time anchor_at;
        bool has_next;
        cm_time next_nominal;
        struct cm_str tz_version;
        int64_t rule_hash;
        bool waits; /* in lists of what is upcoming: its last run has no answer */
        cm_time waiting_since;
};

enum schedule_outcome {
        SCHEDULE_NEVER_FIRES = 1,
        SCHEDULE_BAD_EXPRESSION, /* the fault says where */
        SCHEDULE_BAD_METHOD,     /* nothing here can send by it */
        SCHEDULE_BAD_PHONE,
        SCHEDULE_NOT_FOUND,
        SCHEDULE_CHANGED, /* another version than the caller has seen */
};

/* How late a run of this type may be; 0: no limit. */
int64_t schedule_rules_max_lateness_s(int32_t schedule_type, int32_t reminder_method);

/* A new schedule of `input` with what its type has as defaults. Views into `input`. */
void schedule_rules_create(const struct schedule_input *input, struct stored_schedule *schedule_r);
/* Applies a patch; views into it. *anew_r: the next run must be computed. */
void schedule_rules_change(struct stored_schedule *schedule, const struct schedule_patch *patch,
                           bool *anew_r);
/* 0 or an outcome: what no schema can say. */
int schedule_rules_check(const struct schedule_record *schedule) CM_MUST_CHECK;

/* What "H" and the jitter spread by. */
uint64_t schedule_rules_seed(const struct cm_uuid *id);
struct recurrence_place schedule_rules_place(const struct stored_schedule *schedule,
                                             const struct cm_zone *zone);

/* Parses the expression and finds the first run after `after`; sets next_nominal, next_run_at and
 * is_active. 0, SCHEDULE_BAD_EXPRESSION with *fault_r, or SCHEDULE_NEVER_FIRES. */
int schedule_rules_next(struct stored_schedule *schedule, const struct cm_zone *zone, cm_time after,
                        struct cron_fault *fault_r) CM_MUST_CHECK;
