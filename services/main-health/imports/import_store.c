#include "import_store.h"

#include <string.h>

#include "errors.h"

enum { MAX_FINDINGS = 10000 };

#define SCOPE(user_id) (&(const struct cm_pg_scope){ (user_id), 1, NULL })

/* ---- adding */

static const struct cm_pg_statement add_import = {
        .name = "import_add",
        .writes = true,
        .sql = "INSERT INTO imports (user_id, id, state, format, file_name, file_size, created_at)"
               " VALUES ($1::uuid, $2::uuid, $3::int2, $4::int2, $5::text, $6::int8, "
               "$7::timestamptz)"
               " ON CONFLICT (user_id, id) DO NOTHING",
};

/* Not again when the import has ended and left the queue. */
static const struct cm_pg_statement add_queued = {
        .name = "import_queue_add",
        .writes = true,
        .sql = "INSERT INTO import_queue (import_id, user_id, scratch, created_at)"
               " SELECT id, user_id, $3::uuid, created_at FROM imports"
               " WHERE user_id = $1::uuid AND id = $2::uuid AND state <= $4::int2"
               " ON CONFLICT (import_id) DO NOTHING",
};

int import_store_add(struct cm_pg *pg, const struct import_upload *upload)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params import = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params queued = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &add_import, &import, NULL },
                { &add_queued, &queued, NULL },
        };

        cm_pg_put_uuid(&import, &upload->user);
        cm_pg_put_uuid(&import, &upload->id);
        cm_pg_put_int2(&import, IMPORT_STATE_QUEUED);
        cm_pg_put_int2(&import, IMPORT_FORMAT_APPLE_HEALTH);
        cm_pg_put_text(&import, upload->file_name);
        cm_pg_put_int8(&import, upload->file_size);
        cm_pg_put_time(&import, upload->created_at);
        cm_pg_put_uuid(&queued, &upload->user);
        cm_pg_put_uuid(&queued, &upload->id);
        cm_pg_put_uuid(&queued, &upload->scratch);
        cm_pg_put_int2(&queued, IMPORT_STATE_RUNNING);
        return cm_pg_flight(pg, SCOPE(&upload->user), items, CM_COUNT(items), NULL);
}

/* ---- reading */

#define COLUMNS                                                                                    \
        "id, state, format, file_name, file_size, bytes_done, bytes_total, records, understood,"   \
        " added, duplicates, without_fact, not_understood, rejected, summary, problem_code,"       \
        " problem_detail, created_at, started_at, finished_at, line"
enum { LINE_COLUMN = 20 };

static uint8_t read_text(const struct cm_pg_result *result, int row, int column,
                         struct cm_arena *arena, struct cm_str *text_r)
{
        *text_r = cm_arena_str(arena, cm_pg_text(result, row, column));
        return text_r->data ? CM_PRESENT : CM_ABSENT;
}

static uint8_t read_time(const struct cm_pg_result *result, int row, int column, cm_time *time_r)
{
        if (cm_pg_is_null(result, row, column))
                return CM_ABSENT;
        *time_r = cm_pg_time(result, row, column);
        return CM_PRESENT;
}

static void read_summary(const struct cm_pg_result *result, int row, int column,
                         struct cm_arena *arena, struct import_summary *summary_r)
{
        struct cm_str json = cm_pg_jsonb(result, row, column);
        struct cm_faults faults = { 0 };

        *summary_r = (struct import_summary){ 0 };
        if (json.data &&
            cm_schema_decode(&import_summary_schema, json, arena, summary_r, &faults) != 0)
                *summary_r = (struct import_summary){ 0 };
}

static void read_problem(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                         struct import *import)
{
        struct import_problem *problem = &import->problem;
        const struct cm_error_code *known;

        import->has_problem = read_text(result, row, 15, arena, &problem->code);
        if (import->has_problem != CM_PRESENT)
                return;
        known = cm_error_code_find(problem->code.data);
        problem->title = known ? cm_str_from(known->title) : problem->code;
        problem->has_detail = read_text(result, row, 16, arena, &problem->detail);
}

