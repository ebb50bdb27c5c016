#include "event_store.h"

#include <string.h>

#include "base/mem.h"
#include "bus/outbox.h"
#include "codec/digest.h"
#include "event_facts.h"
#include "event_store_internal.h"
#include "main_health_api.h"
#include "sys/fiber.h"

/*
 * Single events of many people leave together: one transaction claims the keys of the rows that
 * wait, inserts them and writes one outbox row with their facts. It costs one commit, whatever the
 * number of its rows. A key that another transaction has claimed is a first attempt that still
 * runs, here or in another replica.
 *
 * Nearly always all rows are new, and inserted as they are. When the index of keys refuses one, the
 * second statement takes the whole batch: it leaves out the rows whose key was used before and
 * names them, and its outbox row has the facts of the others.
 */
static const struct cm_pg_statement append_statement = {
        .name = "event_append",
        .writes = true,
        .sql = "INSERT INTO health_events (version, status, user_id, id, event_type,"
               " event_subtype, flags, local_date, occurred_at, ended_at, created_at, zone, source,"
               " event_data, request_key, request_hash)"
               " SELECT 1, 1, unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::int2[]),"
               " unnest($4::int2[]), unnest($5::int2[]), unnest($6::date[]),"
               " unnest($7::timestamptz[]), unnest($8::timestamptz[]), unnest($9::timestamptz[]),"
               " unnest($10::text[]), unnest($11::text[]), unnest($12::jsonb[]),"
               " unnest($13::bytea[]), unnest($14::bytea[])",
};

static const struct cm_pg_statement told_statement = {
        .name = "event_append_told",
        .writes = true,
        .sql = "INSERT INTO outbox (payload, event_count) VALUES ($1::text, $2::int4)",
};

static const struct cm_pg_statement append_missing_statement = {
        .name = "event_append_missing_keys",
        .writes = true,
        .sql = "WITH input AS MATERIALIZED ("
               " SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::int2[], $5::int2[], "
               "$6::date[],"
               "  $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[], "
               "$11::text[], $12::jsonb[],"
               "  $13::bytea[], $14::bytea[], $15::text[], $16::int2[])"
               "  WITH ORDINALITY AS t(user_id, id, event_type, event_subtype, flags, local_date,"
               "  occurred_at, ended_at, created_at, zone, source, event_data,"
               "  request_key, request_hash, facts, fact_count, place)"
               "), stored AS ("
               " INSERT INTO health_events (user_id, id, version, status, event_type, "
               "event_subtype, flags,"
               "  local_date, occurred_at, ended_at, created_at, zone, source, event_data, "
               "request_key, request_hash)"
               " SELECT user_id, id, 1, 1, event_type, event_subtype, flags,"
               "  local_date, occurred_at, ended_at, created_at, zone, source, event_data, "
               "request_key, request_hash"
               " FROM input"
               " ON CONFLICT (user_id, request_key) WHERE request_key IS NOT NULL DO NOTHING"
               " RETURNING id"
               "), told AS ("
               " INSERT INTO outbox (payload, event_count)"
               " SELECT string_agg(facts, E'\\n' ORDER BY place), sum(fact_count)"
               " FROM input WHERE id IN (SELECT id FROM stored) HAVING count(*) > 0"
               ") SELECT id FROM input WHERE id NOT IN (SELECT id FROM stored)",
};

/* A row on its way: the event, and its facts as a payload of the outbox. */
struct append_row {
        const struct recorded_event *event;
        struct cm_str facts;
        size_t fact_count;
        bool keyed;
        struct event_digest key;
        struct event_digest body;
};

enum { NOT_STORED = 1 }; /* answer(): the key was used before */

#define EACH_ROW(row, rows, count)                                                                 \
        for (size_t i_ = 0; i_ < (count); i_++)                                                    \
                for (const struct append_row *row = (rows)[i_]; row; row = NULL)

static void encode_ids(void *const *rows, size_t count, struct cm_pg_params *params)
{
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        EACH_ROW(row, rows, count)
        cm_pg_array_uuid(params, &row->event->user_id);
        cm_pg_array_end(params);
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        EACH_ROW(row, rows, count)
        cm_pg_array_uuid(params, &row->event->id);
        cm_pg_array_end(params);
}

#define INTEGERS(kind, value)                                                                      \
        do {                                                                                       \
                cm_pg_array_begin(params, kind);                                                   \
                EACH_ROW(row, rows, count)                                                         \
                cm_pg_array_int(params, value);                                                    \
                cm_pg_array_end(params);                                                           \
        } while (0)
