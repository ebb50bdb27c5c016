#include "zone_sweep.h"

#include "base/error.h"
#include "bus/outbox.h"
#include "events.h"
#include "schedule_store.h"
#include "sys/fiber.h"
#include "sys/log.h"

enum { BATCH = 200 };
/* How far back a run may move: no zone ever shifted by more at once, but for a date line. */
#define FURTHEST_BACK (3 * CM_HOUR)

static int tell(struct cm_pg_tx *tx, struct cm_arena *arena, const struct stored_schedule *schedule,
                const struct cm_uuid *tenant)
{
        const struct schedule_rescheduled fact = {
                .user_id = schedule->view.user_id,
                .schedule_id = schedule->view.id,
                .next_run_at = schedule->view.next_run_at,
                .has_next_run_at = schedule->view.has_next_run_at,
        };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct cm_event event;

        event_schedule_rescheduled(&event, arena, cm_fiber_context(), cm_now(&cm_clock_system),
                                   &schedule->view.user_id, &fact);
        event.tenant = *tenant;
        cm_outbox_params(&event, 1, &params);
        return cm_pg_tx_query(tx, &cm_outbox_insert, &params, NULL);
}

int zone_sweep_schedule(struct scheduler *scheduler, struct cm_pg_tx *tx, struct cm_arena *arena,
                        struct stored_schedule *schedule, const struct cm_uuid *tenant,
                        cm_time after)
{
        cm_time before = schedule->view.next_run_at;
        bool had = schedule->has_next;
        const struct cm_zone *zone =
                scheduler_zone(scheduler, schedule->view.timezone, &schedule->rule_hash);
        struct cron_fault fault;
        int r;

        schedule->tz_version = cm_str_from(scheduler->tz_version);
        r = schedule_rules_next(schedule, zone, after, &fault);
        if (r == SCHEDULE_BAD_EXPRESSION)
                return 0;
        if (!schedule->has_next)
                schedule->view.is_active = false;
        r = schedule_store_save(scheduler, tx, arena, schedule);
        if (r || (had == schedule->has_next && (!had || before == schedule->view.next_run_at)))
                return r;
        return tell(tx, arena, schedule, tenant);
}

/* ---- rules that changed */

static const struct cm_pg_statement list_zones = {
        .name = "sweep_zones",
        .sql = "SELECT DISTINCT zone, rule_hash FROM schedule_queue",
};

static const struct cm_pg_statement lock_stale = {
        .name = "sweep_lock",
        .sql = "SELECT schedule_id, user_id FROM schedule_queue"
               " WHERE zone = $1::text AND rule_hash = $2::int8 LIMIT $3::int4"
               " FOR UPDATE SKIP LOCKED",
};

static const struct cm_pg_statement read_stale = {
        .name = "sweep_read",
        .sql = "SELECT " SCHEDULE_COLUMNS ", u.tenant_id FROM schedules s"
               " LEFT JOIN user_refs u ON u.user_id = s.user_id"
               " WHERE s.user_id = $1::uuid AND s.id = $2::uuid FOR UPDATE OF s",
};

static int sweep_one(struct scheduler *scheduler, struct cm_pg_tx *tx, const struct cm_uuid *id,
                     const struct cm_uuid *user)
{
        cm_time now = cm_now(&cm_clock_system), after = now - FURTHEST_BACK;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        CM_CLEANUP(cm_arena_deinit) struct cm_arena arena;
        struct stored_schedule schedule;
        struct cm_uuid tenant = { 0 };
        int r;

        cm_arena_init(&arena, 4096);
        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = cm_pg_tx_scope(tx, SCOPE_OF(user));
        if (r == 0)
                r = cm_pg_tx_query(tx, &read_stale, &params, &result);
        if (r || result.rows == 0)
                return r;
        schedule_store_take(scheduler, &arena, &result, 0, &schedule);
        if (!cm_pg_is_null(&result, 0, SCHEDULE_COLUMN_COUNT))
                tenant = cm_pg_uuid(&result, 0, SCHEDULE_COLUMN_COUNT);
        if (schedule.view.has_last_run_at == CM_PRESENT && schedule.view.last_run_at > after)
                after = schedule.view.last_run_at;
        if (schedule.view.created_at > after)
                after = schedule.view.created_at;
        /* What was due before the change is still to be worked through. */
        if (schedule.has_next && schedule.next_nominal <= now && schedule.next_nominal <= after)
                after = schedule.next_nominal - 1;
        return zone_sweep_schedule(scheduler, tx, &arena, &schedule, &tenant, after);
}

static int sweep_batch(struct scheduler *scheduler, struct cm_str zone, int64_t hash, int *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(scheduler->pg, NULL, &tx);

        cm_pg_put_text(&params, zone);
        cm_pg_put_int8(&params, hash);
        cm_pg_put_int4(&params, BATCH);
        if (r == 0)
                r = cm_pg_tx_query(tx, &lock_stale, &params, &result);
        for (int i = 0; r == 0 && i < result.rows; i++) {
                struct cm_uuid id = cm_pg_uuid(&result, i, 0), user = cm_pg_uuid(&result, i, 1);

                r = sweep_one(scheduler, tx, &id, &user);
        }
        *count_r = result.rows;
        return r ? r : cm_pg_commit(&tx);
}

static int sweep_zone(struct scheduler *scheduler, struct cm_str zone, int64_t hash)
{
        int64_t now_hash;
        int count, r = 0;

        (void)scheduler_zone(scheduler, zone, &now_hash);
        if (now_hash == hash)
                return 0;
        cm_log(CM_LOG_INFO, "the rules of a time zone have changed", CM_F_STR("zone", zone));
        do
                r = sweep_batch(scheduler, zone, hash, &count);
        while (r == 0 && count == BATCH);
        return r;
}

int zone_sweep(struct scheduler *scheduler)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        if (!scheduler_zones_changed(scheduler))
                return 0;
        r = cm_pg_query(scheduler->pg, NULL, &list_zones, &params, &result);
        for (int i = 0; r == 0 && i < result.rows; i++)
                r = sweep_zone(scheduler, cm_pg_text(&result, i, 0), cm_pg_int(&result, i, 1));
        if (r == 0)
                scheduler->swept = true;
        return r > 0 ? -CM_E_DATABASE : r;
}
