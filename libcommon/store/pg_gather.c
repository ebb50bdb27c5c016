#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/pg_internal.h"

/*
 * Gathered writes. A row waits until a statement is free to take it; the first free one takes all
 * that wait, up to max_rows. So a lone request leaves at once, and under load the statements grow
 * by themselves: the cost of a commit is shared by as many as came during the one before.
 *
 * A statement that the server refused for one of its rows refused all of them. If a claim was not
 * to be had, a look tells whose, and the others go again; if a row was there already, all go again
 * by the statement that expects this, and so do the next ones. After any other refusal the rows go
 * one by one, and each caller gets the answer to its own.
 */

#define CAREFUL_FOR 32 /* statements after one that met what was there already */

enum kind {
        TOGETHER, /* by spec.statement and spec.beside */
        CAREFUL,  /* by spec.careful */
        LOOK,     /* asks whose claims are taken, and writes nothing */
        ALONE,    /* one row of a batch that was refused */
};

struct slot {
        struct cm_list link;
        void *row; /* NULL: nobody waits for it any more */
        struct cm_uuid user;
        struct cm_wait *wait;
};

struct batch {
        struct cm_pg_gather *gather;
        size_t count;
        enum kind kind;
        bool has_looked;
        struct cm_pg_result result;
        struct slot *slots[];
};

struct cm_pg_gather {
        struct cm_pg *pg;
        struct cm_pg_gather_spec spec;
        struct cm_list waiting;
        size_t waiting_count;
        size_t in_flight;
        size_t rows_in_flight;
        size_t careful_left; /* so many statements expect what is there already */
        bool scheduled;
};

static void prepare_ahead(const struct cm_pg_gather *gather)
{
        const struct cm_pg_gather_spec *spec = &gather->spec;
        const struct cm_pg_statement *statements[] = {
                spec->claim ? &cm_pg_claim : NULL,
                spec->statement,
                spec->beside.statement,
                spec->careful.statement,
        };

        for (size_t i = 0; i < CM_COUNT(statements); i++)
                if (statements[i])
                        cm_pg_prepare_ahead(gather->pg, statements[i]);
}

int cm_pg_gather_new(struct cm_pg *pg, const struct cm_pg_gather_spec *spec,
                     struct cm_pg_gather **gather_r)
{
        struct cm_pg_gather *gather = CM_NEW(struct cm_pg_gather);

        gather->pg = pg;
        gather->spec = *spec;
        if (!gather->spec.max_rows)
                gather->spec.max_rows = 128;
        if (!gather->spec.max_in_flight)
                gather->spec.max_in_flight = pg->config.connections;
        cm_list_init(&gather->waiting);
        prepare_ahead(gather);
        *gather_r = gather;
        return 0;
}

void cm_pg_gather_free(struct cm_pg_gather **gather)
{
        if (!*gather)
                return;
        CM_ASSERT(!(*gather)->in_flight && !(*gather)->waiting_count);
        cm_free(*gather);
        *gather = NULL;
}

static void schedule(struct cm_pg_gather *gather);

static void slot_done(struct slot *slot, int r)
{
        if (slot->row)
                cm_wait_done(slot->wait, r);
        cm_free(slot);
}

static void all_done(struct batch *batch, int r)
{
        for (size_t i = 0; i < batch->count; i++)
                slot_done(batch->slots[i], r);
        batch->count = 0;
}

static void answer_all(struct batch *batch)
{
        const struct cm_pg_gather_spec *spec = &batch->gather->spec;

        for (size_t i = 0; i < batch->count; i++) {
                struct slot *slot = batch->slots[i];
                int r = slot->row ? spec->answer(slot->row, i, &batch->result) : 0;

                slot_done(slot, r);
        }
        batch->count = 0;
        if (spec->committed)
                spec->committed(spec->arg);
}

static struct batch *batch_new(struct cm_pg_gather *gather, size_t room, enum kind kind)
{
        struct batch *batch = cm_alloc(sizeof(*batch) + room * sizeof(struct slot *));

        batch->gather = gather;
        batch->kind = kind;
        return batch;
}

static void send(struct batch *batch);

/* The rows whose callers still wait, in a batch of their own; the others' are gone. */
static void send_again(struct batch *batch, enum kind kind, bool has_looked)
{
        struct batch *again = batch_new(batch->gather, batch->count, kind);

        for (size_t i = 0; i < batch->count; i++)
                if (batch->slots[i] && batch->slots[i]->row)
                        again->slots[again->count++] = batch->slots[i];
                else
                        cm_free(batch->slots[i]);
        batch->count = 0;
        again->has_looked = has_looked;
        if (again->count)
                send(again);
        else
                cm_free(again);
}

