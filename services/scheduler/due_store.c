#include "due_store.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox.h"
#include "due_rules.h"
#include "events.h"
#include "occurrence_store.h"
#include "schedule_store.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* Times of a batch that are recorded in one transaction, more or less. */
enum { MAX_RECORDS = 5000 };

static struct cm_metric lateness = CM_HISTOGRAM("salus_schedule_fire_lateness_seconds",
                                                "From when a run was due to its record");
static struct cm_metric occurrences_total =
        CM_COUNTER("salus_schedule_occurrences_total", "Planned times by what became of them");

/* One schedule of the batch, and what is to be written of it. */
struct due_item {
        struct stored_schedule schedule;
        struct cm_uuid tenant;
        bool account_ended;
        int64_t open;
        bool resumed;
        bool has_next;
        cm_time next_nominal, next_run;
        bool fired;
        cm_time last_run;
};

struct due_record {
        const struct due_item *item;
        struct cm_uuid id;
        struct due_run run;
        int64_t missed; /* in the same plan */
};

struct due_batch {
        struct scheduler *scheduler;
        struct cm_arena *arena;
        cm_time now;
        struct cm_uuid *ids, *users;
        size_t locked;
        struct due_item *items;
        size_t count;
        struct due_record *records;
        size_t record_count, record_room;
        size_t messages;
        struct due_plan plan; /* of the schedule in hand */
};

/* ---- locking */

static const struct cm_pg_statement lock_due = {
        .name = "due_lock",
        .sql = "SELECT schedule_id, user_id, clock_timestamp() FROM schedule_queue"
               " WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT $1::int4"
               " FOR UPDATE SKIP LOCKED",
};

static int lock_batch(struct due_batch *batch, struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_int4(&params, (int32_t)batch->scheduler->settings->due_batch);
        r = cm_pg_tx_query(tx, &lock_due, &params, &result);
        if (r)
                return r;
        batch->locked = (size_t)result.rows;
        batch->ids = cm_arena_array(batch->arena, batch->locked + 1, sizeof(*batch->ids));
        batch->users = cm_arena_array(batch->arena, batch->locked + 1, sizeof(*batch->users));
        for (int i = 0; i < result.rows; i++) {
                batch->ids[i] = cm_pg_uuid(&result, i, 0);
                batch->users[i] = cm_pg_uuid(&result, i, 1);
                batch->now = cm_pg_time(&result, i, 2);
        }
        return 0;
}

static const struct cm_pg_statement read_due = {
        .name = "due_read",
        .sql = "SELECT " SCHEDULE_COLUMNS ", u.tenant_id, u.status,"
               " (SELECT count(*) FROM deliveries d WHERE d.user_id = s.user_id"
               " AND d.schedule_id = s.id AND d.state <= 2)"
               " FROM unnest($1::uuid[], $2::uuid[]) t (user_id, id)"
               " JOIN schedules s ON s.user_id = t.user_id AND s.id = t.id"
               " LEFT JOIN user_refs u ON u.user_id = s.user_id ORDER BY s.next_run_at"
               " FOR UPDATE OF s",
};

static void take_item(struct due_batch *batch, const struct cm_pg_result *result, int row)
{
        struct due_item *item = &batch->items[row];

        schedule_store_take(batch->scheduler, batch->arena, result, row, &item->schedule);
        if (!cm_pg_is_null(result, row, SCHEDULE_COLUMN_COUNT)) {
                item->tenant = cm_pg_uuid(result, row, SCHEDULE_COLUMN_COUNT);
                item->account_ended =
                        cm_pg_int(result, row, SCHEDULE_COLUMN_COUNT + 1) != USER_STATUS_ACTIVE;
        }
        item->open = cm_pg_int(result, row, SCHEDULE_COLUMN_COUNT + 2);
}

static void put_ids(struct cm_pg_params *params, const struct cm_uuid *ids, size_t count)
{
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_uuid(params, &ids[i]);
        cm_pg_array_end(params);
}

