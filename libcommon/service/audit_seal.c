#include "service/audit_seal.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * Writers do not wait for each other: a row gets its position from a sequence and commits when it
 * likes, so a smaller position may become visible after a larger one, and one whose transaction was
 * rolled back never does. A look therefore has two parts. The first notes the newest position that
 * was given out, and then, in a later snapshot, the number of the next transaction: whoever got
 * such a position had a number before it (audit.up.sql), a smaller one. The second, an interval
 * later, finds that all transactions below that number have ended: then what is visible up to that
 * position is all that will ever be, and is sealed. So a row is sealed within two intervals of its
 * commit, unless a transaction that writes, of any database of the server, takes longer.
 */
#define MAX_ROWS        5000 /* of a head */
#define STEP_US         (20 * CM_SECOND)
#define FORGET_EVERY_US CM_HOUR
#define SAY_EVERY_US    (10 * CM_MINUTE)
#define LOCK            "5104772" /* ours alone, of the database's advisory locks */

struct cm_audit_sealer {
        struct cm_pg *pg;
        struct cm_sign_key key;
        int64_t interval_us;
        int64_t keep_us;
        struct cm_group group;
        struct cm_audit_batch batch;
        /* The first part of a look; 0: none. */
        int64_t noted_position;
        int64_t noted_transaction;
        int64_t sealed_position; /* up to here there is nothing to do */
        int64_t newest_head;     /* seen by this process */
        int64_t complete_us;     /* monotonic: when all that was committed before was sealed */
        int64_t forget_at_us;
        int64_t say_at_us;
};

static const struct cm_pg_scope service_scope = { .role = "service" };

static struct cm_metric head_gauge =
        CM_GAUGE("salus_audit_head_number", "The newest head of the audit log");
static struct cm_metric position_gauge =
        CM_GAUGE("salus_audit_sealed_position", "The newest row of the audit log that is sealed");
static struct cm_metric behind_gauge = CM_GAUGE(
        "salus_audit_unsealed_seconds", "All rows of the audit log are sealed that are older");
static struct cm_metric truncated = CM_COUNTER(
        "salus_audit_truncated_total", "Heads of the audit log that were there and are gone");

void cm_audit_key(struct cm_sign_key *key_r, struct cm_str secret)
{
        cm_sign_key_derive(key_r, secret, CM_STR("salus audit heads, version 1"));
}

/* ---- reading */

static bool read_bytes(const struct cm_pg_result *rows, int i, int column, void *out, size_t len)
{
        struct cm_str bytes = cm_pg_text(rows, i, column);

        if (bytes.len != len)
                return false;
        memcpy(out, bytes.data, len);
        return true;
}

bool cm_audit_head_read(const struct cm_pg_result *rows, int i, struct cm_audit_head *head_r)
{
        *head_r = (struct cm_audit_head){
                .number = cm_pg_int(rows, i, 0),
                .last_position = cm_pg_int(rows, i, 2),
                .row_count = (int32_t)cm_pg_int(rows, i, 3),
                .sealed_at = cm_pg_time(rows, i, 5),
        };
        return read_bytes(rows, i, 1, head_r->previous, sizeof(head_r->previous)) &&
               read_bytes(rows, i, 4, head_r->rows_hash, sizeof(head_r->rows_hash)) &&
               read_bytes(rows, i, 6, head_r->hash, sizeof(head_r->hash)) &&
               read_bytes(rows, i, 7, head_r->signature, sizeof(head_r->signature));
}

void cm_audit_row_read(const struct cm_pg_result *rows, int i, struct cm_audit_row *row_r)
{
        row_r->position = cm_pg_int(rows, i, 0);
        row_r->at = cm_pg_time(rows, i, 1);
        for (int f = 0; f < CM_AUDIT_FIELDS; f++)
                row_r->fields[f] = cm_pg_text(rows, i, 2 + f);
}

/* ---- sealing */

static const struct cm_pg_statement take_lock = {
        .name = "audit_seal_lock",
        .sql = "SELECT pg_try_advisory_xact_lock(" LOCK ")",
};

static const struct cm_pg_statement newest_head = {
        .name = "audit_newest_head",
        .sql = "SELECT " CM_AUDIT_HEAD_COLUMNS " FROM audit_heads ORDER BY number DESC LIMIT 1",
};

static const struct cm_pg_statement rows_to_seal = {
        .name = "audit_rows_to_seal",
        .sql = "SELECT " CM_AUDIT_ROW_COLUMNS " FROM audit_log"
               " WHERE position > $1::int8 AND position <= $2::int8 ORDER BY position"
               " LIMIT $3::int4",
};

static const struct cm_pg_statement insert_head = {
        .name = "audit_head_insert",
        .writes = true,
        .sql = "INSERT INTO audit_heads (" CM_AUDIT_HEAD_COLUMNS ", digests)"
               " VALUES ($1::int8, $2::bytea, $3::int8, $4::int4, $5::bytea, $6::timestamptz,"
               "   $7::bytea, $8::bytea, $9::bytea)",
};

