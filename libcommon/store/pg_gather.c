#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/pg_internal.h"

/*
 * Gathered writes. A row waits until a statement is free to take it; the first free one takes all
 * that wait, up to max_rows. So a lone request leaves at once, and under load the statements grow
 * by themselves: the cost of a commit is shared by as many as came during the one before.
 *
 * A statement that the server refused for one of its rows refused all of them. Its rows then go
 * again as statements of one row each, and each caller gets the answer to its own.
 */

struct slot {
        struct cm_list link;
        void *row; /* NULL: nobody waits for it any more */
        struct cm_uuid user;
        struct cm_wait *wait;
};

struct batch {
        struct cm_pg_gather *gather;
        size_t count;
        bool alone; /* a retry of one row */
        struct cm_pg_result result;
        struct slot *slots[];
};

struct cm_pg_gather {
        struct cm_pg *pg;
        struct cm_pg_gather_spec spec;
        struct cm_list waiting;
        size_t waiting_count;
        size_t in_flight;
        bool scheduled;
};

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

static struct batch *batch_new(struct cm_pg_gather *gather, size_t room)
{
        struct batch *batch = cm_alloc(sizeof(*batch) + room * sizeof(struct slot *));

        batch->gather = gather;
        return batch;
}

static void send(struct batch *batch);

static void retry_one_by_one(struct batch *batch)
{
        for (size_t i = 0; i < batch->count; i++) {
                struct batch *one;

                if (!batch->slots[i]->row) { /* its caller has left, and with it what to send */
                        cm_free(batch->slots[i]);
                        continue;
                }
                one = batch_new(batch->gather, 1);
                one->slots[one->count++] = batch->slots[i];
                one->alone = true;
                send(one);
        }
        batch->count = 0;
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
        bool is_refused = r > 0 || r == -CM_E_DATABASE;

        gather->in_flight--;
        if (r == 0)
                answer_all(batch);
        else if (is_refused && !batch->alone && batch->count > 1)
                retry_one_by_one(batch);
        else
                all_done(batch, r);
        batch_free(batch);
        if (gather->waiting_count)
                schedule(gather);
}

static int fill(struct pg_conn *conn, struct pg_op *op, struct batch *batch)
{
        const struct cm_pg_gather_spec *spec = &batch->gather->spec;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        void **rows = cm_alloc_array(batch->count, sizeof(void *));
        struct cm_uuid *users = cm_alloc_array(batch->count, sizeof(struct cm_uuid));
        struct cm_pg_scope scope = { users, batch->count, NULL };
        int r;

        for (size_t i = 0; i < batch->count; i++) {
                rows[i] = batch->slots[i]->row;
                users[i] = batch->slots[i]->user;
        }
        spec->encode(rows, batch->count, &params);
        r = pg_op_scope(conn, op, &scope, conn->pg->config.statement_timeout_us, false);
        if (r == 0)
                r = pg_op_add(conn, op, spec->statement, &params, &batch->result);
        cm_free(rows);
        cm_free(users);
        return r;
}

static void send(struct batch *batch)
{
        const struct cm_pg_flight_item item = { batch->gather->spec.statement, NULL, NULL };
        struct pg_conn *conn = pg_least_busy(batch->gather->pg);
        struct pg_op *op;
        int r = conn ? pg_op_prepare_all(conn, &item, 1) : -CM_E_UNAVAILABLE;

        if (r < 0) {
                all_done(batch, r);
                batch_free(batch);
                return;
        }
        op = pg_op_new(on_done, batch);
        r = fill(conn, op, batch);
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
}

/* The first statement leaves with whatever there is. A further one beside it only pays when it is
 * wide: a commit costs the same for one row as for a hundred, and while it waits it widens. */
static bool may_send(const struct cm_pg_gather *gather)
{
        size_t enough = gather->in_flight ? gather->spec.max_rows / 8 : 1;

        return gather->in_flight < gather->spec.max_in_flight && gather->waiting_count >= enough;
}

static void dispatch(void *arg)
{
        struct cm_pg_gather *gather = arg;

        gather->scheduled = false;
        while (may_send(gather)) {
                size_t room = gather->waiting_count < gather->spec.max_rows ? gather->waiting_count
                                                                            : gather->spec.max_rows;
                struct batch *batch = batch_new(gather, room);

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
