#include "base/error.h"
#include "base/map.h"
#include "bus/outbox.h"
#include "event_facts.h"
#include "event_store_internal.h"
#include "main_health_api.h"
#include "sys/fiber.h"

/*
 * Many events of one person in one statement, inside a transaction: chunks of batches and of
 * imports. One health.updated tells of all of them.
 *
 * Events with new ids and without keys cannot conflict with anything: they are inserted as they
 * are. So are imported records that are taken to be new; when one of them is not, the primary key
 * refuses the statement. Of the others (keys, records that may be known) what conflicts is left
 * out and named in the result, whose first row counts what was stored. That costs PostgreSQL half
 * as much again: a look into each unique index, a row inserted in two steps, and the rows once more
 * for the result.
 *
 * Several unnest() in a list of results go in step, and all arrays have one length. In FROM each
 * would be written down whole before the first row is made.
 */
#define INPUT_COLUMNS                                                                              \
        "id, event_type, event_subtype, flags, local_date, occurred_at, ended_at, zone, source, "  \
        "event_data"
#define TARGET_COLUMNS "user_id, version, status, created_at, " INPUT_COLUMNS
#define INPUT_LISTS                                                                                \
        "unnest($3::uuid[]), unnest($4::int2[]), unnest($5::int2[]), unnest($6::int2[]),"          \
        " unnest($7::date[]), unnest($8::timestamptz[]), unnest($9::timestamptz[]),"               \
        " unnest($10::text[]), unnest($11::text[]), unnest($12::jsonb[])"
#define INPUT_ARRAYS                                                                               \
        "$3::uuid[], $4::int2[], $5::int2[], $6::int2[], $7::date[], $8::timestamptz[],"           \
        " $9::timestamptz[], $10::text[], $11::text[], $12::jsonb[]"

static const struct cm_pg_statement new_statement = {
        .name = "event_append_new",
        .writes = true,
        .sql = "INSERT INTO health_events (" TARGET_COLUMNS ")"
               " SELECT $1::uuid, 1, 1, $2::timestamptz, " INPUT_LISTS,
};

static const struct cm_pg_statement missing_statement = {
        .name = "event_append_missing",
        .writes = true,
        .sql = "WITH input AS MATERIALIZED ("
               " SELECT * FROM unnest(" INPUT_ARRAYS ", $13::bytea[], $14::bytea[]) WITH ORDINALITY"
               "  AS t(" INPUT_COLUMNS ", request_key, request_hash, place)"
               "), stored AS ("
               " INSERT INTO health_events (" TARGET_COLUMNS ", request_key, request_hash)"
               " SELECT $1::uuid, 1, 1, $2::timestamptz, " INPUT_COLUMNS
               ", request_key, request_hash FROM input"
               " ON CONFLICT DO NOTHING RETURNING id"
               ") SELECT 0::int8, count(*) FROM stored"
               " UNION ALL SELECT place, 0 FROM input WHERE id NOT IN (SELECT id FROM stored)",
};

struct rows {
        const struct imported_event *items;
        const struct event_digest *keys; /* pairs of key and body; NULL: no row has a key */
        const bool *keyed;
        size_t count;
};

#define EACH(row, rows)                                                                            \
        for (const struct imported_event *row = (rows)->items;                                     \
             row < (rows)->items + (rows)->count; row++)
#define INTEGERS(kind, value)                                                                      \
        do {                                                                                       \
                cm_pg_array_begin(params, kind);                                                   \
                EACH(row, rows)                                                                    \
                cm_pg_array_int(params, value);                                                    \
                cm_pg_array_end(params);                                                           \
        } while (0)
#define TEXTS(kind, value)                                                                         \
        do {                                                                                       \
                cm_pg_array_begin(params, kind);                                                   \
                EACH(row, rows)                                                                    \
                cm_pg_array_text(params, value);                                                   \
                cm_pg_array_end(params);                                                           \
        } while (0)

static void encode_digests(const struct rows *rows, size_t which, struct cm_pg_params *params)
{
        cm_pg_array_begin(params, CM_PG_BYTEA_ARRAY);
        for (size_t i = 0; i < rows->count; i++) {
                if (!rows->keys || !rows->keyed[i])
                        cm_pg_array_null(params);
                else
                        cm_pg_array_text(params, (struct cm_str){ rows->keys[2 * i + which].bytes,
                                                                  EVENT_DIGEST_SIZE });
        }
        cm_pg_array_end(params);
}

