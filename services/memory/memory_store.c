#include <string.h>

#include "base/error.h"
#include "bus/outbox.h"
#include "codec/digest.h"
#include "memory_store_internal.h"

static void read_text(const struct cm_pg_result *result, int row, int column,
                      struct cm_arena *arena, struct cm_str *text_r, uint8_t *has_r)
{
        *text_r = cm_arena_str(arena, cm_pg_text(result, row, column));
        *has_r = text_r->data ? CM_PRESENT : CM_ABSENT;
}

static void read_json(const struct cm_pg_result *result, int row, int column,
                      struct cm_arena *arena, struct cm_str *text_r, uint8_t *has_r)
{
        *text_r = cm_arena_str(arena, cm_pg_jsonb(result, row, column));
        *has_r = text_r->data ? CM_PRESENT : CM_ABSENT;
}

static void read_source(const struct cm_pg_result *result, int row, struct memory *memory)
{
        struct memory_source *source = &memory->source;

        if (cm_pg_is_null(result, row, 18))
                return;
        memory->has_source = CM_PRESENT;
        source->conversation_id = cm_pg_uuid(result, row, 18);
        source->message_id = cm_pg_uuid(result, row, 19);
        if (cm_pg_is_null(result, row, 20))
                return;
        source->has_start = source->has_end = CM_PRESENT;
        source->start = cm_pg_int(result, row, 20);
        source->end = cm_pg_int(result, row, 21);
}

static void read_times(const struct cm_pg_result *result, int row, struct memory *memory)
{
        memory->valid_from = cm_pg_time(result, row, 23);
        if (!cm_pg_is_null(result, row, 24)) {
                memory->has_valid_until = CM_PRESENT;
                memory->valid_until = cm_pg_time(result, row, 24);
        }
        if (!cm_pg_is_null(result, row, 25)) {
                memory->has_superseded_by = CM_PRESENT;
                memory->superseded_by = cm_pg_uuid(result, row, 25);
        }
        memory->created_at = cm_pg_time(result, row, 28);
        memory->updated_at = cm_pg_time(result, row, 29);
        if (!cm_pg_is_null(result, row, 30)) {
                memory->has_last_accessed_at = CM_PRESENT;
                memory->last_accessed_at = cm_pg_time(result, row, 30);
        }
}

static void read_texts(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                       struct memory *memory)
{
        memory->content = cm_arena_str(arena, cm_pg_text(result, row, 3));
        memory->language = cm_arena_str(arena, cm_pg_text(result, row, 6));
        read_text(result, row, 4, arena, &memory->processed_content,
                  &memory->has_processed_content);
        read_text(result, row, 5, arena, &memory->anonymized_version,
                  &memory->has_anonymized_version);
        read_text(result, row, 10, arena, &memory->significance_category,
                  &memory->has_significance_category);
        read_json(result, row, 15, arena, &memory->pii_detected, &memory->has_pii_detected);
        read_json(result, row, 16, arena, &memory->extraction_metadata,
                  &memory->has_extraction_metadata);
        read_text(result, row, 22, arena, &memory->slot, &memory->has_slot);
}

int memory_row_read(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                    struct memory *memory_r)
{
        struct cm_faults faults = { .count = 0 };

        *memory_r = (struct memory){
                .user_id = cm_pg_uuid(result, row, 0),
                .id = cm_pg_uuid(result, row, 1),
                .version = cm_pg_int(result, row, 2),
                .memory_type = (int32_t)cm_pg_int(result, row, 7),
                .storage_type = (int32_t)cm_pg_int(result, row, 8),
                .significance_level = (int32_t)cm_pg_int(result, row, 9),
                .relevance_score = cm_pg_real(result, row, 11),
                .stability_score = cm_pg_real(result, row, 12),
                .explicitness_score = cm_pg_real(result, row, 13),
                .user_consent = consent_from((uint8_t)cm_pg_int(result, row, 14)),
                .is_active = cm_pg_bool(result, row, 26),
                .is_archived = cm_pg_bool(result, row, 27),
        };
        memory_set_composite(memory_r);
        read_texts(result, row, arena, memory_r);
        read_source(result, row, memory_r);
        read_times(result, row, memory_r);
        return cm_schema_decode(&memory_tags_schema, cm_pg_jsonb(result, row, 17), arena,
                                &memory_r->tags, &faults)
                       ? -CM_E_DATABASE
                       : 0;
}