static int read_batch(struct due_batch *batch, struct cm_pg_tx *tx)
{
        const struct cm_pg_scope scope = { .users = batch->users, .count = batch->locked };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = cm_pg_tx_scope(tx, &scope);

        put_ids(&params, batch->users, batch->locked);
        put_ids(&params, batch->ids, batch->locked);
        if (r == 0)
                r = cm_pg_tx_query(tx, &read_due, &params, &result);
        if (r)
                return r;
        batch->count = (size_t)result.rows;
        batch->items = cm_arena_array(batch->arena, batch->count + 1, sizeof(*batch->items));
        for (int i = 0; i < result.rows; i++)
                take_item(batch, &result, i);
        return 0;
}

/* A row of the queue without its schedule would be due for ever. */
static const struct cm_pg_statement drop_orphans = {
        .name = "due_drop_orphans",
        .writes = true,
        .sql = "DELETE FROM schedule_queue q USING unnest($1::uuid[], $2::uuid[]) t (user_id, id)"
               " WHERE q.schedule_id = t.id AND NOT EXISTS (SELECT FROM schedules s"
               " WHERE s.user_id = t.user_id AND s.id = t.id)",
};

static int forget_orphans(const struct due_batch *batch, struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        if (batch->count == batch->locked)
                return 0;
        put_ids(&params, batch->users, batch->locked);
        put_ids(&params, batch->ids, batch->locked);
        return cm_pg_tx_query(tx, &drop_orphans, &params, NULL);
}

/* ---- deciding */

static bool delivers(const struct due_item *item)
{
        return item->schedule.view.reminder_method == REMINDER_METHOD_EMAIL;
}

static void record(struct due_batch *batch, struct due_item *item)
{
        const struct due_plan *plan = &batch->plan;

        if (batch->record_count + plan->count > batch->record_room) {
                batch->record_room = (batch->record_count + plan->count) * 2;
                batch->records =
                        cm_realloc(batch->records, batch->record_room * sizeof(*batch->records));
        }
        for (size_t i = 0; i < plan->count; i++) {
                struct due_record *record = &batch->records[batch->record_count++];

                *record = (struct due_record){
                        .item = item,
                        .id = occurrence_id(&item->schedule.view.id, plan->runs[i].nominal),
                        .run = plan->runs[i],
                        .missed = plan->missed,
                };
                if (record->run.state != RUN_STATE_FIRED)
                        continue;
                item->fired = true;
                item->last_run = batch->now;
                batch->messages += delivers(item);
        }
        item->resumed = plan->resumed;
        item->has_next = plan->has_next;
        item->next_nominal = plan->next_nominal;
        item->next_run = plan->next_run;
}

static void plan_item(struct due_batch *batch, struct due_item *item)
{
        struct scheduler *scheduler = batch->scheduler;
        const struct schedule_record *view = &item->schedule.view;
        uint64_t seed = schedule_rules_seed(&view->id);
        struct recurrence recurrence;
        struct cron_fault fault;
        int64_t hash;
        const struct recurrence_place place = schedule_rules_place(
                &item->schedule, scheduler_zone(scheduler, view->timezone, &hash));
        const struct due_case due = {
                .recurrence = &recurrence,
                .place = &place,
                .seed = seed,
                .next_nominal = item->schedule.next_nominal,
                .now = batch->now,
                .grace_us = scheduler->settings->misfire_grace_us,
                .jitter_us = view->jitter_s * CM_SECOND,
                .max_lateness_us = view->has_max_lateness_s == CM_PRESENT
                                           ? view->max_lateness_s * CM_SECOND
                                           : 0,
                .misfire = view->misfire,
                .overlap_policy = view->overlap_policy,
                .catchup_limit = view->catchup_limit,
                .account_ended = item->account_ended,
                .paused = !view->is_active,
                .paused_until =
                        view->has_paused_until == CM_PRESENT ? view->paused_until : INT64_MAX,
                .delivers = delivers(item),
                .open = item->open,
        };

        batch->plan.count = 0;
        if (recurrence_parse(view->cron_expression, seed, &recurrence, &fault)) {
                /* It was checked when it came in: a release that understands less than the last. */
                cm_log(CM_LOG_ERROR, "a stored expression is not understood; it ends",
                       CM_F_UUID("schedule", view->id));
                return;
        }
        due_rules_plan(&due, &batch->plan);
        record(batch, item);
        if (item->fired)
                cm_histogram_observe_us(&lateness, batch->now - view->next_run_at);
}