static void read_import(const struct cm_pg_result *result, int row, struct cm_arena *arena,
                        struct import *import_r)
{
        *import_r = (struct import){
                .id = cm_pg_uuid(result, row, 0),
                .state = (int32_t)cm_pg_int(result, row, 1),
                .format = (int32_t)cm_pg_int(result, row, 2),
                .file_size = cm_pg_int(result, row, 4),
                .bytes_done = cm_pg_int(result, row, 5),
                .has_bytes_total = cm_pg_is_null(result, row, 6) ? CM_ABSENT : CM_PRESENT,
                .records = cm_pg_int(result, row, 7),
                .understood = cm_pg_int(result, row, 8),
                .added = cm_pg_int(result, row, 9),
                .duplicates = cm_pg_int(result, row, 10),
                .without_fact = cm_pg_int(result, row, 11),
                .not_understood = cm_pg_int(result, row, 12),
                .rejected = cm_pg_int(result, row, 13),
                .created_at = cm_pg_time(result, row, 17),
        };
        if (import_r->has_bytes_total == CM_PRESENT)
                import_r->bytes_total = cm_pg_int(result, row, 6);
        import_r->has_file_name = read_text(result, row, 3, arena, &import_r->file_name);
        read_summary(result, row, 14, arena, &import_r->summary);
        read_problem(result, row, arena, import_r);
        import_r->has_started_at = read_time(result, row, 18, &import_r->started_at);
        import_r->has_finished_at = read_time(result, row, 19, &import_r->finished_at);
}

static const struct cm_pg_statement read_one = {
        .name = "import_read",
        .sql = "SELECT " COLUMNS " FROM imports WHERE user_id = $1::uuid AND id = $2::uuid",
};

int import_store_read(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct cm_uuid *id, struct import *import_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        r = cm_pg_query(pg, SCOPE(user), &read_one, &params, &result);
        if (r)
                return r;
        if (result.rows == 0)
                return IMPORT_NOT_FOUND;
        read_import(&result, 0, arena, import_r);
        return 0;
}

static const struct cm_pg_statement read_list = {
        .name = "import_list",
        .sql = "SELECT " COLUMNS " FROM imports WHERE user_id = $1::uuid AND (created_at, id) < "
               "($2::timestamptz, $3::uuid)"
               " ORDER BY created_at DESC, id DESC LIMIT $4::int4",
};

int import_store_list(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                      const struct import_place *after, int32_t limit, struct import_array *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        struct import_place top = { .created_at = INT64_MAX / 4 };
        int r;

        if (!after)
                after = &top;
        cm_pg_put_uuid(&params, user);
        cm_pg_put_time(&params, after->created_at);
        cm_pg_put_uuid(&params, &after->id);
        cm_pg_put_int4(&params, limit);
        r = cm_pg_query(pg, SCOPE(user), &read_list, &params, &result);
        if (r)
                return r;
        list_r->items = cm_arena_array(arena, (size_t)result.rows + 1, sizeof(*list_r->items));
        list_r->count = (size_t)result.rows;
        for (int i = 0; i < result.rows; i++)
                read_import(&result, i, arena, &list_r->items[i]);
        return 0;
}

static const struct cm_pg_statement read_findings = {
        .name = "import_findings",
        .sql = "SELECT line, type, reason FROM import_findings"
               " WHERE user_id = $1::uuid AND import_id = $2::uuid AND place >= $3::int8 ORDER BY "
               "place LIMIT $4::int4",
};

int import_store_findings(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                          const struct cm_uuid *id, int64_t place, int32_t limit,
                          struct finding_array *list_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        cm_pg_put_int8(&params, place);
        cm_pg_put_int4(&params, limit);
        r = cm_pg_query(pg, SCOPE(user), &read_findings, &params, &result);
        if (r)
                return r;
        list_r->items = cm_arena_array(arena, (size_t)result.rows + 1, sizeof(*list_r->items));
        list_r->count = (size_t)result.rows;
        for (int i = 0; i < result.rows; i++) {
                list_r->items[i].line = cm_pg_int(&result, i, 0);
                read_text(&result, i, 1, arena, &list_r->items[i].type);
                read_text(&result, i, 2, arena, &list_r->items[i].reason);
        }
        return 0;
}

