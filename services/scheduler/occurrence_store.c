#include "occurrence_store.h"

#include <stdio.h>

#include "base/error.h"
#include "codec/uuid5.h"
#include "row_values.h"
#include "schedule_store.h"

struct cm_uuid occurrence_id(const struct cm_uuid *schedule, cm_time nominal_at)
{
        char text[CM_TIME_TEXT_SIZE];

        return cm_uuid5(schedule, cm_str_from(cm_time_format(nominal_at, text)));
}

struct cm_uuid occurrence_delivery_id(const struct cm_uuid *occurrence, int number)
{
        char text[24];

        (void)snprintf(text, sizeof(text), "message %d", number);
        return cm_uuid5(occurrence, cm_str_from(text));
}

/* ---- reading */

#define COLUMNS                                                                                    \
        "id, schedule_id, name, schedule_type, nominal_at, state, recorded_at, adjusted, ack,"     \
        " acked_at, snoozed_until, medication_name, dose_value, dose_unit, snoozes, medication_id"
enum { SNOOZES_COLUMN = 14, MEDICATION_COLUMN = 15, MAX_SNOOZES = 50 };

static void take(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                 struct occurrence *o)
{
        *o = (struct occurrence){
                .id = cm_pg_uuid(result, row, 0),
                .schedule_id = cm_pg_uuid(result, row, 1),
                .schedule_type = (int32_t)cm_pg_int(result, row, 3),
                .nominal_at = cm_pg_time(result, row, 4),
                .state = (int32_t)cm_pg_int(result, row, 5),
                .recorded_at = cm_pg_time(result, row, 6),
        };
        (void)row_text(result, row, 2, arena, &o->name);
        o->has_adjusted = row_enum(result, row, 7, &o->adjusted);
        o->has_ack = row_enum(result, row, 8, &o->ack);
        o->has_acked_at = row_time(result, row, 9, &o->acked_at);
        o->has_snoozed_until = row_time(result, row, 10, &o->snoozed_until);
        o->has_medication_name = row_text(result, row, 11, arena, &o->medication_name);
        o->has_medication_id = row_uuid(result, row, MEDICATION_COLUMN, &o->medication_id);
        o->has_dose = row_text(result, row, 13, arena, &o->dose.unit);
        if (o->has_dose == CM_PRESENT)
                o->dose.value = cm_pg_real(result, row, 12);
}

static void take_delivery(const struct cm_pg_result *result, int row, struct delivery *d)
{
        *d = (struct delivery){
                .id = cm_pg_uuid(result, row, 1),
                .method = (int32_t)cm_pg_int(result, row, 2),
                .state = (int32_t)cm_pg_int(result, row, 3),
                .attempts = cm_pg_int(result, row, 4),
                .created_at = cm_pg_time(result, row, 8),
        };
        d->has_failure = row_enum(result, row, 5, &d->failure);
        d->has_next_attempt_at = row_time(result, row, 6, &d->next_attempt_at);
        d->has_sent_at = row_time(result, row, 7, &d->sent_at);
}

static const struct cm_pg_statement read_deliveries = {
        .name = "occurrence_deliveries",
        .sql = "SELECT occurrence_id, id, method, state, attempts, failure, next_attempt_at,"
               " sent_at, created_at FROM deliveries"
               " WHERE user_id = $1::uuid AND occurrence_id = ANY ($2::uuid[]) ORDER BY number",
};

/* Their messages beside them. */
static int add_deliveries(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          struct occurrence_array *list)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        if (list->count == 0)
                return 0;
        cm_pg_put_uuid(&params, user);
        cm_pg_array_begin(&params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < list->count; i++)
                cm_pg_array_uuid(&params, &list->items[i].id);
        cm_pg_array_end(&params);
        r = cm_pg_query(pg, SCOPE_OF(user), &read_deliveries, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        for (size_t i = 0; i < list->count; i++) {
                struct occurrence *o = &list->items[i];

                o->deliveries.items = cm_arena_array(arena, (size_t)result.rows + 1,
                                                     sizeof(*o->deliveries.items));
                for (int row = 0; row < result.rows; row++) {
                        struct cm_uuid of = cm_pg_uuid(&result, row, 0);

                        if (cm_uuid_equal(&of, &o->id))
                                take_delivery(&result, row,
                                              &o->deliveries.items[o->deliveries.count++]);
                }
        }
        return 0;
}

static void take_all(const struct cm_pg_result *result, struct cm_arena *arena,
                     struct occurrence_array *list_r)
{
        list_r->count = (size_t)result->rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < result->rows; i++)
                take(result, i, arena, &list_r->items[i]);
}

static const struct cm_pg_statement read_one = {
        .name = "occurrence_read",
        .sql = "SELECT " COLUMNS " FROM occurrences WHERE user_id = $1::uuid AND id = $2::uuid",
};