static void encode(const struct rows *rows, const struct cm_uuid *user, cm_time now,
                   struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, user);
        cm_pg_put_time(params, now);
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        EACH(row, rows)
        cm_pg_array_uuid(params, &row->id);
        cm_pg_array_end(params);
        INTEGERS(CM_PG_INT2_ARRAY, row->event_type);
        INTEGERS(CM_PG_INT2_ARRAY, row->event_subtype);
        INTEGERS(CM_PG_INT2_ARRAY, row->flags);
        INTEGERS(CM_PG_DATE_ARRAY, row->local_date);
        INTEGERS(CM_PG_TIME_ARRAY, row->occurred_at);
        cm_pg_array_begin(params, CM_PG_TIME_ARRAY);
        EACH(row, rows)
        {
                if (row->ended_at == EVENT_NO_END)
                        cm_pg_array_null(params);
                else
                        cm_pg_array_int(params, row->ended_at);
        }
        cm_pg_array_end(params);
        TEXTS(CM_PG_TEXT_ARRAY, row->zone);
        TEXTS(CM_PG_TEXT_ARRAY, row->source);
        TEXTS(CM_PG_JSONB_ARRAY, row->event_data);
}

static int insert_new(struct cm_pg_tx *tx, const struct cm_uuid *user, cm_time now,
                      const struct rows *rows)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        encode(rows, user, now, &params);
        return cm_pg_tx_query(tx, &new_statement, &params, NULL);
}

/* refused_r[i] for each row; *stored_r is how many rows the table got. */
static int insert_missing(struct cm_pg_tx *tx, const struct cm_uuid *user, cm_time now,
                          const struct rows *rows, bool *refused_r, int64_t *stored_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        encode(rows, user, now, &params);
        encode_digests(rows, 0, &params);
        encode_digests(rows, 1, &params);
        r = cm_pg_tx_query(tx, &missing_statement, &params, &result);
        if (r)
                return r;
        for (int i = 0; i < result.rows; i++) {
                int64_t place = cm_pg_int(&result, i, 0);

                if (place == 0)
                        *stored_r = cm_pg_int(&result, i, 1);
                else
                        refused_r[place - 1] = true;
        }
        return 0;
}

static int tell(struct cm_pg_tx *tx, const struct cm_event *facts, size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_outbox_params(facts, count, &params);
        return cm_pg_tx_query(tx, &cm_outbox_insert, &params, NULL);
}

static struct event_changes changes_of(const struct rows *rows, const bool *refused, int64_t stored)
{
        struct event_changes changes = { 0 };

        for (size_t i = 0; i < rows->count; i++)
                if (!refused[i])
                        event_changes_add(&changes, rows->items[i].event_type,
                                          rows->items[i].local_date, &rows->items[i].id);
        changes.count = stored;
        return changes;
}

static void arena_deinit(struct cm_arena *arena)
{
        cm_arena_deinit(arena);
}

/* The rows without those whose id came before among them. */
static struct rows distinct(struct cm_arena *arena, const struct imported_event *items,
                            size_t count)
{
        struct imported_event *kept = cm_arena_array(arena, count, sizeof(*kept));
        size_t size = 16, kept_count = 0;
        uint32_t *slots; /* places in `kept`, from 1 */

        while (size < 2 * count)
                size *= 2;
        slots = cm_arena_array(arena, size, sizeof(*slots));
        for (size_t i = 0; i < count; i++) {
                size_t at = cm_hash(&items[i].id, sizeof(items[i].id)) & (size - 1);

                while (slots[at] && !cm_uuid_equal(&kept[slots[at] - 1].id, &items[i].id))
                        at = (at + 1) & (size - 1);
                if (slots[at])
                        continue;
                kept[kept_count++] = items[i];
                slots[at] = (uint32_t)kept_count;
        }
        return (struct rows){ kept, NULL, NULL, kept_count };
}

int event_store_import(struct cm_pg_tx *tx, const struct cm_uuid *user,
                       const struct imported_event *items, size_t count, bool all_new,
                       struct import_counts *counts_r)
{
        CM_CLEANUP(arena_deinit) struct cm_arena arena = { 0 };
        cm_time now = cm_now(&cm_clock_system);
        struct event_changes changes;
        struct cm_event fact;
        struct rows rows;
        bool *refused;
        int64_t stored;
        int r;

        cm_arena_init(&arena, 16384);
        rows = distinct(&arena, items, count);
        refused = cm_arena_array(&arena, count + 1, sizeof(*refused));
        stored = (int64_t)rows.count;
        r = all_new ? insert_new(tx, user, now, &rows)
                    : insert_missing(tx, user, now, &rows, refused, &stored);
        if (r)
                return r;
        *counts_r = (struct import_counts){
                .added = stored,
                .known = (int64_t)count - stored,
                .known_before = (int64_t)rows.count - stored,
        };
        if (stored == 0)
                return 0;
        changes = changes_of(&rows, refused, stored);
        event_changes_fact(&changes, user, now, cm_fiber_context(), &arena, &fact);
        return tell(tx, &fact, 1);
}

