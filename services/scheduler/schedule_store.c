#include "schedule_store.h"

#include <stdio.h>

#include "base/error.h"
#include "row_values.h"
#include "sys/log.h"

/* ---- sealed texts */

static struct cm_str seal_context(struct cm_arena *arena, const char *column,
                                  const struct cm_uuid *id)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "schedules.%s:%s", column, cm_uuid_format(id, text));
}

static struct cm_str seal(struct scheduler *scheduler, struct cm_arena *arena, const char *column,
                          const struct cm_uuid *id, struct cm_str plain)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf sealed = { 0 };

        cm_seal(scheduler->seal, seal_context(arena, column, id), plain, &sealed);
        return cm_arena_str(arena, cm_buf_str(&sealed));
}

static uint8_t unseal(struct scheduler *scheduler, struct cm_arena *arena, const char *column,
                      const struct cm_uuid *id, struct cm_str sealed, struct cm_str *plain_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf plain = { 0 };

        if (!sealed.data)
                return CM_ABSENT;
        if (cm_unseal(scheduler->seal, seal_context(arena, column, id), sealed, &plain)) {
                cm_log(CM_LOG_ERROR, "SALUS_SEAL_KEYS does not open an address",
                       CM_F_UUID("schedule", *id));
                return CM_ABSENT;
        }
        *plain_r = cm_arena_str(arena, cm_buf_str(&plain));
        return CM_PRESENT;
}

/* ---- reading */

static void take_rules(const struct cm_pg_result *result, int row, struct schedule_record *view)
{
        view->schedule_type = (int32_t)cm_pg_int(result, row, 5);
        view->follow_user = cm_pg_bool(result, row, 8);
        view->dst_gap = (int32_t)cm_pg_int(result, row, 9);
        view->dst_overlap = (int32_t)cm_pg_int(result, row, 10);
        view->misfire = (int32_t)cm_pg_int(result, row, 11);
        view->has_max_lateness_s = cm_pg_is_null(result, row, 12) ? CM_ABSENT : CM_PRESENT;
        if (view->has_max_lateness_s == CM_PRESENT)
                view->max_lateness_s = cm_pg_int(result, row, 12);
        view->catchup_limit = cm_pg_int(result, row, 13);
        view->overlap_policy = (int32_t)cm_pg_int(result, row, 14);
        view->jitter_s = cm_pg_int(result, row, 15);
        view->reminder_method = (int32_t)cm_pg_int(result, row, 16);
}

static void take_times(const struct cm_pg_result *result, int row, struct stored_schedule *schedule)
{
        struct schedule_record *view = &schedule->view;

        schedule->anchor_at = cm_pg_time(result, row, 25);
        view->is_active = cm_pg_bool(result, row, 26);
        view->has_paused_until = row_time(result, row, 28, &view->paused_until);
        schedule->has_next = row_time(result, row, 29, &schedule->next_nominal) == CM_PRESENT;
        view->has_next_run_at = row_time(result, row, 30, &view->next_run_at);
        view->has_last_run_at = row_time(result, row, 31, &view->last_run_at);
        schedule->rule_hash = cm_pg_int(result, row, 33);
        view->created_at = cm_pg_time(result, row, 34);
        view->updated_at = cm_pg_time(result, row, 35);
}

static void take_content(struct scheduler *scheduler, struct cm_arena *arena,
                         const struct cm_pg_result *result, int row,
                         struct stored_schedule *schedule)
{
        struct schedule_record *view = &schedule->view;

        view->has_description = row_text(result, row, 4, arena, &view->description);
        (void)row_text(result, row, 17, arena, &schedule->sealed_email);
        (void)row_text(result, row, 18, arena, &schedule->sealed_phone);
        view->has_email =
                unseal(scheduler, arena, "email", &view->id, schedule->sealed_email, &view->email);
        view->has_phone_number = unseal(scheduler, arena, "phone_number", &view->id,
                                        schedule->sealed_phone, &view->phone_number);
        view->has_assistant_id = row_text(result, row, 19, arena, &view->assistant_id);
        view->has_medication_name = row_text(result, row, 20, arena, &view->medication_name);
        view->has_medication_id = row_uuid(result, row, 36, &view->medication_id);
        view->has_dose = row_text(result, row, 22, arena, &view->dose.unit);
        if (view->has_dose == CM_PRESENT)
                view->dose.value = cm_pg_real(result, row, 21);
        view->custom_metadata = cm_arena_str(arena, cm_pg_jsonb(result, row, 23));
        view->has_custom_metadata = view->custom_metadata.data ? CM_PRESENT : CM_ABSENT;
        view->has_context_summary = row_text(result, row, 24, arena, &view->context_summary);
        view->has_pause_reason = row_text(result, row, 27, arena, &view->pause_reason);
}

