#include <inttypes.h>

#include "base/attr.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "bus/relay_internal.h"
#include "sys/log.h"

#define STATEMENT_LIMIT_US (20 * CM_SECOND)
#define SILENCE_LIMIT      "5s"

/*
 * The outbox from the relay's side. Rows are taken in the order (xid, id), and only those whose
 * transaction is older than every running one: behind the cursor nothing can appear any more, which
 * the order of a sequence or of a clock does not give. So positions are a function of the table,
 * and the range that records them need not be flushed at once: lost in a crash it is made again,
 * the same.
 *
 * Two relays that both believe to lead take the same first position; its primary key lets one win.
 * A leader that is stopped or stuck holds its lock only until the server ends its silent session.
 */

#define MAX_EVENTS 1000

#define WAITING(columns)                                                                           \
        "waiting AS (SELECT " columns ", xid, id, event_count,"                                    \
        "  sum(event_count) OVER (ORDER BY xid, id) AS upto"                                       \
        " FROM (SELECT * FROM outbox WHERE (xid, id) > ($1::int8::text::xid8, $2::int8)"           \
        "  AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id LIMIT 1000) o)"

static const struct cm_pg_statement lead = {
        .name = "relay-lead",
        .sql = "SELECT pg_advisory_unlock_all(), pg_try_advisory_lock(hashtext('salus relay')),"
               " set_config('idle_session_timeout', '" SILENCE_LIMIT "', false)",
};

static const struct cm_pg_statement still_leads = {
        .name = "relay-still-leads",
        .sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
               " AND pid = pg_backend_pid()) AND EXISTS (SELECT FROM outbox_relay WHERE term = "
               "$1::int8)",
};

static const struct cm_pg_statement resign = {
        .name = "relay-resign",
        .sql = "SELECT pg_advisory_unlock_all()",
};

static const struct cm_pg_statement raise_term = {
        .name = "relay-term",
        .sql = "UPDATE outbox_relay SET term = term + 1 RETURNING term",
        .writes = true,
};

static const struct cm_pg_statement last_range = {
        .name = "relay-cursor",
        .sql = "SELECT first_position + events - 1, last_xid::text::int8, last_id FROM outbox_range"
               " ORDER BY first_position DESC LIMIT 1",
};

/* Rows of the outbox with the position of their first event. */
static const struct cm_pg_statement take = {
        .name = "relay-take",
        .sql = "WITH leader AS (SELECT set_config('synchronous_commit', 'off', true)"
               "  FROM outbox_relay WHERE term = $3::int8), " WAITING(
                       "payload") ","
                                  "chosen AS (SELECT waiting.* FROM waiting, leader"
                                  "  WHERE upto - event_count < $5::int8),"
                                  "recorded AS (INSERT INTO outbox_range (first_position, events, "
                                  "first_xid, first_id,"
                                  "  last_xid, last_id)"
                                  " SELECT $4::int8, l.upto, f.xid, f.id, l.xid, l.id"
                                  " FROM (SELECT * FROM chosen ORDER BY xid, id LIMIT 1) f,"
                                  "  (SELECT * FROM chosen ORDER BY xid DESC, id DESC LIMIT 1) l)"
                                  "SELECT ($4::int8 + upto - event_count)::int8, event_count, "
                                  "payload,"
                                  " xid::text::int8, id FROM chosen ORDER BY 1",
        .writes = true,
};

static const struct cm_pg_statement read_again = {
        .name = "relay-read",
        .sql = "SELECT o.start::int8, o.event_count, o.payload"
               " FROM (SELECT * FROM outbox_range WHERE NOT is_void AND first_position <= $2::int8"
               "  AND first_position >= coalesce((SELECT max(first_position) FROM outbox_range"
               "  WHERE first_position <= $1::int8), 0)) r,"
               " LATERAL (SELECT payload, event_count, r.first_position - event_count"
               "  + sum(event_count) OVER (ORDER BY xid, id) AS start FROM outbox"
               "  WHERE (xid, id) >= (r.first_xid, r.first_id)"
               "  AND (xid, id) <= (r.last_xid, r.last_id)) o"
               " WHERE o.start <= $2::int8 AND o.start + o.event_count > $1::int8 ORDER BY 1",
};