static struct cm_str bytes_of(const uint8_t *bytes, size_t len)
{
        return (struct cm_str){ (const char *)bytes, len };
}

static int store_head(struct cm_pg_tx *tx, const struct cm_audit_head *head)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_int8(&params, head->number);
        cm_pg_put_bytes(&params, bytes_of(head->previous, sizeof(head->previous)));
        cm_pg_put_int8(&params, head->last_position);
        cm_pg_put_int4(&params, head->row_count);
        cm_pg_put_bytes(&params, bytes_of(head->rows_hash, sizeof(head->rows_hash)));
        cm_pg_put_time(&params, head->sealed_at);
        cm_pg_put_bytes(&params, bytes_of(head->hash, sizeof(head->hash)));
        cm_pg_put_bytes(&params, bytes_of(head->signature, sizeof(head->signature)));
        cm_pg_put_bytes(&params, head->digests);
        return cm_pg_tx_query(tx, &insert_head, &params, NULL);
}

/* What was cut off is told while somebody runs who has seen it. */
static void look_for_truncation(struct cm_audit_sealer *sealer, int64_t number)
{
        if (number < sealer->newest_head) {
                cm_counter_add(&truncated, sealer->newest_head - number);
                cm_log(CM_LOG_ERROR, "the audit log was cut off: heads are gone that were there",
                       CM_F_INT("newest", number), CM_F_INT("was", sealer->newest_head));
        }
        sealer->newest_head = number;
}

/* number 0: there is none. */
static int read_newest(struct cm_audit_sealer *sealer, struct cm_pg_tx *tx,
                       struct cm_audit_head *head_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &newest_head, NULL, &rows);

        *head_r = (struct cm_audit_head){ 0 };
        if (r)
                return r;
        if (rows.rows && !cm_audit_head_read(&rows, 0, head_r))
                return -CM_E_DATABASE;
        look_for_truncation(sealer, head_r->number);
        return 0;
}

static int collect(struct cm_audit_sealer *sealer, struct cm_pg_tx *tx, int64_t after,
                   int64_t up_to)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct cm_audit_row row;
        int r;

        cm_pg_put_int8(&params, after);
        cm_pg_put_int8(&params, up_to);
        cm_pg_put_int4(&params, MAX_ROWS);
        r = cm_pg_tx_query(tx, &rows_to_seal, &params, &rows);
        cm_audit_batch_reset(&sealer->batch);
        for (int i = 0; !r && i < rows.rows; i++) {
                cm_audit_row_read(&rows, i, &row);
                cm_audit_batch_add(&sealer->batch, &row);
        }
        return r;
}

enum { SEALED = 1, HELD_BY_ANOTHER };

static int try_lock(struct cm_pg_tx *tx)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &take_lock, NULL, &rows);

        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return cm_pg_bool(&rows, 0, 0) ? 0 : HELD_BY_ANOTHER;
}

/* One head. 0: all up to `up_to` is sealed; SEALED: there may be more; HELD_BY_ANOTHER; an error.
 */
static int seal_in(struct cm_audit_sealer *sealer, struct cm_pg_tx **tx, int64_t up_to)
{
        struct cm_audit_head before = { 0 }, head;
        int r = try_lock(*tx);

        if (!r)
                r = read_newest(sealer, *tx, &before);
        if (!r)
                r = collect(sealer, *tx, before.last_position, up_to);
        if (r || !sealer->batch.count)
                return r;
        cm_audit_head_make(&sealer->key, before.number ? &before : NULL, &sealer->batch,
                           cm_now(&cm_clock_system), &head);
        r = store_head(*tx, &head);
        if (!r)
                r = cm_pg_commit(tx);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        sealer->newest_head = head.number;
        cm_gauge_set(&head_gauge, head.number);
        cm_gauge_set(&position_gauge, head.last_position);
        return SEALED;
}

static int seal(struct cm_audit_sealer *sealer, int64_t up_to)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(sealer->pg, &service_scope, &tx);

        return r ? r : seal_in(sealer, &tx, up_to);
}

/* ---- a look */

/* The newest position that was given out, and only then which transactions there are. */
static const struct cm_pg_statement given_out = {
        .name = "audit_given_out",
        .sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_log_position",
};
static const struct cm_pg_statement transactions = {
        .name = "audit_transactions",
        .sql = "SELECT pg_snapshot_xmin(s)::text::int8, pg_snapshot_xmax(s)::text::int8"
               " FROM pg_current_snapshot() s",
};