/* ---- ends */

static const struct cm_pg_statement cancel = {
        .name = "import_cancel",
        .writes = true,
        .sql = "WITH ended AS (UPDATE imports SET state = $3::int2, finished_at = now()"
               " WHERE user_id = $1::uuid AND id = $2::uuid AND state <= $4::int2)"
               " SELECT 1 FROM imports WHERE user_id = $1 AND id = $2",
};

int import_store_cancel(struct cm_pg *pg, const struct cm_uuid *user, const struct cm_uuid *id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        cm_pg_put_uuid(&params, user);
        cm_pg_put_uuid(&params, id);
        cm_pg_put_int2(&params, IMPORT_STATE_CANCELLED);
        cm_pg_put_int2(&params, IMPORT_STATE_RUNNING);
        r = cm_pg_query(pg, SCOPE(user), &cancel, &params, &result);
        if (r)
                return r;
        return result.rows ? 0 : IMPORT_NOT_FOUND;
}

static const struct cm_pg_statement fail = {
        .name = "import_fail",
        .writes = true,
        .sql = "UPDATE imports SET state = $3::int2, finished_at = now(), problem_code = $5::text,"
               " problem_detail = $6::text"
               " WHERE user_id = $1::uuid AND id = $2::uuid AND state <= $4::int2",
};

int import_store_fail(struct cm_pg *pg, const struct import_ticket *ticket, const char *problem,
                      struct cm_str detail)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &ticket->user);
        cm_pg_put_uuid(&params, &ticket->id);
        cm_pg_put_int2(&params, IMPORT_STATE_FAILED);
        cm_pg_put_int2(&params, IMPORT_STATE_RUNNING);
        cm_pg_put_text(&params, cm_str_from(problem));
        cm_pg_put_text(&params, detail);
        return cm_pg_query(pg, SCOPE(&ticket->user), &fail, &params, NULL);
}

static const struct cm_pg_statement forget = {
        .name = "import_queue_remove",
        .writes = true,
        .sql = "DELETE FROM import_queue WHERE import_id = $1::uuid",
};

int import_store_forget(struct cm_pg *pg, const struct import_ticket *ticket)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &ticket->id);
        return cm_pg_query(pg, NULL, &forget, &params, NULL);
}

/* ---- the job */

static const struct cm_pg_statement waiting = {
        .name = "import_waiting",
        .sql = "SELECT import_id, user_id, attempts FROM import_queue WHERE scratch = $1::uuid"
               " ORDER BY created_at LIMIT $2::int4",
};

int import_store_waiting(struct cm_pg *pg, const struct cm_uuid *scratch,
                         struct import_ticket *tickets, size_t max, size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r;

        *count_r = 0;
        cm_pg_put_uuid(&params, scratch);
        cm_pg_put_int4(&params, (int32_t)max);
        r = cm_pg_query(pg, NULL, &waiting, &params, &result);
        if (r)
                return r;
        for (int i = 0; i < result.rows; i++)
                tickets[(*count_r)++] = (struct import_ticket){
                        .id = cm_pg_uuid(&result, i, 0),
                        .user = cm_pg_uuid(&result, i, 1),
                        .attempts = (int)cm_pg_int(&result, i, 2),
                };
        return 0;
}

static const struct cm_pg_statement start_queue = {
        .name = "import_attempt",
        .writes = true,
        .sql = "UPDATE import_queue SET attempts = least(attempts + 1, 1000) WHERE import_id = "
               "$1::uuid",
};

