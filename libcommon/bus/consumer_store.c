#include "base/attr.h"
#include "base/error.h"
#include "bus/consumer_internal.h"

/* The inbox: which events had their effect, and how far the group has come in each stream. */

static const struct cm_pg_statement open_stream = {
        .name = "inbox-open",
        .sql = "INSERT INTO inbox_stream (stream) VALUES ($1::text) ON CONFLICT DO NOTHING",
        .writes = true,
};

static const struct cm_pg_statement enter = {
        .name = "inbox-enter",
        .sql = "INSERT INTO inbox (event_id, source)"
               " SELECT * FROM unnest($1::uuid[], $2::text[]) ON CONFLICT DO NOTHING RETURNING "
               "event_id, source",
        .writes = true,
};

static const struct cm_pg_statement done = {
        .name = "inbox-done",
        .sql = "INSERT INTO inbox_range (stream, first_position, last_position)"
               " SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[]) ON CONFLICT DO NOTHING",
        .writes = true,
};

static const struct cm_pg_statement position = {
        .name = "inbox-position",
        .sql = "SELECT position FROM inbox_stream WHERE stream = $1::text FOR UPDATE",
};

static const struct cm_pg_statement ranges = {
        .name = "inbox-ranges",
        .sql = "SELECT first_position, last_position FROM inbox_range WHERE stream = $1::text"
               " ORDER BY first_position, last_position LIMIT 10000",
};

static const struct cm_pg_statement advance = {
        .name = "inbox-advance",
        .sql = "WITH joined AS (DELETE FROM inbox_range WHERE stream = $1::text AND last_position "
               "<= $2::int8)"
               " UPDATE inbox_stream SET position = $2::int8, updated_at = clock_timestamp()"
               " WHERE stream = $1::text",
        .writes = true,
};

static const struct cm_pg_statement prune = {
        .name = "inbox-prune",
        .sql = "DELETE FROM inbox USING (SELECT event_id AS old_id, source AS old_source FROM inbox"
               "  WHERE received_at < clock_timestamp() - $1::int8 * interval '1 microsecond'"
               "  ORDER BY event_id LIMIT 5000) old WHERE event_id = old_id AND source = "
               "old_source",
        .writes = true,
};

static int pg_open(struct cm_consumer *consumer, struct cm_str stream)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        cm_pg_put_text(&params, stream);
        return cm_pg_query(consumer->config.pg, NULL, &open_stream, &params, &result);
}

static void mark_new(struct consumer_entry *entries, size_t count,
                     const struct cm_pg_result *result)
{
        size_t next = 0;

        for (int row = 0; row < result->rows; row++) {
                struct cm_uuid id = cm_pg_uuid(result, row, 0);
                struct cm_str source = cm_pg_text(result, row, 1);

                /* Rows come in the order of the entries; the search begins where the last one
                 * ended. */
                for (size_t i = 0; i < count; i++) {
                        struct consumer_entry *entry = &entries[(next + i) % count];

                        if (entry->fate != ENTRY_EFFECT || entry->is_new ||
                            !cm_uuid_equal(&entry->event.id, &id) ||
                            !cm_str_equal(entry->event.source, source))
                                continue;
                        entry->is_new = true;
                        next = (next + i + 1) % count;
                        break;
                }
        }
}

static bool has_effects(const struct consumer_entry *entries, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (entries[i].fate == ENTRY_EFFECT)
                        return true;
        return false;
}

static void put_effects(struct cm_pg_params *params, const struct consumer_entry *entries,
                        size_t count)
{
        cm_pg_array_begin(params, CM_PG_UUID_ARRAY);
        for (size_t i = 0; i < count; i++)
                if (entries[i].fate == ENTRY_EFFECT)
                        cm_pg_array_uuid(params, &entries[i].event.id);
        cm_pg_array_end(params);
        cm_pg_array_begin(params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < count; i++)
                if (entries[i].fate == ENTRY_EFFECT)
                        cm_pg_array_text(params, entries[i].event.source);
        cm_pg_array_end(params);
}

static int pg_begin(struct cm_consumer *consumer, const struct cm_pg_scope *scope,
                    struct consumer_entry *entries, size_t count, struct cm_pg_tx **tx_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_flight_item item = { &enter, &params, &result };
        int r;

        for (size_t i = 0; i < count; i++)
                entries[i].is_new = false;
        if (!has_effects(entries, count))
                return cm_pg_begin(consumer->config.pg, scope, tx_r);
        put_effects(&params, entries, count);
        r = cm_pg_begin_with(consumer->config.pg, scope, &item, tx_r);
        if (r == 0)
                mark_new(entries, count, &result);
        return r;
}