/* ---- batches */

/* The rows of a batch as the statement takes them. */
static struct rows rows_of(struct cm_arena *arena, const struct recorded_event *events,
                           size_t count)
{
        struct imported_event *items = cm_arena_array(arena, count, sizeof(*items));
        struct event_digest *keys = cm_arena_array(arena, 2 * count, sizeof(*keys));
        bool *keyed = cm_arena_array(arena, count, sizeof(*keyed));

        for (size_t i = 0; i < count; i++) {
                const struct recorded_event *event = &events[i];

                items[i] = (struct imported_event){
                        .id = event->id,
                        .event_type = event->event_type,
                        .event_subtype = event->event_subtype,
                        .flags = event->flags,
                        .occurred_at = event->occurred_at,
                        .ended_at = event->ended_at,
                        .local_date = event->local_date,
                        .zone = event->zone,
                        .source = event->source,
                        .event_data = event->event_data,
                };
                keyed[i] = event->key.data;
                if (!keyed[i])
                        continue;
                keys[2 * i] = event_digest(event->key);
                keys[2 * i + 1] = event_digest(event->body);
        }
        return (struct rows){ items, keys, keyed, count };
}

static int tell_batch(struct cm_pg_tx *tx, struct cm_arena *arena,
                      const struct recorded_event *events, const struct rows *rows,
                      const bool *refused, int64_t stored)
{
        struct cm_event *facts = cm_arena_array(arena, rows->count + 1, sizeof(*facts));
        struct event_changes changes = changes_of(rows, refused, stored);
        size_t count = 1;

        if (stored == 0)
                return 0;
        event_changes_fact(&changes, &events[0].user_id, events[0].created_at, cm_fiber_context(),
                           arena, &facts[0]);
        for (size_t i = 0; i < rows->count; i++)
                if (!refused[i])
                        count += event_dose_fact(&events[i], cm_fiber_context(), arena,
                                                 &facts[count]);
        return tell(tx, facts, count);
}

/* What was refused was stored before, by the same body or by another. */
static int find_refused(struct event_store *store, struct cm_arena *arena,
                        struct recorded_event *events, size_t count, const bool *refused,
                        int *outcomes_r)
{
        for (size_t i = 0; i < count; i++) {
                struct recorded_event *event = &events[i];

                outcomes_r[i] = 0;
                if (!refused[i])
                        continue;
                outcomes_r[i] = event_store_find_key(store, arena, &event->user_id, event->key,
                                                     event->body, event);
                if (outcomes_r[i] < 0)
                        return outcomes_r[i];
        }
        return 0;
}

static bool has_keys(const struct rows *rows)
{
        for (size_t i = 0; i < rows->count; i++)
                if (rows->keyed[i])
                        return true;
        return false;
}

/* As a single event claims its key: CM_PG_LOCKED when one of them is at work elsewhere. */
static int claim_keys(struct cm_pg_tx *tx, const struct cm_uuid *user, const struct rows *rows)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_array_begin(&params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < rows->count; i++)
                if (rows->keyed[i])
                        cm_pg_array_int(&params, event_claim_number(user, &rows->keys[2 * i]));
        cm_pg_array_end(&params);
        return cm_pg_tx_query(tx, &cm_pg_claim, &params, NULL);
}

static int insert_batch(struct cm_pg_tx *tx, const struct recorded_event *events,
                        const struct rows *rows, bool *refused_r, int64_t *stored_r)
{
        const struct cm_uuid *user = &events[0].user_id;
        cm_time now = events[0].created_at;
        int r;

        if (!has_keys(rows)) {
                *stored_r = (int64_t)rows->count;
                return insert_new(tx, user, now, rows);
        }
        r = claim_keys(tx, user, rows);
        return r ? r : insert_missing(tx, user, now, rows, refused_r, stored_r);
}

int event_store_append_many(struct event_store *store, struct cm_arena *arena,
                            struct recorded_event *events, size_t count, int *outcomes_r)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        const struct cm_pg_scope scope = { &events[0].user_id, 1, NULL };
        struct rows rows = rows_of(arena, events, count);
        bool *refused = cm_arena_array(arena, count, sizeof(*refused));
        int64_t stored = 0;
        int r = cm_pg_begin(store->pg, &scope, &tx);

        if (r == 0)
                r = insert_batch(tx, events, &rows, refused, &stored);
        if (r == 0)
                r = tell_batch(tx, arena, events, &rows, refused, stored);
        if (r == 0)
                r = cm_pg_commit(&tx);
        if (r == 0)
                r = find_refused(store, arena, events, count, refused, outcomes_r);
        return r == CM_PG_LOCKED ? EVENT_KEY_AT_WORK : r;
}
