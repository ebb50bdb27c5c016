#include "delivery_store.h"

#include "base/error.h"
#include "bus/outbox.h"
#include "events.h"
#include "sys/fiber.h"

/* ---- claiming */

static const struct cm_pg_statement claim = {
        .name = "delivery_claim",
        .writes = true,
        .sql = "WITH due AS (SELECT delivery_id FROM delivery_queue"
               " WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT $1::int4"
               " FOR UPDATE SKIP LOCKED)"
               " UPDATE delivery_queue q SET attempts = q.attempts + 1,"
               " due_at = clock_timestamp() + $2::int8 * interval '1 microsecond'"
               " FROM due WHERE q.delivery_id = due.delivery_id"
               " RETURNING q.delivery_id, q.user_id, q.attempts",
};

int delivery_store_claim(struct cm_pg *pg, int64_t lease_us, size_t room,
                         struct delivery_ticket *tickets, size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_int4(&params, (int32_t)room);
        cm_pg_put_int8(&params, lease_us);
        r = cm_pg_query(pg, NULL, &claim, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        *count_r = (size_t)result.rows;
        for (int i = 0; i < result.rows; i++)
                tickets[i] = (struct delivery_ticket){ cm_pg_uuid(&result, i, 0),
                                                       cm_pg_uuid(&result, i, 1),
                                                       (int)cm_pg_int(&result, i, 2) };
        return 0;
}

/* ---- beginning */

static const struct cm_pg_statement begin = {
        .name = "delivery_begin",
        .writes = true,
        .sql = "WITH d AS (UPDATE deliveries SET state = 2, attempts = $3::int2,"
               " next_attempt_at = NULL WHERE user_id = $1::uuid AND id = $2::uuid AND state <= 2"
               " RETURNING *)"
               " SELECT d.occurrence_id, d.schedule_id, d.number, o.nominal_at, o.name,"
               " s.description, o.medication_name, o.dose_value, o.dose_unit,"
               " COALESCE(s.timezone, u.time_zone, 'UTC'), COALESCE(u.language, 'en'), s.email,"
               " c.email, u.tenant_id, u.status,"
               " (SELECT count(*) FROM occurrences m WHERE m.user_id = $1"
               " AND m.schedule_id = d.schedule_id AND m.state = 3 AND m.nominal_at < o.nominal_at"
               " AND m.nominal_at > COALESCE((SELECT max(f.nominal_at) FROM occurrences f"
               " WHERE f.user_id = $1 AND f.schedule_id = d.schedule_id AND f.state = 1"
               " AND f.nominal_at < o.nominal_at), '-infinity')), d.created_at, o.snoozed_until"
               " FROM d JOIN occurrences o ON o.user_id = d.user_id AND o.id = d.occurrence_id"
               " LEFT JOIN schedules s ON s.user_id = d.user_id AND s.id = d.schedule_id"
               " LEFT JOIN user_refs u ON u.user_id = d.user_id"
               " LEFT JOIN user_contacts c ON c.user_id = d.user_id",
};

static struct cm_str text_of(const struct cm_pg_result *result, int column, struct cm_arena *arena)
{
        return cm_arena_str(arena, cm_pg_text(result, 0, column));
}

static void take(const struct cm_pg_result *result, struct cm_arena *arena,
                 struct delivery_job *job_r)
{
        job_r->occurrence = cm_pg_uuid(result, 0, 0);
        job_r->schedule = cm_pg_uuid(result, 0, 1);
        job_r->number = (int)cm_pg_int(result, 0, 2);
        job_r->nominal_at = cm_pg_time(result, 0, 3);
        job_r->due_at = job_r->nominal_at;
        if (job_r->number > 0 && !cm_pg_is_null(result, 0, 17))
                job_r->due_at = cm_pg_time(result, 0, 17);
        job_r->name = text_of(result, 4, arena);
        job_r->description = text_of(result, 5, arena);
        job_r->medication_name = text_of(result, 6, arena);
        job_r->dose_unit = text_of(result, 8, arena);
        if (job_r->dose_unit.data)
                job_r->dose_value = cm_pg_real(result, 0, 7);
        job_r->timezone = text_of(result, 9, arena);
        job_r->language = text_of(result, 10, arena);
        job_r->sealed_email = text_of(result, 11, arena);
        job_r->sealed_contact = text_of(result, 12, arena);
        if (!cm_pg_is_null(result, 0, 13)) {
                job_r->tenant = cm_pg_uuid(result, 0, 13);
                job_r->account_ended = cm_pg_int(result, 0, 14) != USER_STATUS_ACTIVE;
        }
        job_r->missed = cm_pg_int(result, 0, 15);
}

static const struct cm_pg_statement forget = {
        .name = "delivery_forget",
        .writes = true,
        .sql = "DELETE FROM delivery_queue WHERE delivery_id = $1::uuid AND attempts = $2::int2",
};

int delivery_store_begin(struct cm_pg *pg, struct cm_arena *arena,
                         const struct delivery_ticket *ticket, struct delivery_job *job_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params key = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        *job_r = (struct delivery_job){ .id = ticket->id,
                                        .user = ticket->user,
                                        .attempt = ticket->attempt };
        cm_pg_put_uuid(&params, &ticket->user);
        cm_pg_put_uuid(&params, &ticket->id);
        cm_pg_put_int2(&params, (int16_t)ticket->attempt);
        r = cm_pg_query(pg, SCOPE_OF(&ticket->user), &begin, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (result.rows > 0) {
                take(&result, arena, job_r);
                return 0;
        }
        cm_pg_put_uuid(&key, &ticket->id);
        cm_pg_put_int2(&key, (int16_t)ticket->attempt);
        r = cm_pg_query(pg, NULL, &forget, &key, NULL);
        return r < 0 ? r : DELIVERY_GONE;
}

/* ---- spacing */

static const struct cm_pg_statement space = {
        .name = "delivery_space",
        .writes = true,
        .sql = "WITH got AS (INSERT INTO destination_spacing AS d (destination, free_at)"
               " VALUES ($1::bytea, clock_timestamp() + $2::int8 * interval '1 microsecond')"
               " ON CONFLICT (destination) DO UPDATE SET free_at = excluded.free_at"
               " WHERE d.free_at <= clock_timestamp() RETURNING free_at)"
               " SELECT true, free_at FROM got UNION ALL SELECT false, free_at"
               " FROM destination_spacing WHERE destination = $1 AND NOT EXISTS (SELECT FROM got)",
};

int delivery_store_space(struct cm_pg *pg, struct cm_str destination, int64_t spacing_us,
                         bool *free_r, cm_time *free_at_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        *free_r = true;
        if (spacing_us == 0)
                return 0;
        cm_pg_put_bytes(&params, destination);
        cm_pg_put_int8(&params, spacing_us);
        r = cm_pg_query(pg, NULL, &space, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (result.rows == 0)
                return -CM_E_UNAVAILABLE; /* taken by somebody just now: their row is not seen yet
                                           */
        *free_r = cm_pg_bool(&result, 0, 0);
        *free_at_r = cm_pg_time(&result, 0, 1);
        return 0;
}

/* ---- ends */

/* The queue's row first: it says whether the attempt is still ours. The fact goes with the change.
 */
#define IF_OURS                                                                                    \
        "WITH ours AS (DELETE FROM delivery_queue WHERE delivery_id = $2::uuid"                    \
        " AND attempts = $3::int2 RETURNING delivery_id), done AS (UPDATE deliveries d SET "
#define WITH_FACT                                                                                  \
        " RETURNING d.id) INSERT INTO outbox (payload, event_count) SELECT $4::text, 1 FROM done"  \
        " RETURNING pg_notify('" CM_OUTBOX_CHANNEL "', '')"

static const struct cm_pg_statement settle_sent = {
        .name = "delivery_sent",
        .writes = true,
        .sql = IF_OURS
        "state = CASE WHEN state <= 2 THEN 3 ELSE state END,"
        " sent_at = clock_timestamp(), failure = NULL, failure_detail = NULL"
        " FROM ours WHERE d.user_id = $1::uuid AND d.id = ours.delivery_id" WITH_FACT,
};

static const struct cm_pg_statement settle_failed = {
        .name = "delivery_failed",
        .writes = true,
        .sql = IF_OURS "state = 5, failed_at = clock_timestamp(), failure = $5::int2,"
                       " failure_detail = $6::text FROM ours WHERE d.user_id = $1::uuid"
                       " AND d.id = ours.delivery_id AND d.state <= 2" WITH_FACT,
};

static void put_key(struct cm_pg_params *params, const struct delivery_job *job)
{
        cm_pg_put_uuid(params, &job->user);
        cm_pg_put_uuid(params, &job->id);
        cm_pg_put_int2(params, (int16_t)job->attempt);
}

static void put_fact(struct cm_pg_params *params, struct cm_arena *arena,
                     const struct cm_event *event)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };

        cm_outbox_payload(event, 1, &payload);
        cm_pg_put_text(params, cm_arena_str(arena, cm_buf_str(&payload)));
}

static int run(struct cm_pg *pg, const struct delivery_job *job,
               const struct cm_pg_statement *statement, const struct cm_pg_params *params)
{
        int r = cm_pg_query(pg, SCOPE_OF(&job->user), statement, params, NULL);

        return r > 0 ? -CM_E_DATABASE : r;
}

int delivery_store_sent(struct cm_pg *pg, struct cm_arena *arena, const struct delivery_job *job)
{
        cm_time now = cm_now(&cm_clock_system);
        const struct reminder_delivered fact = {
                .user_id = job->user,
                .schedule_id = job->schedule,
                .occurrence_id = job->occurrence,
                .delivery_id = job->id,
                .method = REMINDER_METHOD_EMAIL,
                .nominal_at = job->nominal_at,
                .sent_at = now,
                .attempts = job->attempt,
        };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct cm_event event;

        event_reminder_delivered(&event, arena, cm_fiber_context(), now, &job->user, &fact);
        event.tenant = job->tenant;
        put_key(&params, job);
        put_fact(&params, arena, &event);
        return run(pg, job, &settle_sent, &params);
}

int delivery_store_failed(struct cm_pg *pg, struct cm_arena *arena, const struct delivery_job *job,
                          int32_t failure, struct cm_str detail)
{
        cm_time now = cm_now(&cm_clock_system);
        const struct reminder_failed fact = {
                .user_id = job->user,
                .schedule_id = job->schedule,
                .occurrence_id = job->occurrence,
                .delivery_id = job->id,
                .method = REMINDER_METHOD_EMAIL,
                .nominal_at = job->nominal_at,
                .failed_at = now,
                .attempts = job->attempt,
                .reason = failure,
        };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct cm_event event;

        event_reminder_failed(&event, arena, cm_fiber_context(), now, &job->user, &fact);
        event.tenant = job->tenant;
        put_key(&params, job);
        put_fact(&params, arena, &event);
        cm_pg_put_int2(&params, (int16_t)failure);
        cm_pg_put_text(&params, detail);
        return run(pg, job, &settle_failed, &params);
}

static const struct cm_pg_statement try_later = {
        .name = "delivery_later",
        .writes = true,
        .sql = "WITH ours AS (UPDATE delivery_queue SET due_at = clock_timestamp()"
               " + $4::int8 * interval '1 microsecond' WHERE delivery_id = $2::uuid"
               " AND attempts = $3::int2 RETURNING delivery_id, due_at)"
               " UPDATE deliveries d SET state = 1, next_attempt_at = ours.due_at,"
               " failure = $5::int2, failure_detail = $6::text FROM ours"
               " WHERE d.user_id = $1::uuid AND d.id = ours.delivery_id AND d.state = 2",
};

int delivery_store_later(struct cm_pg *pg, const struct delivery_job *job, int64_t wait_us,
                         int32_t failure, struct cm_str detail)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        put_key(&params, job);
        cm_pg_put_int8(&params, wait_us);
        cm_pg_put_int2(&params, (int16_t)failure);
        cm_pg_put_text(&params, detail);
        return run(pg, job, &try_later, &params);
}

static const struct cm_pg_statement put_back = {
        .name = "delivery_put_back",
        .writes = true,
        .sql = "WITH ours AS (UPDATE delivery_queue SET due_at = $4::timestamptz,"
               " attempts = attempts - 1 WHERE delivery_id = $2::uuid"
               " AND attempts = $3::int2 RETURNING delivery_id)"
               " UPDATE deliveries d SET state = 1, next_attempt_at = $4, attempts = attempts - 1"
               " FROM ours WHERE d.user_id = $1::uuid AND d.id = ours.delivery_id AND d.state = 2",
};

int delivery_store_put_back(struct cm_pg *pg, const struct delivery_job *job, cm_time free_at)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        put_key(&params, job);
        cm_pg_put_time(&params, free_at);
        return run(pg, job, &put_back, &params);
}
