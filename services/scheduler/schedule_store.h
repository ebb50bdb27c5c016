#pragma once
#include "scheduler.h"

/*
 * The tables schedules and schedule_queue. Texts of what is read live in the arena. Whoever changes
 * a schedule locks it first (the queue's row, then its own), as the engine does. All suspend.
 */
struct schedule_array {
        struct stored_schedule *items;
        size_t count;
};

/* A place in the list, newest first. */
struct schedule_place {
        cm_time created_at;
        struct cm_uuid id;
};

/* 0 or SCHEDULE_NOT_FOUND. */
int schedule_store_read(struct scheduler *scheduler, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct cm_uuid *id,
                        struct stored_schedule *schedule_r) CM_MUST_CHECK;
/* `after` NULL: from the newest. */
int schedule_store_list(struct scheduler *scheduler, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct schedule_place *after,
                        int32_t limit, struct schedule_array *list_r) CM_MUST_CHECK;

/* Next to run first; without those that do not run any more and wait for no answer, unless `all`.
 */
int schedule_store_upcoming(struct scheduler *scheduler, struct cm_arena *arena,
                            const struct cm_uuid *user, bool all, int32_t limit,
                            struct schedule_array *list_r) CM_MUST_CHECK;

/* ---- in a transaction that acts for the user */
int schedule_store_lock(struct scheduler *scheduler, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct cm_uuid *id,
                        struct stored_schedule *schedule_r) CM_MUST_CHECK;
/* Those of a user that follow them, locked. */
int schedule_store_lock_followers(struct scheduler *scheduler, struct cm_pg_tx *tx,
                                  struct cm_arena *arena, const struct cm_uuid *user,
                                  struct schedule_array *list_r) CM_MUST_CHECK;
/* New or changed, with its row in the queue; addresses are sealed here. Wakes the replicas. */
int schedule_store_save(struct scheduler *scheduler, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct stored_schedule *schedule) CM_MUST_CHECK;
/* With its messages that have not gone out. */
int schedule_store_delete(struct cm_pg_tx *tx, const struct cm_uuid *user,
                          const struct cm_uuid *id) CM_MUST_CHECK;

/* ---- for the engine, which has locked the queue's rows already */
#define SCHEDULE_COLUMNS                                                                           \
        "s.id, s.user_id, s.version, s.name, s.description, s.schedule_type, s.cron_expression,"   \
        " s.timezone, s.follow_user, s.dst_gap, s.dst_overlap, s.misfire, s.max_lateness_s,"       \
        " s.catchup_limit, s.overlap_policy, s.jitter_s, s.reminder_method, s.email,"              \
        " s.phone_number, s.assistant_id, s.medication_name, s.dose_value, s.dose_unit,"           \
        " s.custom_metadata, s.context_summary, s.anchor_at, s.is_active, s.pause_reason,"         \
        " s.paused_until, s.next_nominal_at, s.next_run_at, s.last_run_at, s.tz_version,"          \
        " s.rule_hash, s.created_at, s.updated_at, s.medication_id"
enum { SCHEDULE_COLUMN_COUNT = 37 };
void schedule_store_take(struct scheduler *scheduler, struct cm_arena *arena,
                         const struct cm_pg_result *result, int row,
                         struct stored_schedule *schedule_r);

/* What the replicas listen to. */
#define SCHEDULE_CHANNEL "salus_schedule"