void schedule_store_take(struct scheduler *scheduler, struct cm_arena *arena,
                         const struct cm_pg_result *result, int row,
                         struct stored_schedule *schedule_r)
{
        struct schedule_record *view = &schedule_r->view;

        *schedule_r = (struct stored_schedule){ 0 };
        view->id = cm_pg_uuid(result, row, 0);
        view->user_id = cm_pg_uuid(result, row, 1);
        view->version = cm_pg_int(result, row, 2);
        (void)row_text(result, row, 3, arena, &view->name);
        (void)row_text(result, row, 6, arena, &view->cron_expression);
        (void)row_text(result, row, 7, arena, &view->timezone);
        (void)row_text(result, row, 32, arena, &schedule_r->tz_version);
        take_rules(result, row, view);
        take_times(result, row, schedule_r);
        take_content(scheduler, arena, result, row, schedule_r);
}

static void take_all(struct scheduler *scheduler, struct cm_arena *arena,
                     const struct cm_pg_result *result, struct schedule_array *list_r)
{
        list_r->count = (size_t)result->rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < result->rows; i++)
                schedule_store_take(scheduler, arena, result, i, &list_r->items[i]);
}

static const struct cm_pg_statement read_one = {
        .name = "schedule_read",
        .sql = "SELECT " SCHEDULE_COLUMNS
               " FROM schedules s WHERE s.user_id = $1::uuid AND s.id = $2::uuid",
};