static const struct cm_pg_statement next_event = {
        .name = "relay-next",
        .sql = "SELECT greatest(first_position, $1::int8) FROM outbox_range WHERE NOT is_void"
               " AND first_position + events > $1::int8 ORDER BY first_position LIMIT 1",
};

static const struct cm_pg_statement preview = {
        .name = "relay-preview",
        .sql = "WITH " WAITING(
                "payload") " SELECT upto - event_count + 1, event_count, payload FROM waiting"
                           " WHERE upto >= $3::int8 AND upto - event_count < $3::int8",
};

static const struct cm_pg_statement skip = {
        .name = "relay-skip",
        .sql = "INSERT INTO outbox_range (first_position, events, is_void, first_xid, first_id, "
               "last_xid,"
               " last_id) SELECT $1::int8, $2::int8, true, $3::int8::text::xid8, $4::int8,"
               " $3::int8::text::xid8, $4::int8 FROM outbox_relay WHERE term = $5::int8 RETURNING "
               "1",
        .writes = true,
};

static const struct cm_pg_statement known_groups = {
        .name = "relay-groups",
        .sql = "SELECT group_name, position, (extract(epoch FROM clock_timestamp() - seen_at) * "
               "1000000)::int8"
               " FROM outbox_group",
};

static const struct cm_pg_statement save_group = {
        .name = "relay-save-group",
        .sql = "INSERT INTO outbox_group (group_name, position, seen_at)"
               " VALUES ($1::text, $2::int8, clock_timestamp() - $3::int8 * interval '1 "
               "microsecond')"
               " ON CONFLICT (group_name) DO UPDATE SET position = excluded.position, seen_at = "
               "excluded.seen_at",
        .writes = true,
};

static const struct cm_pg_statement prune = {
        .name = "relay-prune",
        .sql = "WITH old AS (SELECT first_position, last_xid, last_id FROM outbox_range"
               "  WHERE created_at < clock_timestamp() - $1::int8 * interval '1 microsecond'"
               "  AND first_position < (SELECT max(first_position) FROM outbox_range)"
               "  ORDER BY first_position LIMIT 500),"
               "rows AS (DELETE FROM outbox USING (SELECT last_xid, last_id FROM old"
               "  ORDER BY first_position DESC LIMIT 1) l WHERE (xid, id) <= (l.last_xid, "
               "l.last_id))"
               "DELETE FROM outbox_range USING old WHERE outbox_range.first_position = "
               "old.first_position",
        .writes = true,
};

static const struct cm_pg_statement measure = {
        .name = "relay-measure",
        .sql = "SELECT coalesce(sum(event_count), 0)::int8,"
               " coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::int8"
               " FROM (SELECT event_count, created_at FROM outbox"
               "  WHERE (xid, id) > ($1::int8::text::xid8, $2::int8) ORDER BY xid, id LIMIT 10000) "
               "o",
};

static const struct cm_pg_statement tell = {
        .name = "relay-tell",
        .sql = "SELECT pg_notify('" CM_OUTBOX_CHANNEL "', '')",
};

static struct cm_metric outbox_pending =
        CM_GAUGE("salus_outbox_pending", "Events that wait for the relay");
static struct cm_metric outbox_oldest =
        CM_GAUGE("salus_outbox_oldest_seconds", "Age of the oldest event that waits for the relay");

void relay_show_outbox(int64_t pending, int64_t oldest_s)
{
        cm_gauge_set(&outbox_pending, pending);
        cm_gauge_set(&outbox_oldest, oldest_s);
}