int memory_rows_read(const struct cm_pg_result *result, struct cm_arena *arena,
                     struct memory_list *list_r)
{
        int r = 0;

        list_r->count = (size_t)result->rows;
        list_r->items = cm_arena_array(arena, list_r->count + 1, sizeof(*list_r->items));
        for (int i = 0; i < result->rows && r == 0; i++)
                r = memory_row_read(result, i, arena, &list_r->items[i]);
        return r;
}

const struct cm_pg_statement memory_next_generation = {
        .name = "memory_next_generation",
        .writes = true,
        .sql = "INSERT INTO memory_persons (user_id, generation, items)"
               " VALUES ($1::uuid, 1, 0) ON CONFLICT (user_id)"
               " DO UPDATE SET generation = memory_persons.generation + 1 RETURNING generation",
};

void memory_put_ids(struct cm_pg_params *params, const struct forgotten_ids *ids)
{
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < ids->count; i++)
                cm_pg_array_uuid(params, &ids->items[i]);
        cm_pg_array_end(params);
}

/* ---- remember */

/*
 * Runs after the lock was taken in a statement of its own, so it sees all that was stored before.
 * Nothing is stored when the text holds already or the key was used. A fact of a slot ends the one
 * that held when it begins, and ends itself when a later one is there already. One that is not
 * dated is later than all that are, whatever the clocks of two replicas say.
 */
static const struct cm_pg_statement remember_statement = {
        .name = "memory_remember",
        .writes = true,
        .sql = "WITH known AS (SELECT FROM memory_items WHERE user_id = $1::uuid"
               "  AND ((content_digest = $28::bytea AND valid_until IS NULL)"
               "   OR request_key = $29::bytea)"
               "), person AS (UPDATE memory_persons SET items = items + 1 WHERE user_id = $1"
               "  AND items < $31::int8 AND NOT EXISTS (SELECT FROM known) RETURNING generation"
               "), since AS (SELECT CASE WHEN $24::bool THEN $23::timestamptz"
               "  ELSE GREATEST($23, (SELECT max(valid_from) + interval '1 us' FROM memory_items"
               "   WHERE user_id = $1 AND slot = $22::text)) END AS at"
               "), later AS (SELECT id, valid_from FROM memory_items, since"
               "  WHERE user_id = $1 AND slot = $22 AND valid_from > since.at"
               "  ORDER BY valid_from, id LIMIT 1"
               "), ended AS (UPDATE memory_items i SET valid_until = since.at,"
               "  superseded_by = $2::uuid, generation = person.generation,"
               "  version = i.version + 1, updated_at = $27::timestamptz FROM person, since"
               "  WHERE i.user_id = $1 AND i.slot = $22 AND i.valid_from <= since.at"
               "   AND (i.valid_until IS NULL OR i.valid_until > since.at)"
               "), stored AS (INSERT INTO memory_items (user_id, id, generation, version,"
               "  content, processed_content, anonymized_version, language, memory_type,"
               "  storage_type, significance_level, significance_category, relevance_score,"
               "  stability_score, explicitness_score, user_consent, pii_detected,"
               "  extraction_metadata, tags, conversation_id, message_id, source_start,"
               "  source_end, slot, valid_from, valid_until, superseded_by, is_active,"
               "  is_archived, created_at, updated_at, content_digest, request_key, request_hash)"
               " SELECT $1, $2, person.generation, 1, $3::text, $4::text, $5::text, $6::text,"
               "  $7::int2, $8::int2, $9::int2, $10::text, $11::text::float8, $12::text::float8,"
               "  $13::text::float8, $14::int2, $15::jsonb, $16::jsonb, $17::jsonb, $18::uuid,"
               "  $19::uuid, $20::int4, $21::int4, $22, since.at,"
               "  (SELECT valid_from FROM later), (SELECT id FROM later), $25::bool, $26::bool,"
               "  $27, $27, $28, $29, $30::bytea FROM person, since RETURNING id"
               ") INSERT INTO outbox (payload, event_count) SELECT $32::text, 1 FROM stored"
               " RETURNING pg_notify('" CM_OUTBOX_CHANNEL "', '')",
};