/* ---- writing */

static const struct cm_pg_statement insert_records = {
        .name = "due_record",
        .writes = true,
        .sql = "INSERT INTO occurrences (user_id, id, schedule_id, nominal_at, state, adjusted,"
               " recorded_at, name, schedule_type, medication_name, dose_value, dose_unit, "
               "medication_id)"
               " SELECT s.user_id, t.id, s.id, t.nominal_at, t.state, NULLIF(t.adjusted, 0),"
               " $7::timestamptz, s.name, s.schedule_type, s.medication_name, s.dose_value,"
               " s.dose_unit, s.medication_id"
               " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::int2[],"
               " $6::int2[]) t (user_id, schedule_id, id, nominal_at, state, adjusted)"
               " JOIN schedules s ON s.user_id = t.user_id AND s.id = t.schedule_id"
               " ON CONFLICT DO NOTHING",
};

#define RECORD_ARRAY(params, kind, add)                                                            \
        do {                                                                                       \
                cm_pg_array_begin((params), (kind));                                               \
                for (size_t i = 0; i < batch->record_count; i++) {                                 \
                        const struct due_record *record = &batch->records[i];                      \
                        add;                                                                       \
                }                                                                                  \
                cm_pg_array_end(params);                                                           \
        } while (0)

static int write_records(const struct due_batch *batch, struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        RECORD_ARRAY(&params, CM_PG_UUID_ARRAY,
                     cm_pg_array_uuid(&params, &record->item->schedule.view.user_id));
        RECORD_ARRAY(&params, CM_PG_UUID_ARRAY,
                     cm_pg_array_uuid(&params, &record->item->schedule.view.id));
        RECORD_ARRAY(&params, CM_PG_UUID_ARRAY, cm_pg_array_uuid(&params, &record->id));
        RECORD_ARRAY(&params, CM_PG_TIME_ARRAY, cm_pg_array_int(&params, record->run.nominal));
        RECORD_ARRAY(&params, CM_PG_INT2_ARRAY, cm_pg_array_int(&params, record->run.state));
        RECORD_ARRAY(&params, CM_PG_INT2_ARRAY, cm_pg_array_int(&params, record->run.adjusted));
        cm_pg_put_time(&params, batch->now);
        return cm_pg_tx_query(tx, &insert_records, &params, NULL);
}

static bool has_message(const struct due_record *record)
{
        return record->run.state == RUN_STATE_FIRED && delivers(record->item);
}

static const struct cm_pg_statement insert_messages = {
        .name = "due_message",
        .writes = true,
        .sql = "WITH made AS (INSERT INTO deliveries (user_id, id, occurrence_id, schedule_id,"
               " number, method, state, next_attempt_at, created_at)"
               " SELECT t.user_id, t.id, t.occurrence_id, t.schedule_id, 0, $6::int2, 1,"
               " $5::timestamptz, $5 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])"
               " t (user_id, id, occurrence_id, schedule_id)"
               " ON CONFLICT DO NOTHING RETURNING id, user_id)"
               " INSERT INTO delivery_queue (delivery_id, user_id, due_at)"
               " SELECT id, user_id, $5 FROM made",
};