static int note(struct cm_audit_sealer *sealer, int64_t *oldest_running_r, int64_t *position_r,
                int64_t *next_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result position = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result running = { 0 };
        int r = cm_pg_query(sealer->pg, &service_scope, &given_out, NULL, &position);

        if (!r)
                r = cm_pg_query(sealer->pg, &service_scope, &transactions, NULL, &running);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        *position_r = cm_pg_int(&position, 0, 0);
        *oldest_running_r = cm_pg_int(&running, 0, 0);
        *next_r = cm_pg_int(&running, 0, 1);
        return 0;
}

static int look(struct cm_audit_sealer *sealer)
{
        int64_t oldest_running = 0, position = 0, next = 0;
        int r = note(sealer, &oldest_running, &position, &next);

        if (r)
                return r;
        if (sealer->noted_transaction && oldest_running < sealer->noted_transaction)
                return 0; /* the next look asks again for what was noted */
        if (sealer->noted_position > sealer->sealed_position) {
                do
                        r = seal(sealer, sealer->noted_position);
                while (r == SEALED);
                if (r < 0)
                        return r;
        }
        if (!r)
                sealer->sealed_position = sealer->noted_position;
        sealer->complete_us = cm_monotonic_us() - sealer->interval_us;
        sealer->noted_position = position;
        sealer->noted_transaction = next;
        return 0;
}

/* ---- what is old */

static const struct cm_pg_statement forget = {
        .name = "audit_forget",
        .writes = true,
        .sql = "SELECT audit_forget($1::int8 * interval '1 microsecond')",
};

static int forget_some(struct cm_audit_sealer *sealer, bool *more_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_int8(&params, sealer->keep_us);
        r = cm_pg_query(sealer->pg, &service_scope, &forget, &params, &rows);
        *more_r = !r && cm_pg_bool(&rows, 0, 0);
        return r > 0 ? -CM_E_DATABASE : r;
}

static int forget_old(struct cm_audit_sealer *sealer)
{
        bool more = true;
        int r = 0;

        if (cm_monotonic_us() < sealer->forget_at_us)
                return 0;
        sealer->forget_at_us = cm_monotonic_us() + FORGET_EVERY_US;
        while (!r && more)
                r = forget_some(sealer, &more);
        return r;
}

/* ---- the fiber */

/* A place outside of the database that remembers heads: the log. */
static void say_newest(struct cm_audit_sealer *sealer)
{
        if (!sealer->newest_head || cm_monotonic_us() < sealer->say_at_us)
                return;
        sealer->say_at_us = cm_monotonic_us() + SAY_EVERY_US;
        cm_log(CM_LOG_INFO, "audit log sealed", CM_F_INT("head", sealer->newest_head),
               CM_F_INT("position", sealer->sealed_position));
}

static void turn(struct cm_audit_sealer *sealer)
{
        int r;

        (void)cm_fiber_set_deadline(cm_monotonic_us() + STEP_US);
        r = look(sealer);
        if (!r)
                r = forget_old(sealer);
        if (r && r != -CM_E_CANCELLED) {
                cm_log(CM_LOG_WARN, "the audit log is not sealed yet", CM_F_ERROR(r));
                /* Another server may answer next, whose transactions have other numbers. */
                sealer->noted_transaction = 0;
                sealer->noted_position = 0;
                sealer->sealed_position = 0;
        }
        cm_gauge_set(&behind_gauge, (cm_monotonic_us() - sealer->complete_us) / CM_SECOND);
        say_newest(sealer);
}

static void seal_fiber(void *arg)
{
        struct cm_audit_sealer *sealer = arg;

        do {
                turn(sealer);
                (void)cm_fiber_set_deadline(CM_NEVER);
        } while (!cm_fiber_sleep(sealer->interval_us));
}

int cm_audit_sealer_start(struct cm_pg *pg, const struct cm_audit_seal_config *config,
                          struct cm_audit_sealer **sealer_r)
{
        struct cm_audit_sealer *sealer = CM_NEW(struct cm_audit_sealer);
        int r;

        sealer->pg = pg;
        sealer->key = *config->key;
        sealer->interval_us = config->interval_us;
        sealer->keep_us = config->keep_us;
        sealer->complete_us = cm_monotonic_us();
        cm_group_init(&sealer->group);
        r = cm_group_start(&sealer->group, "seal audit log", seal_fiber, sealer);
        if (r)
                cm_audit_sealer_stop(&sealer);
        *sealer_r = sealer;
        return r;
}

void cm_audit_sealer_stop(struct cm_audit_sealer **sealer)
{
        struct cm_audit_sealer *s = *sealer;
        int64_t before;

        *sealer = NULL;
        if (!s)
                return;
        before = cm_fiber_set_deadline(cm_monotonic_us());
        (void)!cm_group_join(&s->group); /* it ends by being cancelled */
        (void)cm_fiber_set_deadline(before);
        cm_audit_batch_deinit(&s->batch);
        cm_wipe(s, sizeof(*s));
        cm_free(s);
}