int occurrence_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          const struct cm_uuid *id, struct occurrence *occurrence_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        struct occurrence_array list;
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = cm_pg_query(pg, SCOPE_OF(user), &read_one, &params, &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (result.rows == 0)
                return OCCURRENCE_NOT_FOUND;
        take_all(&result, arena, &list);
        r = add_deliveries(pg, arena, user, &list);
        *occurrence_r = list.items[0];
        return r;
}

static const struct cm_pg_statement list_of_schedule = {
        .name = "occurrence_list_schedule",
        .sql = "SELECT " COLUMNS " FROM occurrences WHERE user_id = $1::uuid"
               " AND (nominal_at, id) < ($2::timestamptz, $3::uuid) AND schedule_id = $5::uuid"
               " ORDER BY nominal_at DESC, id DESC LIMIT $4::int4",
};

static const struct cm_pg_statement list_of_all = {
        .name = "occurrence_list",
        .sql = "SELECT " COLUMNS " FROM occurrences WHERE user_id = $1::uuid"
               " AND (nominal_at, id) < ($2::timestamptz, $3::uuid)"
               " ORDER BY nominal_at DESC, id DESC LIMIT $4::int4",
};

int occurrence_store_list(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          const struct cm_uuid *schedule, const struct occurrence_place *after,
                          int32_t limit, struct occurrence_array *list_r)
{
        static const struct occurrence_place top = { .nominal_at = INT64_MAX / 4 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        if (!after)
                after = &top;
        cm_pg_put_uuid(&params, user);
        cm_pg_put_time(&params, after->nominal_at);
        cm_pg_put_uuid(&params, &after->id);
        cm_pg_put_int4(&params, limit);
        if (schedule)
                cm_pg_put_uuid(&params, schedule);
        r = cm_pg_query(pg, SCOPE_OF(user), schedule ? &list_of_schedule : &list_of_all, &params,
                        &result);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        take_all(&result, arena, list_r);
        return add_deliveries(pg, arena, user, list_r);
}

/* ---- answering */

static const struct cm_pg_statement lock_one = {
        .name = "occurrence_lock",
        .sql = "SELECT " COLUMNS
               " FROM occurrences WHERE user_id = $1::uuid AND id = $2::uuid FOR UPDATE",
};

static const struct cm_pg_statement answer_one = {
        .name = "occurrence_answer",
        .writes = true,
        .sql = "UPDATE occurrences SET ack = $3::int2, acked_at = $4::timestamptz,"
               " snoozed_until = $5::timestamptz, ack_reason = $6::text,"
               " snoozes = snoozes + ($5 IS NOT NULL)::int4"
               " WHERE user_id = $1::uuid AND id = $2::uuid",
};

/* What has not gone out need not any more. */
static const struct cm_pg_statement close_messages = {
        .name = "occurrence_messages_close",
        .writes = true,
        .sql = "WITH closed AS (UPDATE deliveries SET state = $3::int2, next_attempt_at = NULL"
               " WHERE user_id = $1::uuid AND occurrence_id = $2::uuid AND state <= 2 RETURNING id)"
               " DELETE FROM delivery_queue WHERE delivery_id IN (SELECT id FROM closed)",
};

static const struct cm_pg_statement add_message = {
        .name = "occurrence_message_add",
        .writes = true,
        .sql = "WITH told AS (SELECT pg_notify('" SCHEDULE_CHANNEL "', '')), made AS ("
               " INSERT INTO deliveries (user_id, id, occurrence_id, schedule_id, number, method,"
               " state, next_attempt_at, created_at)"
               " SELECT $1::uuid, $3::uuid, $2::uuid, o.schedule_id, $4::int2, $5::int2, 1,"
               " $6::timestamptz, $7::timestamptz FROM occurrences o, told"
               " WHERE o.user_id = $1 AND o.id = $2 RETURNING id)"
               " INSERT INTO delivery_queue (delivery_id, user_id, due_at)"
               " SELECT id, $1, $6 FROM made",
};

static int put_answer(struct cm_pg_tx *tx, const struct cm_uuid *user, const struct cm_uuid *id,
                      const struct occurrence_answer *answer)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params close = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        cm_pg_put_int2(&params, (int16_t)answer->ack);
        cm_pg_put_time(&params, answer->at);
        if (answer->snoozed_until)
                cm_pg_put_time(&params, answer->snoozed_until);
        else
                cm_pg_put_null(&params);
        cm_pg_put_text(&params, answer->reason);
        r = cm_pg_tx_query(tx, &answer_one, &params, NULL);
        cm_pg_put_uuid(&close, user);
        cm_pg_put_uuid(&close, id);
        cm_pg_put_int2(&close, DELIVERY_STATE_ACKED);
        return r ? r : cm_pg_tx_query(tx, &close_messages, &close, NULL);
}