static int write_messages(const struct due_batch *batch, struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        if (batch->messages == 0)
                return 0;
        RECORD_ARRAY(&params, CM_PG_UUID_ARRAY,
                     if (has_message(record))
                             cm_pg_array_uuid(&params, &record->item->schedule.view.user_id));
        RECORD_ARRAY(
                &params, CM_PG_UUID_ARRAY, if (has_message(record)) {
                        struct cm_uuid id = occurrence_delivery_id(&record->id, 0);
                        cm_pg_array_uuid(&params, &id);
                });
        RECORD_ARRAY(&params, CM_PG_UUID_ARRAY,
                     if (has_message(record)) cm_pg_array_uuid(&params, &record->id));
        RECORD_ARRAY(&params, CM_PG_UUID_ARRAY,
                     if (has_message(record))
                             cm_pg_array_uuid(&params, &record->item->schedule.view.id));
        cm_pg_put_time(&params, batch->now);
        cm_pg_put_int2(&params, REMINDER_METHOD_EMAIL);
        return cm_pg_tx_query(tx, &insert_messages, &params, NULL);
}

static const struct cm_pg_statement move_on = {
        .name = "due_move_on",
        .writes = true,
        .sql = "WITH t AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[],"
               " $4::timestamptz[], $5::timestamptz[], $6::bool[])"
               " t (user_id, id, nominal_at, run_at, last_run, resumed)),"
               " moved AS (UPDATE schedules s SET next_nominal_at = t.nominal_at,"
               " next_run_at = t.run_at, last_run_at = COALESCE(t.last_run, s.last_run_at),"
               " is_active = (s.is_active OR t.resumed) AND t.run_at IS NOT NULL,"
               " pause_reason = CASE WHEN NOT t.resumed THEN s.pause_reason END,"
               " paused_until = CASE WHEN NOT t.resumed THEN s.paused_until END"
               " FROM t WHERE s.user_id = t.user_id AND s.id = t.id),"
               " waiting AS (UPDATE schedule_queue q SET due_at = t.run_at FROM t"
               " WHERE q.schedule_id = t.id AND t.run_at IS NOT NULL)"
               " DELETE FROM schedule_queue q USING t"
               " WHERE q.schedule_id = t.id AND t.run_at IS NULL",
};

#define ITEM_ARRAY(params, kind, add)                                                              \
        do {                                                                                       \
                cm_pg_array_begin((params), (kind));                                               \
                for (size_t i = 0; i < batch->count; i++) {                                        \
                        const struct due_item *item = &batch->items[i];                            \
                        add;                                                                       \
                }                                                                                  \
                cm_pg_array_end(params);                                                           \
        } while (0)

static void add_time(struct cm_pg_params *params, bool has, cm_time time)
{
        if (has)
                cm_pg_array_int(params, time);
        else
                cm_pg_array_null(params);
}

static int write_schedules(const struct due_batch *batch, struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        ITEM_ARRAY(&params, CM_PG_UUID_ARRAY,
                   cm_pg_array_uuid(&params, &item->schedule.view.user_id));
        ITEM_ARRAY(&params, CM_PG_UUID_ARRAY, cm_pg_array_uuid(&params, &item->schedule.view.id));
        ITEM_ARRAY(&params, CM_PG_TIME_ARRAY,
                   add_time(&params, item->has_next, item->next_nominal));
        ITEM_ARRAY(&params, CM_PG_TIME_ARRAY, add_time(&params, item->has_next, item->next_run));
        ITEM_ARRAY(&params, CM_PG_TIME_ARRAY, add_time(&params, item->fired, item->last_run));
        ITEM_ARRAY(&params, CM_PG_BOOL_ARRAY, cm_pg_array_int(&params, item->resumed));
        return cm_pg_tx_query(tx, &move_on, &params, NULL);
}