static const struct cm_pg_statement start_import = {
        .name = "import_start",
        .writes = true,
        .sql = "UPDATE imports SET state = $3::int2, started_at = coalesce(started_at, now())"
               " WHERE user_id = $1::uuid AND id = $2::uuid AND state <= $3 RETURNING " COLUMNS,
};

int import_store_start(struct cm_pg *pg, struct cm_arena *arena, const struct import_ticket *ticket,
                       struct import *import_r, int64_t *line_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params attempt = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &start_queue, &attempt, NULL },
                { &start_import, &params, &result },
        };
        int r;

        cm_pg_put_uuid(&attempt, &ticket->id);
        cm_pg_put_uuid(&params, &ticket->user);
        cm_pg_put_uuid(&params, &ticket->id);
        cm_pg_put_int2(&params, IMPORT_STATE_RUNNING);
        r = cm_pg_flight(pg, SCOPE(&ticket->user), items, CM_COUNT(items), NULL);
        if (r)
                return r;
        if (result.rows == 0)
                return IMPORT_ENDED;
        read_import(&result, 0, arena, import_r);
        *line_r = cm_pg_int(&result, 0, LINE_COLUMN);
        return 0;
}

static const struct cm_pg_statement sized = {
        .name = "import_sized",
        .writes = true,
        .sql = "UPDATE imports SET bytes_total = $3::int8 WHERE user_id = $1::uuid AND id = "
               "$2::uuid",
};

int import_store_sized(struct cm_pg *pg, const struct import_ticket *ticket, int64_t bytes)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &ticket->user);
        cm_pg_put_uuid(&params, &ticket->id);
        cm_pg_put_int8(&params, bytes);
        return cm_pg_query(pg, SCOPE(&ticket->user), &sized, &params, NULL);
}

/* The row is locked by the update, so two that believe to own the import cannot both go on: the
 * second finds bytes_done where it did not leave it. */
static const struct cm_pg_statement advance = {
        .name = "import_advance",
        .writes = true,
        .sql = "UPDATE imports SET bytes_done = $3::int8, line = $4::int8, records = $5::int8, "
               "understood = $6::int8,"
               " without_fact = $7::int8, not_understood = $8::int8, rejected = $9::int8,"
               " added = added + $10::int8, duplicates = duplicates + $11::int8, findings = "
               "findings + $12::int8,"
               " summary = $13::jsonb, problem_code = $14::text, problem_detail = $15::text, state "
               "= $16::int2,"
               " finished_at = CASE WHEN $16 > $17::int2 THEN now() END"
               " WHERE user_id = $1::uuid AND id = $2::uuid AND state = $17 AND bytes_done = "
               "$18::int8"
               " RETURNING findings - $12",
};

static const struct cm_pg_statement settle = {
        .name = "import_settle",
        .writes = true,
        .sql = "UPDATE import_queue SET attempts = 0 WHERE import_id = $1::uuid AND attempts > 0",
};

static const struct cm_pg_statement add_findings = {
        .name = "import_findings_add",
        .writes = true,
        .sql = "INSERT INTO import_findings (user_id, import_id, place, line, type, reason)"
               " SELECT $1::uuid, $2::uuid, $3::int8 + place - 1, line, type, reason"
               " FROM unnest($4::int8[], $5::text[], $6::text[]) WITH ORDINALITY AS t(line, type, "
               "reason, place)"
               " WHERE $3 + place <= $7::int8",
};

static int write_findings(struct cm_pg_tx *tx, const struct import_ticket *ticket,
                          const struct import_batch *batch, int64_t first)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        if (batch->finding_count == 0 || first >= MAX_FINDINGS)
                return 0;
        cm_pg_put_uuid(&params, &ticket->user);
        cm_pg_put_uuid(&params, &ticket->id);
        cm_pg_put_int8(&params, first);
        cm_pg_array_begin(&params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < batch->finding_count; i++)
                cm_pg_array_int(&params, batch->findings[i].line);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < batch->finding_count; i++)
                cm_pg_array_text(&params, batch->findings[i].type);
        cm_pg_array_end(&params);
        cm_pg_array_begin(&params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < batch->finding_count; i++)
                cm_pg_array_text(&params, batch->findings[i].reason);
        cm_pg_array_end(&params);
        cm_pg_put_int8(&params, MAX_FINDINGS);
        return cm_pg_tx_query(tx, &add_findings, &params, NULL);
}