static bool counts(const struct consumer_entry *entry)
{
        return entry->stream && entry->first_position > 0 && entry->fate != ENTRY_LATER;
}

/* Ends the run that began at `first` before entry i, or at it. */
static bool goes_on(const struct consumer_entry *entry, const struct consumer_entry *next)
{
        return counts(next) && next->stream == entry->stream &&
               next->first_position == entry->last_position + 1;
}

/* Entries as ranges, neighbours joined: usually one range a batch. */
size_t consumer_runs(const struct consumer_entry *entries, size_t count,
                     struct consumer_range *runs, const struct consumer_stream **streams)
{
        size_t found = 0;

        for (size_t i = 0; i < count; i++) {
                size_t first = i;

                if (!counts(&entries[i]))
                        continue;
                while (i + 1 < count && goes_on(&entries[i], &entries[i + 1]))
                        i++;
                streams[found] = entries[first].stream;
                runs[found++] = (struct consumer_range){ entries[first].first_position,
                                                         entries[i].last_position };
        }
        return found;
}

static void put_ranges(struct cm_pg_params *params, const struct consumer_range *runs,
                       const struct consumer_stream *const *streams, size_t count)
{
        cm_pg_array_begin(params, CM_PG_TEXT_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_text(params, streams[i]->name);
        cm_pg_array_end(params);
        cm_pg_array_begin(params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(params, runs[i].first);
        cm_pg_array_end(params);
        cm_pg_array_begin(params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_int(params, runs[i].last);
        cm_pg_array_end(params);
}

static int pg_commit(struct cm_consumer *consumer, struct cm_pg_tx **tx,
                     const struct consumer_entry *entries, size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        const struct cm_pg_flight_item item = { &done, &params, NULL };
        struct cm_arena *arena = &consumer->attempt;
        struct consumer_range *runs = cm_arena_array(arena, count, sizeof(*runs));
        const struct consumer_stream **streams = cm_arena_array(arena, count, sizeof(*streams));
        size_t found = consumer_runs(entries, count, runs, streams);

        put_ranges(&params, runs, streams, found);
        return cm_pg_commit_with(tx, found ? &item : NULL);
}

static int read_ranges(struct cm_pg_tx *tx, const struct cm_pg_params *stream,
                       struct cm_arena *arena, int64_t *position_r,
                       struct consumer_range **beyond_r, size_t *count_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result at = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result found = { 0 };
        int r = cm_pg_tx_query(tx, &position, stream, &at);

        if (r == 0)
                r = cm_pg_tx_query(tx, &ranges, stream, &found);
        if (r)
                return r;
        *position_r = at.rows ? cm_pg_int(&at, 0, 0) : 0;
        *beyond_r = cm_arena_array(arena, (size_t)found.rows, sizeof(**beyond_r));
        *count_r = 0;
        for (int row = 0; row < found.rows; row++) {
                struct consumer_range range = { cm_pg_int(&found, row, 0),
                                                cm_pg_int(&found, row, 1) };

                if (range.first > *position_r + 1)
                        (*beyond_r)[(*count_r)++] = range;
                else if (range.last > *position_r)
                        *position_r = range.last;
        }
        return 0;
}

static int pg_advance(struct cm_consumer *consumer, struct cm_str stream, struct cm_arena *arena,
                      int64_t *position_r, struct consumer_range **beyond_r, size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params name = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params moved = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(consumer->config.pg, NULL, &tx);

        if (r)
                return r;
        cm_pg_put_text(&name, stream);
        r = read_ranges(tx, &name, arena, position_r, beyond_r, count_r);
        if (r)
                return r;
        cm_pg_put_text(&moved, stream);
        cm_pg_put_int8(&moved, *position_r);
        r = cm_pg_tx_query(tx, &advance, &moved, &result);
        return r ? r : cm_pg_commit(&tx);
}

static int pg_prune(struct cm_consumer *consumer)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        cm_pg_put_int8(&params, consumer->config.keep_us);
        return cm_pg_query(consumer->config.pg, NULL, &prune, &params, &result);
}

const struct cm_inbox consumer_inbox_tables = {
        .open = pg_open,
        .begin = pg_begin,
        .commit = pg_commit,
        .advance = pg_advance,
        .prune = pg_prune,
};