/* An outcome of PostgreSQL (a refused or repeated row) that no caller here expects. */
static int expect_none(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

/* Runs a statement with up to five numbers. */
static int query(struct cm_relay *relay, const struct cm_pg_statement *statement,
                 const int64_t *numbers, size_t count, struct cm_pg_result *result_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        for (size_t i = 0; i < count; i++)
                cm_pg_put_int8(&params, numbers[i]);
        return cm_pg_query(relay->pg, NULL, statement, &params, result_r);
}

/* ---- the lead */

static int read_cursor(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = expect_none(query(relay, &last_range, NULL, 0, &result));

        relay->cursor = (struct relay_cursor){ 0 };
        if (r == 0 && result.rows)
                relay->cursor =
                        (struct relay_cursor){ cm_pg_int(&result, 0, 0), cm_pg_int(&result, 0, 1),
                                               cm_pg_int(&result, 0, 2) };
        return r;
}

static int pg_lead(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result lock = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result term = { 0 };
        int r = expect_none(query(relay, &lead, NULL, 0, &lock));

        if (r)
                return r;
        if (!cm_pg_bool(&lock, 0, 1))
                return RELAY_NOT_LEADING;
        r = expect_none(query(relay, &raise_term, NULL, 0, &term));
        if (r == 0 && term.rows != 1)
                r = -CM_E_DATABASE;
        if (r)
                return r;
        relay->term = cm_pg_int(&term, 0, 0);
        return read_cursor(relay);
}

static int pg_still_leads(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = expect_none(query(relay, &still_leads, &relay->term, 1, &result));

        if (r)
                return r;
        return cm_pg_bool(&result, 0, 0) ? 0 : RELAY_NOT_LEADING;
}

static void pg_resign(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        /* When this fails the session is gone, and the lock with it. */
        (void)!query(relay, &resign, NULL, 0, &result);
}

/* ---- events */

void relay_batch_clear(struct relay_batch *batch)
{
        cm_pg_result_clear(&batch->result);
        batch->count = 0;
}

/* Row `row` of a result: position of the first event, number of events, payload. */
static int read_row(const struct cm_pg_result *result, int row, struct cm_event *events_r)
{
        int64_t first = cm_pg_int(result, row, 0);
        size_t count = (size_t)cm_pg_int(result, row, 1);

        if (!cm_outbox_read(cm_pg_text(result, row, 2), events_r, count)) {
                cm_log(CM_LOG_ERROR, "outbox holds a row that is no payload",
                       CM_F_INT("position", first));
                return -CM_E_DATABASE;
        }
        for (size_t i = 0; i < count; i++)
                events_r[i].position = first + (int64_t)i;
        return 0;
}

/* The events with positions from `first` to `last`. */
static int read_batch(struct cm_relay *relay, int64_t first, int64_t last,
                      struct relay_batch *batch)
{
        struct cm_event *events;
        size_t room = 0, count = 0;

        for (int row = 0; row < batch->result.rows; row++)
                room += (size_t)cm_pg_int(&batch->result, row, 1);
        events = cm_arena_array(&relay->arena, room, sizeof(*events));
        for (int row = 0; row < batch->result.rows; row++) {
                int r = read_row(&batch->result, row, events + count);

                if (r < 0)
                        return r;
                count += (size_t)cm_pg_int(&batch->result, row, 1);
        }
        while (count && events[count - 1].position > last)
                count--;
        while (count && events->position < first) {
                events++;
                count--;
        }
        batch->events = events;
        batch->count = count;
        return 0;
}

static int pg_take(struct cm_relay *relay, struct relay_batch *batch_r)
{
        const struct relay_cursor *cursor = &relay->cursor;
        const int64_t numbers[] = { cursor->xid, cursor->id, relay->term, cursor->position + 1,
                                    MAX_EVENTS };
        int last, r = query(relay, &take, numbers, CM_COUNT(numbers), &batch_r->result);

        if (r == CM_PG_DUPLICATE || r == CM_PG_RETRY)
                return RELAY_NOT_LEADING; /* another relay took these positions */
        r = expect_none(r);
        if (r == 0)
                r = read_batch(relay, 0, INT64_MAX, batch_r);
        last = batch_r->result.rows - 1;
        if (r == 0 && last >= 0)
                relay->cursor = (struct relay_cursor){ batch_r->events[batch_r->count - 1].position,
                                                       cm_pg_int(&batch_r->result, last, 3),
                                                       cm_pg_int(&batch_r->result, last, 4) };
        return r;
}

static int pg_read(struct cm_relay *relay, int64_t first, int64_t last, struct relay_batch *batch_r)
{
        const int64_t numbers[] = { first, last };
        int r = expect_none(
                query(relay, &read_again, numbers, CM_COUNT(numbers), &batch_r->result));

        return r ? r : read_batch(relay, first, last, batch_r);
}

static int pg_next(struct cm_relay *relay, int64_t from, int64_t *position_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = expect_none(query(relay, &next_event, &from, 1, &result));

        if (r == 0)
                *position_r = result.rows ? cm_pg_int(&result, 0, 0) : relay->cursor.position + 1;
        return r;
}

static int pg_preview(struct cm_relay *relay, int64_t position, struct cm_uuid *id_r, bool *found_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct relay_cursor *cursor = &relay->cursor;
        const int64_t numbers[] = { cursor->xid, cursor->id, position - cursor->position };
        struct cm_event *events;
        int r = expect_none(query(relay, &preview, numbers, CM_COUNT(numbers), &result));

        *found_r = result.rows == 1;
        if (r || !*found_r)
                return r;
        events = cm_arena_array(&relay->arena, (size_t)cm_pg_int(&result, 0, 1), sizeof(*events));
        r = read_row(&result, 0, events);
        if (r == 0)
                *id_r = events[numbers[2] - cm_pg_int(&result, 0, 0)].id;
        return r;
}

static int pg_skip(struct cm_relay *relay, int64_t last)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        struct relay_cursor *cursor = &relay->cursor;
        const int64_t numbers[] = { cursor->position + 1, last - cursor->position, cursor->xid,
                                    cursor->id, relay->term };
        int r = query(relay, &skip, numbers, CM_COUNT(numbers), &result);

        if (r == CM_PG_DUPLICATE || (r == 0 && result.rows == 0))
                return RELAY_NOT_LEADING;
        r = expect_none(r);
        if (r == 0)
                cursor->position = last;
        return r;
}