static int state_after(const struct import_batch *batch, const char *problem)
{
        if (problem)
                return IMPORT_STATE_FAILED;
        return batch->last ? IMPORT_STATE_DONE : IMPORT_STATE_RUNNING;
}

static int write_progress(struct cm_pg_tx *tx, const struct import_ticket *ticket,
                          const struct import_chunk *chunk, const char *problem,
                          struct cm_str detail)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct import_batch *batch = chunk->batch;
        const struct import_progress *progress = &batch->progress;
        int r;

        cm_pg_put_uuid(&params, &ticket->user);
        cm_pg_put_uuid(&params, &ticket->id);
        cm_pg_put_int8(&params, progress->offset);
        cm_pg_put_int8(&params, progress->line);
        cm_pg_put_int8(&params, progress->records);
        cm_pg_put_int8(&params, progress->understood);
        cm_pg_put_int8(&params, progress->without_fact);
        cm_pg_put_int8(&params, progress->not_understood);
        cm_pg_put_int8(&params, progress->rejected);
        cm_pg_put_int8(&params, chunk->counts.added);
        cm_pg_put_int8(&params, chunk->counts.known);
        cm_pg_put_int8(&params, (int64_t)batch->finding_count);
        cm_pg_put_jsonb(&params, cm_buf_str(&batch->summary));
        cm_pg_put_text(&params, cm_str_from(problem));
        cm_pg_put_text(&params, detail);
        cm_pg_put_int2(&params, (int16_t)state_after(batch, problem));
        cm_pg_put_int2(&params, IMPORT_STATE_RUNNING);
        cm_pg_put_int8(&params, batch->start);
        r = cm_pg_tx_query(tx, &advance, &params, &result);
        if (r)
                return r;
        if (result.rows == 0)
                return IMPORT_ENDED;
        return write_findings(tx, ticket, batch, cm_pg_int(&result, 0, 0));
}

static int write_settled(struct cm_pg_tx *tx, const struct import_ticket *ticket)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &ticket->id);
        return cm_pg_tx_query(tx, &settle, &params, NULL);
}

static int begin_chunk(struct cm_pg *pg, const struct import_ticket *ticket, bool all_new,
                       struct import_chunk *chunk)
{
        const struct import_batch *batch = chunk->batch;
        int r = cm_pg_begin(pg, SCOPE(&ticket->user), &chunk->tx);

        if (r == 0 && batch->event_count)
                r = event_store_import(chunk->tx, &ticket->user, batch->events, batch->event_count,
                                       all_new, &chunk->counts);
        if (r)
                import_store_drop(chunk);
        return r;
}

int import_store_events(struct cm_pg *pg, const struct import_ticket *ticket,
                        const struct import_batch *batch, bool *meets_known,
                        struct import_chunk *chunk_r)
{
        int r;

        *chunk_r = (struct import_chunk){ .batch = batch };
        r = begin_chunk(pg, ticket, !*meets_known, chunk_r);
        if (r == CM_PG_DUPLICATE && !*meets_known)
                r = begin_chunk(pg, ticket, false, chunk_r);
        if (r == 0)
                *meets_known = chunk_r->counts.known_before > 0;
        return r;
}

int import_store_place(struct import_chunk *chunk, const struct import_ticket *ticket,
                       const char *problem, struct cm_str detail)
{
        int r = write_progress(chunk->tx, ticket, chunk, problem, detail);

        if (r == 0)
                r = write_settled(chunk->tx, ticket);
        if (r == 0)
                return cm_pg_commit(&chunk->tx);
        import_store_drop(chunk);
        return r;
}

void import_store_drop(struct import_chunk *chunk)
{
        cm_pg_rollback(&chunk->tx);
}