#define TEXTS(kind, value)                                                                         \
        do {                                                                                       \
                cm_pg_array_begin(params, kind);                                                   \
                EACH_ROW(row, rows, count)                                                         \
                cm_pg_array_text(params, value);                                                   \
                cm_pg_array_end(params);                                                           \
        } while (0)

static void encode_times(void *const *rows, size_t count, struct cm_pg_params *params)
{
        INTEGERS(CM_PG_DATE_ARRAY, row->event->local_date);
        INTEGERS(CM_PG_TIME_ARRAY, row->event->occurred_at);
        cm_pg_array_begin(params, CM_PG_TIME_ARRAY);
        EACH_ROW(row, rows, count)
        {
                if (row->event->ended_at == EVENT_NO_END)
                        cm_pg_array_null(params);
                else
                        cm_pg_array_int(params, row->event->ended_at);
        }
        cm_pg_array_end(params);
        INTEGERS(CM_PG_TIME_ARRAY, row->event->created_at);
}

static struct cm_str digest_text(const struct append_row *row, const struct event_digest *digest)
{
        return row->keyed ? (struct cm_str){ digest->bytes, EVENT_DIGEST_SIZE } : CM_STR_NONE;
}

static void encode(void *const *rows, size_t count, struct cm_pg_params *params)
{
        encode_ids(rows, count, params);
        INTEGERS(CM_PG_INT2_ARRAY, row->event->event_type);
        INTEGERS(CM_PG_INT2_ARRAY, row->event->event_subtype);
        INTEGERS(CM_PG_INT2_ARRAY, row->event->flags);
        encode_times(rows, count, params);
        TEXTS(CM_PG_TEXT_ARRAY, row->event->zone);
        TEXTS(CM_PG_TEXT_ARRAY, row->event->source);
        TEXTS(CM_PG_JSONB_ARRAY, row->event->event_data);
        TEXTS(CM_PG_BYTEA_ARRAY, digest_text(row, &row->key));
        TEXTS(CM_PG_BYTEA_ARRAY, digest_text(row, &row->body));
}

static void encode_told(void *const *rows, size_t count, struct cm_pg_params *params)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };
        size_t facts = 0;

        EACH_ROW(row, rows, count)
        {
                if (payload.len)
                        cm_buf_add_char(&payload, '\n');
                cm_buf_add_str(&payload, row->facts);
                facts += row->fact_count;
        }
        cm_pg_put_text(params, cm_buf_str(&payload));
        cm_pg_put_int4(params, (int32_t)facts);
}

static void encode_with_facts(void *const *rows, size_t count, struct cm_pg_params *params)
{
        encode(rows, count, params);
        TEXTS(CM_PG_TEXT_ARRAY, row->facts);
        INTEGERS(CM_PG_INT2_ARRAY, (int64_t)row->fact_count);
}

/* The result names the few that were not stored; nearly always it is empty. */
static int answer(void *row, size_t index CM_UNUSED, const struct cm_pg_result *result)
{
        const struct append_row *append = row;

        for (int i = 0; i < result->rows; i++) {
                struct cm_uuid id = cm_pg_uuid(result, i, 0);

                if (cm_uuid_equal(&id, &append->event->id))
                        return NOT_STORED;
        }
        return 0;
}

static const struct cm_uuid *user_of(const void *row)
{
        return &((const struct append_row *)row)->event->user_id;
}

int64_t event_claim_number(const struct cm_uuid *user, const struct event_digest *key)
{
        int64_t of_user, of_key;

        memcpy(&of_user, user->bytes + sizeof(of_user), sizeof(of_user));
        memcpy(&of_key, key->bytes, sizeof(of_key));
        return of_user ^ of_key;
}

static bool claim(const void *row, int64_t *lock_r)
{
        const struct append_row *append = row;

        *lock_r = event_claim_number(&append->event->user_id, &append->key);
        return append->keyed;
}

struct event_digest event_digest(struct cm_str text)
{
        uint8_t whole[CM_SHA256_SIZE];
        struct event_digest digest;

        cm_sha256(text.data, text.len, whole);
        memcpy(digest.bytes, whole, sizeof(digest.bytes));
        return digest;
}

int event_store_append(struct event_store *store, struct cm_arena *arena,
                       struct recorded_event *event)
{
        struct append_row row = { .event = event, .keyed = event->key.data };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };
        struct cm_event facts[2];
        int r;

        row.fact_count = event_facts(event, cm_fiber_context(), arena, facts);
        cm_outbox_payload(facts, row.fact_count, &payload);
        row.facts = cm_buf_str(&payload);
        if (row.keyed) {
                row.key = event_digest(event->key);
                row.body = event_digest(event->body);
        }
        r = cm_pg_gather_row(store->append, &row);
        if (r == CM_PG_LOCKED)
                return EVENT_KEY_AT_WORK;
        if (r != NOT_STORED)
                return r;
        return event_store_find_key(store, arena, &event->user_id, event->key, event->body, event);
}