/* ---- groups, pruning, measures */

static int pg_groups(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = expect_none(query(relay, &known_groups, NULL, 0, &result));

        for (int row = 0; r == 0 && row < result.rows; row++) {
                struct relay_group *group = relay_group_get(relay, cm_pg_text(&result, row, 0));

                group->acked = group->acked_saved = cm_pg_int(&result, row, 1);
                group->seen_us = cm_monotonic_us() - cm_pg_int(&result, row, 2);
        }
        return r;
}

static int pg_save_group(struct cm_relay *relay, const struct relay_group *group)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        cm_pg_put_text(&params, cm_str_from(group->name));
        cm_pg_put_int8(&params, group->acked);
        cm_pg_put_int8(&params, cm_monotonic_us() - group->seen_us);
        return expect_none(cm_pg_query(relay->pg, NULL, &save_group, &params, &result));
}

static int pg_prune(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        return expect_none(query(relay, &prune, &relay->config.keep_us, 1, &result));
}

static int pg_measure(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const int64_t numbers[] = { relay->cursor.xid, relay->cursor.id };
        int r = expect_none(query(relay, &measure, numbers, CM_COUNT(numbers), &result));

        if (r)
                return r;
        relay_show_outbox(cm_pg_int(&result, 0, 0), cm_pg_int(&result, 0, 1));
        return 0;
}

static int pg_tell(struct cm_relay *relay)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };

        return expect_none(query(relay, &tell, NULL, 0, &result));
}

/* ---- the session that holds the lock */

static int pg_open(struct cm_relay *relay)
{
        const struct cm_pg_config config = { .conninfo = relay->config.conninfo,
                                             .connections = 1,
                                             .statement_timeout_us = STATEMENT_LIMIT_US };
        int r = cm_pg_new(relay->loop, &config, &relay->pg);

        return r ? r : cm_pg_listen(relay->pg, CM_OUTBOX_CHANNEL, relay_told, relay);
}

static void pg_close(struct cm_relay *relay)
{
        cm_pg_free(&relay->pg);
}

const struct cm_outbox relay_outbox_table = {
        .most_nap_us = CM_SECOND, /* news are told: no need to look often */
        .open = pg_open,
        .close = pg_close,
        .lead = pg_lead,
        .still_leads = pg_still_leads,
        .resign = pg_resign,
        .take = pg_take,
        .read = pg_read,
        .next = pg_next,
        .preview = pg_preview,
        .skip = pg_skip,
        .groups = pg_groups,
        .save_group = pg_save_group,
        .prune = pg_prune,
        .measure = pg_measure,
        .tell = pg_tell,
};