static const struct cm_pg_statement remembered_statement = {
        .name = "memory_remembered",
        .sql = "SELECT " MEMORY_COLUMNS ", m.request_key = $3::bytea, m.request_hash, m.generation"
               " FROM memory_items m WHERE m.user_id = $1::uuid AND (m.id = $2::uuid"
               "  OR m.request_key = $3 OR (m.content_digest = $4::bytea AND m.valid_until IS "
               "NULL))"
               " ORDER BY m.id = $2 DESC, m.request_key = $3 DESC NULLS LAST LIMIT 1",
};

enum { KEY_DIGEST_SIZE = 16 };

struct cm_str memory_key_digest(struct cm_str text, struct key_digest *space)
{
        _Static_assert(sizeof(space->whole) == CM_SHA256_SIZE, "the whole digest");
        if (!text.data)
                return CM_STR_NONE;
        cm_sha256(text.data, text.len, space->whole);
        return (struct cm_str){ (const char *)space->whole, KEY_DIGEST_SIZE };
}

/* As text, 15 significant digits: what came in goes out. */
static void put_score(struct cm_pg_params *params, double score)
{
        struct cm_buf text = { 0 };

        cm_buf_printf(&text, "%.15g", score);
        cm_pg_put_text(params, cm_buf_str(&text));
        cm_buf_deinit(&text);
}

static void put_tags(struct cm_pg_params *params, const struct memory_tags *tags)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };

        cm_schema_encode(&memory_tags_schema, tags, &json);
        cm_pg_put_jsonb(params, cm_buf_str(&json));
}

static void put_json(struct cm_pg_params *params, uint8_t has, struct cm_str json)
{
        if (has == CM_PRESENT)
                cm_pg_put_jsonb(params, json);
        else
                cm_pg_put_null(params);
}

static void put_text(struct cm_pg_params *params, uint8_t has, struct cm_str text)
{
        cm_pg_put_text(params, has == CM_PRESENT ? text : CM_STR_NONE);
}

static void put_place(struct cm_pg_params *params, uint8_t has, int64_t place)
{
        if (has == CM_PRESENT)
                cm_pg_put_int4(params, (int32_t)place);
        else
                cm_pg_put_null(params);
}

static void put_source(struct cm_pg_params *params, const struct memory *memory)
{
        bool has = memory->has_source == CM_PRESENT;

        cm_pg_put_uuid(params, has ? &memory->source.conversation_id : NULL);
        cm_pg_put_uuid(params, has ? &memory->source.message_id : NULL);
        put_place(params, has ? memory->source.has_start : CM_ABSENT, memory->source.start);
        put_place(params, has ? memory->source.has_end : CM_ABSENT, memory->source.end);
}

/* $3 to $17: what a memory says and is worth. */
static void put_body(struct cm_pg_params *params, const struct memory *memory)
{
        cm_pg_put_text(params, memory->content);
        put_text(params, memory->has_processed_content, memory->processed_content);
        put_text(params, memory->has_anonymized_version, memory->anonymized_version);
        cm_pg_put_text(params, memory->language);
        cm_pg_put_int2(params, (int16_t)memory->memory_type);
        cm_pg_put_int2(params, (int16_t)memory->storage_type);
        cm_pg_put_int2(params, (int16_t)memory->significance_level);
        put_text(params, memory->has_significance_category, memory->significance_category);
        put_score(params, memory->relevance_score);
        put_score(params, memory->stability_score);
        put_score(params, memory->explicitness_score);
        cm_pg_put_int2(params, consent_bits(&memory->user_consent));
        put_json(params, memory->has_pii_detected, memory->pii_detected);
        put_json(params, memory->has_extraction_metadata, memory->extraction_metadata);
        put_tags(params, &memory->tags);
}