static void retry_one_by_one(struct batch *batch)
{
        for (size_t i = 0; i < batch->count; i++) {
                struct batch *one;

                if (!batch->slots[i]->row) { /* its caller has left, and with it what to send */
                        cm_free(batch->slots[i]);
                        continue;
                }
                one = batch_new(batch->gather, 1, ALONE);
                one->slots[one->count++] = batch->slots[i];
                send(one);
        }
        batch->count = 0;
}

/* The look has named those whose claims are taken. */
static void part(struct batch *batch)
{
        for (int i = 0; i < batch->result.rows; i++) {
                size_t place = (size_t)cm_pg_int(&batch->result, i, 0) - 1;

                slot_done(batch->slots[place], CM_PG_LOCKED);
                batch->slots[place] = NULL;
        }
        send_again(batch, TOGETHER, true);
}

static void refused(struct batch *batch, int r)
{
        struct cm_pg_gather *gather = batch->gather;

        if (r == CM_PG_DUPLICATE && batch->kind == TOGETHER && gather->spec.careful.statement) {
                gather->careful_left = CAREFUL_FOR;
                send_again(batch, CAREFUL, batch->has_looked);
        } else if (batch->count == 1) {
                all_done(batch, r);
        } else if (r == CM_PG_LOCKED && !batch->has_looked) {
                send_again(batch, LOOK, true);
        } else {
                retry_one_by_one(batch);
        }
}

static void batch_free(struct batch *batch)
{
        cm_pg_result_clear(&batch->result);
        cm_free(batch);
}

static void on_done(struct pg_op *op, int r)
{
        struct batch *batch = op->arg;
        struct cm_pg_gather *gather = batch->gather;

        gather->in_flight--;
        gather->rows_in_flight -= batch->count;
        if (r == 0 && batch->kind == LOOK)
                part(batch);
        else if (r == 0)
                answer_all(batch);
        else if ((r > 0 || r == -CM_E_DATABASE) && batch->kind != ALONE)
                refused(batch, r);
        else
                all_done(batch, r);
        batch_free(batch);
        if (gather->waiting_count)
                schedule(gather);
}

static const struct cm_pg_statement look_statement = {
        .name = "cm_claims_look",
        .sql = "SELECT place::int4 FROM unnest($1::int8[]) WITH ORDINALITY AS t(lock, place)"
               " WHERE NOT pg_try_advisory_xact_lock(lock)",
};

static void encode_claims(const struct cm_pg_gather *gather, void *const *rows, size_t count,
                          struct cm_pg_params *params)
{
        cm_pg_array_begin(params, CM_PG_INT8_ARRAY);
        for (size_t i = 0; i < count; i++) {
                int64_t lock;

                if (gather->spec.claim(rows[i], &lock))
                        cm_pg_array_int(params, lock);
                else
                        cm_pg_array_null(params);
        }
        cm_pg_array_end(params);
}

/* The statements of a batch, in order, in one transaction. */
static size_t parts_of(const struct batch *batch, struct cm_pg_gather_part parts[3])
{
        const struct cm_pg_gather_spec *spec = &batch->gather->spec;
        bool is_careful = spec->careful.statement && batch->kind != TOGETHER;
        size_t count = 0;

        if (batch->kind == LOOK) {
                parts[count++].statement = &look_statement;
                return count;
        }
        if (spec->claim)
                parts[count++].statement = &cm_pg_claim;
        parts[count++] = is_careful ? spec->careful
                                    : (struct cm_pg_gather_part){ spec->statement, spec->encode };
        if (!is_careful && spec->beside.statement)
                parts[count++] = spec->beside;
        return count;
}

static int add_part(struct pg_conn *conn, struct pg_op *op, struct batch *batch,
                    const struct cm_pg_gather_part *part, void *const *rows)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        const struct cm_pg_gather_spec *spec = &batch->gather->spec;
        bool is_answer =
                part->statement != &cm_pg_claim && part->statement != spec->beside.statement;

        if (part->encode)
                part->encode(rows, batch->count, &params);
        else
                encode_claims(batch->gather, rows, batch->count, &params);
        return pg_op_add(conn, op, part->statement, &params, is_answer ? &batch->result : NULL);
}