static int put_message(struct cm_pg_tx *tx, const struct cm_uuid *user, const struct cm_uuid *id,
                       int number, const struct occurrence_answer *answer)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        struct cm_uuid delivery = occurrence_delivery_id(id, number);

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        cm_pg_put_uuid(&params, &delivery);
        cm_pg_put_int2(&params, (int16_t)number);
        cm_pg_put_int2(&params, REMINDER_METHOD_EMAIL);
        cm_pg_put_time(&params, answer->snoozed_until);
        cm_pg_put_time(&params, answer->at);
        return cm_pg_tx_query(tx, &add_message, &params, NULL);
}

/* True when there is nothing to change; *outcome_r says why, 0 when it was answered so before. */
static bool is_settled(const struct occurrence *o, int64_t snoozes,
                       const struct occurrence_answer *answer, int *outcome_r)
{
        *outcome_r = 0;
        if (answer->ack == OCCURRENCE_ACK_SNOOZED && snoozes >= MAX_SNOOZES)
                *outcome_r = OCCURRENCE_TOO_OFTEN;
        else if (o->state != RUN_STATE_FIRED && answer->ack == OCCURRENCE_ACK_SNOOZED)
                *outcome_r = OCCURRENCE_NOT_FIRED;
        else if (o->has_ack == CM_PRESENT && o->ack != OCCURRENCE_ACK_SNOOZED &&
                 o->ack != answer->ack)
                *outcome_r = OCCURRENCE_ANSWERED;
        else if (o->has_ack != CM_PRESENT || o->ack == OCCURRENCE_ACK_SNOOZED)
                return false;
        return true;
}

static const struct cm_pg_statement lock_newest = {
        .name = "occurrence_lock_newest",
        .sql = "SELECT " COLUMNS " FROM occurrences WHERE user_id = $1::uuid AND state = $2::int2"
               " AND schedule_type = $3::int2 AND (ack IS NULL OR ack = $4::int2)"
               " AND nominal_at > clock_timestamp() - interval '2 days'"
               " ORDER BY nominal_at DESC, id DESC LIMIT 1 FOR UPDATE",
};

static const struct cm_pg_statement lock_newest_of = {
        .name = "occurrence_lock_newest_of",
        .sql = "SELECT " COLUMNS " FROM occurrences WHERE user_id = $1::uuid AND state = $2::int2"
               " AND schedule_type = $3::int2 AND schedule_id = $4::uuid"
               " AND nominal_at > clock_timestamp() - interval '2 days'"
               " ORDER BY nominal_at DESC, id DESC LIMIT 1 FOR UPDATE",
};

static int lock_for_answer(struct cm_pg_tx *tx, const struct cm_uuid *user,
                           const struct occurrence_choice *choice, struct cm_pg_result *result_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user);
        if (choice->id) {
                cm_pg_put_uuid(&params, choice->id);
                return cm_pg_tx_query(tx, &lock_one, &params, result_r);
        }
        cm_pg_put_int2(&params, RUN_STATE_FIRED);
        cm_pg_put_int2(&params, SCHEDULE_TYPE_REMINDER);
        if (choice->schedule_id) {
                cm_pg_put_uuid(&params, choice->schedule_id);
                return cm_pg_tx_query(tx, &lock_newest_of, &params, result_r);
        }
        cm_pg_put_int2(&params, OCCURRENCE_ACK_SNOOZED);
        return cm_pg_tx_query(tx, &lock_newest, &params, result_r);
}

int occurrence_store_answer_in(struct cm_pg_tx *tx, struct cm_arena *arena,
                               const struct cm_uuid *user, const struct occurrence_choice *choice,
                               const struct occurrence_answer *answer,
                               struct occurrence *occurrence_r, bool *known_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = lock_for_answer(tx, user, choice, &result), outcome;

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (result.rows == 0)
                return OCCURRENCE_NOT_FOUND;
        take(&result, 0, arena, occurrence_r);
        *known_r =
                is_settled(occurrence_r, cm_pg_int(&result, 0, SNOOZES_COLUMN), answer, &outcome);
        if (*known_r)
                return outcome;
        r = put_answer(tx, user, &occurrence_r->id, answer);
        if (r == 0 && answer->ack == OCCURRENCE_ACK_SNOOZED)
                r = put_message(tx, user, &occurrence_r->id,
                                (int)cm_pg_int(&result, 0, SNOOZES_COLUMN) + 1, answer);
        return r > 0 ? -CM_E_DATABASE : r;
}

int occurrence_store_answer(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                            const struct cm_uuid *id, const struct occurrence_answer *answer,
                            struct occurrence *occurrence_r)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(pg, SCOPE_OF(user), &tx);
        bool known;

        if (r == 0)
                r = occurrence_store_answer_in(tx, arena, user,
                                               &(struct occurrence_choice){ .id = id }, answer,
                                               occurrence_r, &known);
        if (r)
                return r;
        r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return occurrence_store_read(pg, arena, user, id, occurrence_r);
}