static int write_facts(const struct due_batch *batch, struct cm_pg_tx *tx)
{
        struct cm_event *events =
                cm_arena_array(batch->arena, batch->record_count + 1, sizeof(*events));
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        size_t count = 0;

        for (size_t i = 0; i < batch->record_count; i++) {
                const struct due_record *record = &batch->records[i];
                const struct schedule_record *view = &record->item->schedule.view;
                const struct schedule_due fact = {
                        .user_id = view->user_id,
                        .schedule_id = view->id,
                        .occurrence_id = record->id,
                        .schedule_type = view->schedule_type,
                        .nominal_at = record->run.nominal,
                        .due_at = batch->now,
                        .missed = record->missed,
                        .has_missed = record->missed ? CM_PRESENT : CM_ABSENT,
                };

                if (record->run.state != RUN_STATE_FIRED)
                        continue;
                event_schedule_due(&events[count], batch->arena, cm_fiber_context(), batch->now,
                                   &view->user_id, &fact);
                events[count++].tenant = record->item->tenant;
        }
        if (count == 0)
                return 0;
        cm_outbox_params(events, count, &params);
        return cm_pg_tx_query(tx, &cm_outbox_insert, &params, NULL);
}

static int write_batch(struct due_batch *batch, struct cm_pg_tx **tx)
{
        int r = batch->record_count ? write_records(batch, *tx) : 0;

        if (r == 0)
                r = write_messages(batch, *tx);
        if (r == 0)
                r = write_schedules(batch, *tx);
        if (r == 0)
                r = write_facts(batch, *tx);
        return r ? r : cm_pg_commit(tx);
}

static void count_states(const struct due_batch *batch)
{
        static const char *const labels[] = {
                "state=\"fired\"",           "state=\"coalesced\"",      "state=\"missed\"",
                "state=\"skipped_overlap\"", "state=\"skipped_paused\"", "state=\"cancelled\"",
        };

        for (size_t i = 0; i < batch->record_count; i++)
                cm_counter_add(cm_metric_labeled(&occurrences_total,
                                                 labels[batch->records[i].run.state - 1]),
                               1);
}

static int work(struct due_batch *batch)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(batch->scheduler->pg, NULL, &tx);

        if (r == 0)
                r = lock_batch(batch, tx);
        if (r || batch->locked == 0)
                return r;
        r = read_batch(batch, tx);
        if (r == 0)
                r = forget_orphans(batch, tx);
        if (r)
                return r;
        for (size_t i = 0; i < batch->count; i++) {
                if (batch->record_count >= MAX_RECORDS) {
                        batch->count = i; /* the others are due at the next turn */
                        break;
                }
                plan_item(batch, &batch->items[i]);
        }
        r = write_batch(batch, &tx);
        if (r == 0)
                count_states(batch);
        return r;
}

int due_store_work(struct scheduler *scheduler, struct cm_arena *arena, struct due_done *done_r)
{
        struct due_batch *batch = CM_NEW(struct due_batch);
        int r;

        batch->scheduler = scheduler;
        batch->arena = arena;
        r = work(batch);
        *done_r = (struct due_done){ batch->locked, batch->messages };
        cm_free(batch->records);
        cm_free(batch);
        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement next_due = {
        .name = "due_next",
        .sql = "SELECT (extract(epoch FROM LEAST((SELECT min(due_at) FROM schedule_queue),"
               " (SELECT min(due_at) FROM delivery_queue), (SELECT min(due_at) FROM mails))"
               " - clock_timestamp()) * 1000000)::int8",
};

int due_store_next(struct cm_pg *pg, int64_t *in_us_r)
{
        static const struct cm_pg_scope scope = { .role = "sender" };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = cm_pg_query(pg, &scope, &next_due, &params, &result);

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        *in_us_r = INT64_MAX;
        if (!cm_pg_is_null(&result, 0, 0))
                *in_us_r = cm_pg_int(&result, 0, 0) > 0 ? cm_pg_int(&result, 0, 0) : 0;
        return 0;
}