static int fill(struct pg_conn *conn, struct pg_op *op, struct batch *batch,
                const struct cm_pg_gather_part *parts, size_t part_count)
{
        void **rows = cm_alloc_array(batch->count, sizeof(void *));
        struct cm_uuid *users = cm_alloc_array(batch->count, sizeof(struct cm_uuid));
        const struct cm_pg_gather_spec *spec = &batch->gather->spec;
        struct cm_pg_scope scope = { users, spec->user ? batch->count : 0, spec->role };
        int r;

        for (size_t i = 0; i < batch->count; i++) {
                rows[i] = batch->slots[i]->row;
                users[i] = batch->slots[i]->user;
        }
        r = pg_op_scope(
                conn, op, &scope, conn->pg->config.statement_timeout_us,
                (struct pg_planning){ .by_index = spec->statement->by_index, .once = true });
        for (size_t i = 0; i < part_count && r == 0; i++)
                r = add_part(conn, op, batch, &parts[i], rows);
        cm_free(rows);
        cm_free(users);
        return r;
}

static int prepare(struct pg_conn *conn, const struct cm_pg_gather_part *parts, size_t count)
{
        int r = pg_op_prepare_all(conn, NULL, 0);

        for (size_t i = 0; i < count && r == 0; i++)
                r = pg_op_prepare(conn, parts[i].statement);
        return r;
}

static void send(struct batch *batch)
{
        struct cm_pg_gather_part parts[3] = { 0 };
        size_t count = parts_of(batch, parts);
        struct pg_conn *conn = pg_least_busy(batch->gather->pg);
        struct pg_op *op;
        int r = conn ? prepare(conn, parts, count) : -CM_E_UNAVAILABLE;

        if (r < 0) {
                all_done(batch, r);
                batch_free(batch);
                return;
        }
        op = pg_op_new(on_done, batch);
        r = fill(conn, op, batch, parts, count);
        if (r < 0)
                pg_op_drop(conn, op);
        else
                r = pg_op_send(conn, op);
        if (r < 0) {
                all_done(batch, r);
                batch_free(batch);
                return;
        }
        batch->gather->in_flight++;
        batch->gather->rows_in_flight += batch->count;
}

/* The first statement leaves with whatever there is. A further one beside it only pays when it is
 * wide: a commit costs the same for one row as for a hundred, and while it waits it widens. As wide
 * as those in flight are, so that they share what comes evenly: one is being written down while the
 * other waits for its disk. */
static bool may_send(const struct cm_pg_gather *gather)
{
        size_t enough = gather->spec.max_rows / 8;

        if (!gather->in_flight)
                enough = 1;
        else if (enough < gather->rows_in_flight / gather->in_flight)
                enough = gather->rows_in_flight / gather->in_flight;
        return gather->in_flight < gather->spec.max_in_flight && gather->waiting_count >= enough;
}

static void dispatch(void *arg)
{
        struct cm_pg_gather *gather = arg;

        gather->scheduled = false;
        while (may_send(gather)) {
                size_t room = gather->waiting_count < gather->spec.max_rows ? gather->waiting_count
                                                                            : gather->spec.max_rows;
                struct batch *batch =
                        batch_new(gather, room, gather->careful_left ? CAREFUL : TOGETHER);

                if (gather->careful_left)
                        gather->careful_left--;
                while (batch->count < room) {
                        struct cm_list *node = cm_list_pop(&gather->waiting);

                        batch->slots[batch->count++] = CM_CONTAINER(node, struct slot, link);
                        gather->waiting_count--;
                }
                send(batch);
        }
}

/* At the end of the turn, so that all requests of one turn leave together. */
static void schedule(struct cm_pg_gather *gather)
{
        if (gather->scheduled || !may_send(gather))
                return;
        gather->scheduled = true;
        cm_loop_defer(gather->pg->loop, dispatch, gather);
}

static bool is_waiting(const struct slot *slot)
{
        return !cm_list_is_empty(&slot->link);
}

int cm_pg_gather_row(struct cm_pg_gather *gather, void *row)
{
        struct cm_wait wait;
        struct slot *slot;
        int r;

        if (gather->waiting_count >= gather->pg->config.max_waiting)
                return -CM_E_OVERLOAD;
        slot = CM_NEW(struct slot);
        cm_wait_init(&wait);
        slot->row = row;
        slot->wait = &wait;
        if (gather->spec.user)
                slot->user = *gather->spec.user(row);
        cm_list_append(&gather->waiting, &slot->link);
        gather->waiting_count++;
        schedule(gather);

        r = cm_wait_for(&wait);
        if (wait.answered)
                return r;
        if (is_waiting(slot)) {
                cm_list_remove(&slot->link);
                gather->waiting_count--;
                cm_free(slot);
                return r;
        }
        slot->row = NULL; /* on its way: it may become durable all the same */
        return -CM_E_UNCERTAIN;
}