static struct cm_str digest_str(const uint8_t digest[CONTENT_DIGEST_SIZE])
{
        return (struct cm_str){ (const char *)digest, CONTENT_DIGEST_SIZE };
}

static void put_remember(const struct new_memory *new, int64_t max_items,
                         const struct cm_event *created, struct cm_pg_params *params)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };
        const struct memory *memory = &new->memory;
        struct key_digest key, body;

        cm_pg_put_uuid(params, &memory->user_id);
        cm_pg_put_uuid(params, &memory->id);
        put_body(params, memory);
        put_source(params, memory);
        put_text(params, memory->has_slot, memory->slot);
        cm_pg_put_time(params, memory->valid_from);
        cm_pg_put_bool(params, new->is_dated);
        cm_pg_put_bool(params, memory->is_active);
        cm_pg_put_bool(params, memory->is_archived);
        cm_pg_put_time(params, memory->created_at);
        cm_pg_put_bytes(params, digest_str(new->digest));
        cm_pg_put_bytes(params, memory_key_digest(new->key, &key));
        cm_pg_put_bytes(params, new->key.data ? memory_key_digest(new->body, &body) : CM_STR_NONE);
        cm_pg_put_int8(params, max_items);
        cm_outbox_payload(created, 1, &payload);
        cm_pg_put_text(params, cm_buf_str(&payload));
}

static void put_remembered(const struct new_memory *new, struct cm_pg_params *params)
{
        struct key_digest key;

        cm_pg_put_uuid(params, &new->memory.user_id);
        cm_pg_put_uuid(params, &new->memory.id);
        cm_pg_put_bytes(params, memory_key_digest(new->key, &key));
        cm_pg_put_bytes(params, digest_str(new->digest));
}

/* What the row that is there says of the attempt. */
static int judge(const struct cm_pg_result *result, const struct new_memory *new,
                 const struct memory *stored)
{
        struct key_digest body;

        if (cm_uuid_equal(&stored->id, &new->memory.id))
                return 0;
        if (cm_pg_is_null(result, 0, MEMORY_COLUMN_COUNT) ||
            !cm_pg_bool(result, 0, MEMORY_COLUMN_COUNT))
                return MEMORY_KNOWN;
        return cm_str_equal(cm_pg_text(result, 0, MEMORY_COLUMN_COUNT + 1),
                            memory_key_digest(new->body, &body))
                       ? MEMORY_STORED_BEFORE
                       : MEMORY_KEY_REUSED;
}

int memory_store_remember(struct cm_pg *pg, struct cm_arena *arena, const struct new_memory *new,
                          int64_t max_items, const struct cm_event *created,
                          struct memory *stored_r, int64_t *generation_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params person = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params look = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { &new->memory.user_id, 1, NULL };
        const struct cm_pg_flight_item items[] = {
                { &memory_next_generation, &person, NULL },
                { &remember_statement, &row, NULL },
                { &remembered_statement, &look, &result },
        };
        int r;

        cm_pg_put_uuid(&person, &new->memory.user_id);
        put_remember(new, max_items, created, &row);
        put_remembered(new, &look);
        r = cm_pg_flight(pg, &scope, items, CM_COUNT(items), NULL);
        if (r)
                return r;
        if (result.rows == 0)
                return MEMORY_FULL;
        *generation_r = cm_pg_int(&result, 0, MEMORY_COLUMN_COUNT + 2);
        r = memory_row_read(&result, 0, arena, stored_r);
        return r ? r : judge(&result, new, stored_r);
}

/* ---- read and change */

static const struct cm_pg_statement read_statement = {
        .name = "memory_read",
        .sql = "SELECT " MEMORY_COLUMNS
               " FROM memory_items m WHERE m.user_id = $1::uuid AND m.id = $2::uuid",
};