static const struct cm_pg_statement version_statement = {
        .name = "event_append_version",
        .writes = true,
        .sql = "INSERT INTO health_events (user_id, id, version, status, event_type, "
               "event_subtype, flags,"
               " local_date, occurred_at, ended_at, created_at, zone, source, event_data, reason,"
               " request_key, request_hash)"
               " VALUES ($1::uuid, $2::uuid, $3::int2, $4::int2, $5::int2, $6::int2, $7::int2, "
               "$8::date,"
               " $9::timestamptz, $10::timestamptz, $11::timestamptz, $12::text, $13::text, "
               "$14::jsonb, $15::text,"
               " $16::bytea, $17::bytea)",
};

static void put_version(const struct recorded_event *event, const struct event_digest *key,
                        const struct event_digest *body, struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, &event->user_id);
        cm_pg_put_uuid(params, &event->id);
        cm_pg_put_int2(params, event->version);
        cm_pg_put_int2(params, event->status);
        cm_pg_put_int2(params, event->event_type);
        cm_pg_put_int2(params, event->event_subtype);
        cm_pg_put_int2(params, event->flags);
        cm_pg_put_date(params, event->local_date);
        cm_pg_put_time(params, event->occurred_at);
        if (event->ended_at == EVENT_NO_END)
                cm_pg_put_null(params);
        else
                cm_pg_put_time(params, event->ended_at);
        cm_pg_put_time(params, event->created_at);
        cm_pg_put_text(params, event->zone);
        cm_pg_put_text(params, event->source);
        cm_pg_put_jsonb(params, event->event_data);
        cm_pg_put_text(params, event->reason);
        cm_pg_put_bytes(params,
                        key ? (struct cm_str){ key->bytes, EVENT_DIGEST_SIZE } : CM_STR_NONE);
        cm_pg_put_bytes(params,
                        body ? (struct cm_str){ body->bytes, EVENT_DIGEST_SIZE } : CM_STR_NONE);
}

int event_store_append_version(struct event_store *store, struct cm_arena *arena,
                               struct recorded_event *event)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params told = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params claimed = { 0 };
        const struct cm_pg_scope scope = { &event->user_id, 1, NULL };
        struct event_digest key = event_digest(event->key), body = event_digest(event->body);
        struct cm_event facts[2];
        struct cm_pg_flight_item items[] = {
                { &cm_pg_claim, &claimed, NULL },
                { &version_statement, &row, NULL },
                { &cm_outbox_insert, &told, NULL },
        };
        int r;

        cm_pg_array_begin(&claimed, CM_PG_INT8_ARRAY);
        if (event->key.data)
                cm_pg_array_int(&claimed, event_claim_number(&event->user_id, &key));
        cm_pg_array_end(&claimed);
        put_version(event, event->key.data ? &key : NULL, event->key.data ? &body : NULL, &row);
        cm_outbox_params(facts, event_facts(event, cm_fiber_context(), arena, facts), &told);
        r = cm_pg_flight(store->pg, &scope, items, CM_COUNT(items), NULL);
        if (r == CM_PG_LOCKED)
                return EVENT_KEY_AT_WORK;
        if (r != CM_PG_DUPLICATE)
                return r;

        /* Either the key was used before or the version was taken: the key decides. */
        if (event->key.data)
                r = event_store_find_key(store, arena, &event->user_id, event->key, event->body,
                                         event);
        return event->key.data && r != 0 ? r : EVENT_VERSION_TAKEN;
}

int event_store_new(struct cm_pg *pg, void (*told)(void *arg), void *arg,
                    struct event_store **store_r)
{
        const struct cm_pg_gather_spec spec = {
                .statement = &append_statement,
                .max_rows = 128,
                .max_in_flight = 3,
                .encode = encode,
                .beside = { &told_statement, encode_told },
                .careful = { &append_missing_statement, encode_with_facts },
                .claim = claim,
                .answer = answer,
                .user = user_of,
                .committed = told,
                .arg = arg,
        };
        struct event_store *store = CM_NEW(struct event_store);
        int r = cm_pg_gather_new(pg, &spec, &store->append);

        if (r < 0) {
                cm_free(store);
                return r;
        }
        cm_pg_prepare_ahead(pg, &version_statement);
        cm_pg_prepare_ahead(pg, &cm_outbox_insert);
        store->pg = pg;
        *store_r = store;
        return 0;
}

void event_store_free(struct event_store **store)
{
        if (!*store)
                return;
        cm_pg_gather_free(&(*store)->append);
        cm_free(*store);
        *store = NULL;
}