int schedule_store_read(struct scheduler *scheduler, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct cm_uuid *id,
                        struct stored_schedule *schedule_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = cm_pg_query(scheduler->pg, SCOPE_OF(user), &read_one, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (result.rows == 0)
                return SCHEDULE_NOT_FOUND;
        schedule_store_take(scheduler, arena, &result, 0, schedule_r);
        return 0;
}

static const struct cm_pg_statement read_list = {
        .name = "schedule_list",
        .sql = "SELECT " SCHEDULE_COLUMNS " FROM schedules s WHERE s.user_id = $1::uuid"
               " AND (s.created_at, s.id) < ($2::timestamptz, $3::uuid)"
               " ORDER BY s.created_at DESC, s.id DESC LIMIT $4::int4",
};

int schedule_store_list(struct scheduler *scheduler, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct schedule_place *after,
                        int32_t limit, struct schedule_array *list_r)
{
        static const struct schedule_place top = { .created_at = INT64_MAX / 4 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        if (!after)
                after = &top;
        cm_pg_put_uuid(&params, user);
        cm_pg_put_time(&params, after->created_at);
        cm_pg_put_uuid(&params, &after->id);
        cm_pg_put_int4(&params, limit);
        r = cm_pg_query(scheduler->pg, SCOPE_OF(user), &read_list, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        take_all(scheduler, arena, &result, list_r);
        return 0;
}

/* The last run of a reminder, unless it has an answer that stands. */
static const struct cm_pg_statement read_upcoming = {
        .name = "schedule_upcoming",
        .sql = "SELECT " SCHEDULE_COLUMNS ", w.nominal_at FROM schedules s LEFT JOIN LATERAL"
               " (SELECT o.nominal_at, o.ack FROM occurrences o WHERE o.user_id = s.user_id"
               "  AND o.schedule_id = s.id AND o.state = $4::int2 AND o.schedule_type = $5::int2"
               "  AND o.nominal_at > clock_timestamp() - interval '2 days'"
               "  ORDER BY o.nominal_at DESC, o.id DESC LIMIT 1) w"
               " ON w.ack IS NULL OR w.ack = $6::int2"
               " WHERE s.user_id = $1::uuid AND ($2::bool OR s.is_active OR w.nominal_at IS NOT"
               " NULL) ORDER BY s.next_run_at NULLS LAST, s.id LIMIT $3::int4",
};

int schedule_store_upcoming(struct scheduler *scheduler, struct cm_arena *arena,
                            const struct cm_uuid *user, bool all, int32_t limit,
                            struct schedule_array *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_bool(&params, all);
        cm_pg_put_int4(&params, limit);
        cm_pg_put_int2(&params, RUN_STATE_FIRED);
        cm_pg_put_int2(&params, SCHEDULE_TYPE_REMINDER);
        cm_pg_put_int2(&params, OCCURRENCE_ACK_SNOOZED);
        r = cm_pg_query(scheduler->pg, SCOPE_OF(user), &read_upcoming, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        take_all(scheduler, arena, &result, list_r);
        for (int i = 0; i < result.rows; i++)
                list_r->items[i].waits = row_time(&result, i, SCHEDULE_COLUMN_COUNT,
                                                  &list_r->items[i].waiting_since) == CM_PRESENT;
        return 0;
}

/* ---- locking */

static const struct cm_pg_statement lock_queue = {
        .name = "schedule_queue_lock",
        .sql = "SELECT FROM schedule_queue WHERE schedule_id = $2::uuid AND user_id = $1::uuid"
               " FOR UPDATE",
};

static const struct cm_pg_statement lock_one = {
        .name = "schedule_lock",
        .sql = "SELECT " SCHEDULE_COLUMNS
               " FROM schedules s WHERE s.user_id = $1::uuid AND s.id = $2::uuid FOR UPDATE",
};

int schedule_store_lock(struct scheduler *scheduler, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct cm_uuid *user, const struct cm_uuid *id,
                        struct stored_schedule *schedule_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = cm_pg_tx_query(tx, &lock_queue, &params, NULL);
        if (r == 0)
                r = cm_pg_tx_query(tx, &lock_one, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (result.rows == 0)
                return SCHEDULE_NOT_FOUND;
        schedule_store_take(scheduler, arena, &result, 0, schedule_r);
        return 0;
}

static const struct cm_pg_statement lock_users_queue = {
        .name = "schedule_queue_lock_user",
        .sql = "SELECT FROM schedule_queue WHERE schedule_id IN (SELECT id FROM schedules"
               " WHERE user_id = $1::uuid AND follow_user) ORDER BY schedule_id FOR UPDATE",
};

static const struct cm_pg_statement lock_followers = {
        .name = "schedule_lock_followers",
        .sql = "SELECT " SCHEDULE_COLUMNS
               " FROM schedules s WHERE s.user_id = $1::uuid AND s.follow_user FOR UPDATE",
};

int schedule_store_lock_followers(struct scheduler *scheduler, struct cm_pg_tx *tx,
                                  struct cm_arena *arena, const struct cm_uuid *user,
                                  struct schedule_array *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        r = cm_pg_tx_query(tx, &lock_users_queue, &params, NULL);
        if (r == 0)
                r = cm_pg_tx_query(tx, &lock_followers, &params, &result);
        if (r)
                return r;
        take_all(scheduler, arena, &result, list_r);
        return 0;
}

/* ---- saving */

static const struct cm_pg_statement save = {
        .name = "schedule_save",
        .writes = true,
        .sql = "INSERT INTO schedules (user_id, id, version, name, description, schedule_type,"
               " cron_expression, timezone, follow_user, dst_gap, dst_overlap, misfire,"
               " max_lateness_s, catchup_limit, overlap_policy, jitter_s, reminder_method, email,"
               " phone_number, assistant_id, medication_name, dose_value, dose_unit,"
               " custom_metadata, context_summary, anchor_at, is_active, pause_reason,"
               " paused_until, next_nominal_at, next_run_at, tz_version, rule_hash, created_at,"
               " updated_at, medication_id)"
               " VALUES ($1::uuid, $2::uuid, $3::int8, $4::text, $5::text, $6::int2, $7::text,"
               " $8::text, $9::bool, $10::int2, $11::int2, $12::int2, $13::int4, $14::int4,"
               " $15::int2, $16::int4, $17::int2, $18::text, $19::text, $20::text, $21::text,"
               " $22::text::float8, $23::text, $24::jsonb, $25::text, $26::timestamptz,"
               " $27::bool, $28::text, $29::timestamptz, $30::timestamptz, $31::timestamptz,"
               " $32::text, $33::int8, $34::timestamptz, $35::timestamptz, $36::uuid)"
               " ON CONFLICT (user_id, id) DO UPDATE SET version = excluded.version,"
               " name = excluded.name, description = excluded.description,"
               " cron_expression = excluded.cron_expression, timezone = excluded.timezone,"
               " follow_user = excluded.follow_user, dst_gap = excluded.dst_gap,"
               " dst_overlap = excluded.dst_overlap, misfire = excluded.misfire,"
               " max_lateness_s = excluded.max_lateness_s, catchup_limit = excluded.catchup_limit,"
               " overlap_policy = excluded.overlap_policy, jitter_s = excluded.jitter_s,"
               " reminder_method = excluded.reminder_method, email = excluded.email,"
               " phone_number = excluded.phone_number, assistant_id = excluded.assistant_id,"
               " medication_name = excluded.medication_name,"
               " custom_metadata = excluded.custom_metadata,"
               " context_summary = excluded.context_summary, anchor_at = excluded.anchor_at,"
               " is_active = excluded.is_active, pause_reason = excluded.pause_reason,"
               " paused_until = excluded.paused_until, next_nominal_at = excluded.next_nominal_at,"
               " next_run_at = excluded.next_run_at, tz_version = excluded.tz_version,"
               " rule_hash = excluded.rule_hash, updated_at = excluded.updated_at",
};

static void put_text(struct cm_pg_params *params, uint8_t has, struct cm_str text)
{
        cm_pg_put_text(params, has == CM_PRESENT ? text : CM_STR_NONE);
}

static void put_time(struct cm_pg_params *params, bool has, cm_time time)
{
        if (has)
                cm_pg_put_time(params, time);
        else
                cm_pg_put_null(params);
}

static void put_rules(struct cm_pg_params *params, const struct schedule_record *view)
{
        cm_pg_put_bool(params, view->follow_user);
        cm_pg_put_int2(params, (int16_t)view->dst_gap);
        cm_pg_put_int2(params, (int16_t)view->dst_overlap);
        cm_pg_put_int2(params, (int16_t)view->misfire);
        if (view->has_max_lateness_s == CM_PRESENT)
                cm_pg_put_int4(params, (int32_t)view->max_lateness_s);
        else
                cm_pg_put_null(params);
        cm_pg_put_int4(params, (int32_t)view->catchup_limit);
        cm_pg_put_int2(params, (int16_t)view->overlap_policy);
        cm_pg_put_int4(params, (int32_t)view->jitter_s);
        cm_pg_put_int2(params, (int16_t)view->reminder_method);
}

static void put_dose(struct cm_pg_params *params, struct cm_arena *arena,
                     const struct schedule_record *view)
{
        bool has = view->has_dose == CM_PRESENT;

        cm_pg_put_text(params,
                       has ? cm_arena_printf(arena, "%.15g", view->dose.value) : CM_STR_NONE);
        cm_pg_put_text(params, has ? view->dose.unit : CM_STR_NONE);
}

static void put_content(struct scheduler *scheduler, struct cm_arena *arena,
                        struct cm_pg_params *params, const struct schedule_record *view)
{
        cm_pg_put_text(params, view->has_email == CM_PRESENT
                                       ? seal(scheduler, arena, "email", &view->id, view->email)
                                       : CM_STR_NONE);
        cm_pg_put_text(params, view->has_phone_number == CM_PRESENT
                                       ? seal(scheduler, arena, "phone_number", &view->id,
                                              view->phone_number)
                                       : CM_STR_NONE);
        put_text(params, view->has_assistant_id, view->assistant_id);
        put_text(params, view->has_medication_name, view->medication_name);
        put_dose(params, arena, view);
        if (view->has_custom_metadata == CM_PRESENT)
                cm_pg_put_jsonb(params, view->custom_metadata);
        else
                cm_pg_put_null(params);
        put_text(params, view->has_context_summary, view->context_summary);
}

static void put_times(struct cm_pg_params *params, const struct stored_schedule *schedule)
{
        const struct schedule_record *view = &schedule->view;

        cm_pg_put_time(params, schedule->anchor_at);
        cm_pg_put_bool(params, view->is_active);
        put_text(params, view->has_pause_reason, view->pause_reason);
        put_time(params, view->has_paused_until == CM_PRESENT, view->paused_until);
        put_time(params, schedule->has_next, schedule->next_nominal);
        put_time(params, schedule->has_next, view->next_run_at);
        cm_pg_put_text(params, schedule->tz_version);
        cm_pg_put_int8(params, schedule->rule_hash);
        cm_pg_put_time(params, view->created_at);
        cm_pg_put_time(params, view->updated_at);
        cm_pg_put_uuid(params, view->has_medication_id == CM_PRESENT ? &view->medication_id : NULL);
}

/* The replicas are told in the transaction: they look when it has committed. */
static const struct cm_pg_statement queue_save = {
        .name = "schedule_queue_save",
        .writes = true,
        .sql = "WITH told AS (SELECT pg_notify('" SCHEDULE_CHANNEL "', ''))"
               " INSERT INTO schedule_queue (schedule_id, user_id, due_at, zone, rule_hash)"
               " SELECT $1::uuid, $2::uuid, $3::timestamptz, $4::text, $5::int8 FROM told"
               " ON CONFLICT (schedule_id) DO UPDATE SET due_at = excluded.due_at,"
               " zone = excluded.zone, rule_hash = excluded.rule_hash",
};

static const struct cm_pg_statement queue_remove = {
        .name = "schedule_queue_remove",
        .writes = true,
        .sql = "DELETE FROM schedule_queue WHERE schedule_id = $1::uuid",
};

static int save_queue(struct cm_pg_tx *tx, const struct stored_schedule *schedule)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &schedule->view.id);
        if (!schedule->has_next)
                return cm_pg_tx_query(tx, &queue_remove, &params, NULL);
        cm_pg_put_uuid(&params, &schedule->view.user_id);
        cm_pg_put_time(&params, schedule->view.next_run_at);
        cm_pg_put_text(&params, schedule->view.timezone);
        cm_pg_put_int8(&params, schedule->rule_hash);
        return cm_pg_tx_query(tx, &queue_save, &params, NULL);
}

int schedule_store_save(struct scheduler *scheduler, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct stored_schedule *schedule)
{
        const struct schedule_record *view = &schedule->view;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        cm_pg_put_uuid(&params, &view->user_id);
        cm_pg_put_uuid(&params, &view->id);
        cm_pg_put_int8(&params, view->version);
        cm_pg_put_text(&params, view->name);
        put_text(&params, view->has_description, view->description);
        cm_pg_put_int2(&params, (int16_t)view->schedule_type);
        cm_pg_put_text(&params, view->cron_expression);
        cm_pg_put_text(&params, view->timezone);
        put_rules(&params, view);
        put_content(scheduler, arena, &params, view);
        put_times(&params, schedule);
        r = cm_pg_tx_query(tx, &save, &params, NULL);
        return r ? r : save_queue(tx, schedule);
}

/* ---- deleting */

static const struct cm_pg_statement give_up_messages = {
        .name = "schedule_messages_give_up",
        .writes = true,
        .sql = "WITH given AS (UPDATE deliveries SET state = $3::int2, failure = $4::int2,"
               " failed_at = clock_timestamp(), next_attempt_at = NULL"
               " WHERE user_id = $1::uuid AND schedule_id = $2::uuid AND state <= 2 RETURNING id)"
               " DELETE FROM delivery_queue WHERE delivery_id IN (SELECT id FROM given)",
};

static const struct cm_pg_statement delete_one = {
        .name = "schedule_delete",
        .writes = true,
        .sql = "WITH gone AS (DELETE FROM schedule_queue"
               " WHERE schedule_id = $2::uuid AND user_id = $1::uuid)"
               " DELETE FROM schedules WHERE user_id = $1::uuid AND id = $2::uuid",
};

int schedule_store_delete(struct cm_pg_tx *tx, const struct cm_uuid *user, const struct cm_uuid *id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params both = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        cm_pg_put_int2(&params, DELIVERY_STATE_FAILED);
        cm_pg_put_int2(&params, DELIVERY_FAILURE_SCHEDULE_DELETED);
        r = cm_pg_tx_query(tx, &give_up_messages, &params, NULL);
        cm_pg_put_uuid(&both, user);
        cm_pg_put_uuid(&both, id);
        return r ? r : cm_pg_tx_query(tx, &delete_one, &both, NULL);
}