int memory_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_uuid *id, struct memory *memory_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = cm_pg_query(pg, &scope, &read_statement, &params, &result);
        if (r)
                return r;
        return result.rows ? memory_row_read(&result, 0, arena, memory_r) : MEMORY_NOT_FOUND;
}

static const struct cm_pg_statement change_statement = {
        .name = "memory_change",
        .writes = true,
        .sql = "UPDATE memory_items SET generation ="
               "  (SELECT generation FROM memory_persons WHERE user_id = $1::uuid),"
               " version = version + 1, content = $3::text, processed_content = $4::text,"
               " anonymized_version = $5::text, language = $6::text, memory_type = $7::int2,"
               " storage_type = $8::int2, significance_level = $9::int2,"
               " significance_category = $10::text, relevance_score = $11::text::float8,"
               " stability_score = $12::text::float8, explicitness_score = $13::text::float8,"
               " user_consent = $14::int2, pii_detected = $15::jsonb,"
               " extraction_metadata = $16::jsonb, tags = $17::jsonb, is_active = $18::bool,"
               " is_archived = $19::bool, updated_at = $20::timestamptz,"
               " content_digest = $21::bytea"
               " WHERE user_id = $1 AND id = $2::uuid AND version = $22::int8 RETURNING generation",
};

int memory_store_change(struct cm_pg *pg, const struct memory *memory,
                        const uint8_t digest[CONTENT_DIGEST_SIZE], int64_t *generation_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params person = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params row = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { &memory->user_id, 1, NULL };
        const struct cm_pg_flight_item items[] = {
                { &memory_next_generation, &person, NULL },
                { &change_statement, &row, &result },
        };
        int r;

        cm_pg_put_uuid(&person, &memory->user_id);
        cm_pg_put_uuid(&row, &memory->user_id);
        cm_pg_put_uuid(&row, &memory->id);
        put_body(&row, memory);
        cm_pg_put_bool(&row, memory->is_active);
        cm_pg_put_bool(&row, memory->is_archived);
        cm_pg_put_time(&row, memory->updated_at);
        cm_pg_put_bytes(&row, digest_str(digest));
        cm_pg_put_int8(&row, memory->version - 1);
        r = cm_pg_flight(pg, &scope, items, CM_COUNT(items), NULL);
        if (r == CM_PG_DUPLICATE)
                return MEMORY_TEXT_TAKEN;
        if (r == 0 && result.rows == 0)
                return MEMORY_CHANGED;
        if (r == 0)
                *generation_r = cm_pg_int(&result, 0, 0);
        return r;
}

/* ---- list */

static const struct cm_pg_statement list_statement = {
        .name = "memory_list",
        .sql = "SELECT " MEMORY_COLUMNS " FROM memory_items m WHERE m.user_id = $1::uuid"
               " AND ($2::uuid IS NULL OR m.id < $2)"
               " AND ($3::int2 = 0 OR m.memory_type = $3)"
               " AND (NOT $4::bool OR (m.is_active AND NOT m.is_archived AND m.valid_until IS NULL"
               "  AND (m.storage_type <> 1 OR m.updated_at > $5::timestamptz)))"
               " AND m.user_consent & $7::int2 = $7"
               " ORDER BY m.id DESC LIMIT $6::int4",
};
_Static_assert(MEMORY_STORAGE_TYPE_SHORT_TERM == 1, "the number in memory_list");

int memory_store_list(struct cm_pg *pg, struct cm_arena *arena,
                      const struct memory_list_query *query, struct memory_list *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { &query->user, 1, NULL };
        int r;

        cm_pg_put_uuid(&params, &query->user);
        cm_pg_put_uuid(&params, cm_uuid_is_nil(&query->before) ? NULL : &query->before);
        cm_pg_put_int2(&params, query->memory_type);
        cm_pg_put_bool(&params, query->current);
        cm_pg_put_time(&params, query->short_term_since);
        cm_pg_put_int4(&params, query->limit);
        cm_pg_put_int2(&params, query->consent);
        r = cm_pg_query(pg, &scope, &list_statement, &params, &result);
        return r ? r : memory_rows_read(&result, arena, list_r);
}
