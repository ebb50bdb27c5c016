#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/pg_internal.h"
#include "sys/log.h"

/*
 * Interactive transactions lease a connection of their own, so that nobody's flight waits behind
 * somebody's thinking. A transaction that is left without commit is rolled back by an operation
 * that nobody waits for; the connection is free again when the server has answered it.
 */
struct cm_pg_tx {
        struct cm_pg *pg;
        struct pg_conn *conn;
        bool broken; /* a statement failed or was abandoned: only rollback is left */
};

/* ---- leasing */

static void tx_conn_state(struct pg_conn *conn)
{
        if (conn->state == PG_UP)
                cm_cond_signal(&conn->pg->tx_available);
}

static bool is_leasable(const struct pg_conn *conn)
{
        return conn->state == PG_UP && conn->in_flight_count == 0 && cm_list_is_empty(&conn->link);
}

/* A free connection, or NULL after having begun to open one more. A leased connection is marked by
 * its link being in the list of leases. */
static struct pg_conn *try_lease(struct cm_pg *pg)
{
        for (size_t i = 0; i < pg->config.tx_connections; i++) {
                struct pg_conn *conn = &pg->tx_conns[i];

                if (!conn->pg) {
                        pg_conn_init(conn, pg);
                        conn->on_state = tx_conn_state;
                        pg_conn_open(conn);
                        return NULL;
                }
                if (is_leasable(conn)) {
                        cm_list_append(&pg->tx_leased, &conn->link);
                        return conn;
                }
                if (conn->state == PG_CONNECTING)
                        return NULL;
        }
        return NULL;
}

/* With the server gone nobody should wait for long. */
static bool is_hopeless(const struct cm_pg *pg)
{
        for (size_t i = 0; i < pg->config.tx_connections; i++)
                if (!pg->tx_conns[i].pg || pg->tx_conns[i].state != PG_DOWN)
                        return false;
        return true;
}

static int lease(struct cm_pg *pg, struct pg_conn **conn_r)
{
        int r = 0;

        CM_ASSERT(pg->config.tx_connections);
        while (r == 0 && !(*conn_r = try_lease(pg))) {
                if (is_hopeless(pg))
                        return -CM_E_UNAVAILABLE;
                if (pg->tx_waiting >= pg->config.max_waiting)
                        return -CM_E_OVERLOAD;
                pg->tx_waiting++;
                r = cm_cond_wait(&pg->tx_available);
                pg->tx_waiting--;
        }
        return r;
}

static void give_back(struct pg_conn *conn)
{
        cm_list_remove(&conn->link);
        cm_cond_signal(&conn->pg->tx_available);
}

static void tx_free(struct cm_pg_tx **tx)
{
        cm_free(*tx);
        *tx = NULL;
}

/* ---- statements */

static int run(struct cm_pg_tx *tx, struct pg_op *op)
{
        int r = pg_op_run(tx->conn, op);

        if (r)
                tx->broken = true;
        return r;
}

static int not_sent(struct cm_pg_tx *tx, struct pg_op *op)
{
        pg_op_drop(tx->conn, op);
        tx->broken = true;
        return -CM_E_UNAVAILABLE;
}

static bool is_usable(const struct cm_pg_tx *tx)
{
        return !tx->broken && tx->conn->state == PG_UP;
}

static int add_item(struct cm_pg_tx *tx, struct pg_op *op, const struct cm_pg_flight_item *item)
{
        return item ? pg_op_add(tx->conn, op, item->statement, item->params, item->result_r) : 0;
}

static void forget_result(const struct cm_pg_flight_item *item)
{
        if (item && item->result_r)
                cm_pg_result_clear(item->result_r);
}

/* The scope, after BEGIN when asked for, and a statement that may be NULL. */
static int begin_statement(struct cm_pg_tx *tx, const struct cm_pg_scope *scope, bool with_begin,
                           const struct cm_pg_flight_item *first)
{
        struct pg_waiter waiter = { 0 };
        struct pg_op *op;
        int r = pg_op_prepare_all(tx->conn, first, first ? 1 : 0);

        if (r < 0) {
                tx->broken = true;
                return r;
        }
        cm_wait_init(&waiter.wait);
        op = pg_op_new(pg_op_wake, &waiter);
        if (with_begin)
                r = pg_op_add_sql(tx->conn, op, "BEGIN");
        if (r == 0)
                r = pg_op_scope(tx->conn, op, scope, pg_statement_timeout(tx->pg),
                                (struct pg_planning){ 0 });
        if (r == 0)
                r = add_item(tx, op, first);
        if (r < 0)
                return not_sent(tx, op);
        op->writes = false; /* as in cm_pg_tx_query() */
        r = run(tx, op);
        if (r)
                forget_result(first);
        return r;
}

int cm_pg_begin(struct cm_pg *pg, const struct cm_pg_scope *scope, struct cm_pg_tx **tx_r)
{
        return cm_pg_begin_with(pg, scope, NULL, tx_r);
}

int cm_pg_begin_with(struct cm_pg *pg, const struct cm_pg_scope *scope,
                     const struct cm_pg_flight_item *first, struct cm_pg_tx **tx_r)
{
        struct cm_pg_tx *tx;
        struct pg_conn *conn;
        int r;

        if (first && first->result_r)
                *first->result_r = (struct cm_pg_result){ 0 };
        r = lease(pg, &conn);
        if (r < 0)
                return r;
        tx = CM_NEW(struct cm_pg_tx);
        tx->pg = pg;
        tx->conn = conn;
        r = begin_statement(tx, scope, true, first);
        if (r) {
                cm_pg_rollback(&tx);
                return r;
        }
        *tx_r = tx;
        return 0;
}

int cm_pg_tx_scope(struct cm_pg_tx *tx, const struct cm_pg_scope *scope)
{
        return is_usable(tx) ? begin_statement(tx, scope, false, NULL) : -CM_E_UNAVAILABLE;
}

int cm_pg_tx_query(struct cm_pg_tx *tx, const struct cm_pg_statement *statement,
                   const struct cm_pg_params *params, struct cm_pg_result *result_r)
{
        struct pg_waiter waiter = { 0 };
        struct pg_op *op;
        int r;

        CM_ASSERT(!statement->by_index);
        if (result_r)
                *result_r = (struct cm_pg_result){ 0 };
        if (!is_usable(tx))
                return -CM_E_UNAVAILABLE;
        r = pg_op_prepare(tx->conn, statement);
        if (r < 0) {
                tx->broken = true;
                return r;
        }
        cm_wait_init(&waiter.wait);
        op = pg_op_new(pg_op_wake, &waiter);
        r = pg_op_add(tx->conn, op, statement, params, result_r);
        if (r < 0)
                return not_sent(tx, op);
        /* Nothing is durable before the commit: a lost answer here is a lost transaction. */
        op->writes = false;
        r = run(tx, op);
        if (r && result_r)
                cm_pg_result_clear(result_r);
        return r;
}

int cm_pg_tx_exec(struct cm_pg_tx *tx, const char *sql)
{
        struct pg_waiter waiter = { 0 };
        struct pg_op *op;
        int r;

        if (!is_usable(tx))
                return -CM_E_UNAVAILABLE;
        cm_wait_init(&waiter.wait);
        op = pg_op_new(pg_op_wake, &waiter);
        r = pg_op_add_sql(tx->conn, op, sql);
        return r < 0 ? not_sent(tx, op) : run(tx, op);
}

int cm_pg_savepoint(struct cm_pg_tx *tx)
{
        return cm_pg_tx_exec(tx, "SAVEPOINT cm");
}

int cm_pg_rollback_to_savepoint(struct cm_pg_tx *tx)
{
        /* A statement that failed left the transaction aborted; one that was abandoned is over by
         * the time the server reads this. */
        tx->broken = false;
        return cm_pg_tx_exec(tx, "ROLLBACK TO SAVEPOINT cm");
}

/* ---- ending */

static int send_commit(struct cm_pg_tx *tx, const struct cm_pg_flight_item *last,
                       struct pg_waiter *waiter)
{
        struct pg_op *op = pg_op_new(pg_op_wake, waiter);
        int r = add_item(tx, op, last);

        if (r == 0)
                r = pg_op_add_sql(tx->conn, op, "COMMIT");
        if (r < 0)
                return not_sent(tx, op);
        op->writes = true;
        return pg_op_run(tx->conn, op);
}

int cm_pg_commit(struct cm_pg_tx **tx)
{
        return cm_pg_commit_with(tx, NULL);
}

int cm_pg_commit_with(struct cm_pg_tx **tx, const struct cm_pg_flight_item *last)
{
        struct cm_pg_tx *it = *tx;
        struct pg_waiter waiter = { 0 };
        int r;

        if (last && last->result_r)
                *last->result_r = (struct cm_pg_result){ 0 };
        if (!is_usable(it) || (last && pg_op_prepare(it->conn, last->statement) < 0)) {
                cm_pg_rollback(tx);
                return -CM_E_UNAVAILABLE;
        }
        cm_wait_init(&waiter.wait);
        r = send_commit(it, last, &waiter);
        if (r == 0 && !waiter.committed) {
                cm_log(CM_LOG_ERROR, "postgres rolled back a commit");
                r = -CM_E_DATABASE;
        }
        /* Unanswered, the connection is free when the answer has come; and when the last statement
         * was refused the server skipped the COMMIT. */
        if ((r < 0 && !waiter.wait.answered) || (r && last))
                it->broken = true;
        if (r)
                forget_result(last);
        if (it->broken)
                cm_pg_rollback(tx);
        else
                give_back(it->conn);
        tx_free(tx);
        return r;
}

static void rolled_back(struct pg_op *op, int r CM_UNUSED)
{
        give_back(op->arg);
}

void cm_pg_rollback(struct cm_pg_tx **tx)
{
        struct cm_pg_tx *it = *tx;
        struct pg_op *op;

        if (!it)
                return;
        if (it->conn->copying)
                pg_conn_fail(it->conn, "COPY was left");
        if (it->conn->state != PG_UP) {
                give_back(it->conn);
                tx_free(tx);
                return;
        }
        op = pg_op_new(rolled_back, it->conn);
        op->is_own = true;
        if (pg_op_add_sql(it->conn, op, "ROLLBACK") < 0) {
                pg_op_drop(it->conn, op);
                give_back(it->conn);
        } else if (pg_op_send(it->conn, op) < 0) {
                give_back(it->conn);
        }
        tx_free(tx);
}

/* ---- COPY: libpq has it outside of pipeline mode only */

static int copy_wait(struct pg_conn *conn)
{
        struct cm_wait wait;
        int r;

        cm_wait_init(&wait);
        conn->copy_wait = &wait;
        r = cm_wait_for(&wait);
        conn->copy_wait = NULL;
        return r;
}

static int flush_all(struct pg_conn *conn)
{
        int r;

        while ((r = PQflush(conn->handle)) == 1) {
                cm_watch_set(conn->watch, CM_READABLE | CM_WRITABLE);
                r = copy_wait(conn);
                if (r < 0)
                        return r;
                if (conn->state != PG_UP)
                        return -CM_E_UNAVAILABLE;
        }
        cm_watch_set(conn->watch, CM_READABLE);
        return r < 0 ? -CM_E_UNAVAILABLE : 0;
}

static int next_result(struct pg_conn *conn, PGresult **result_r)
{
        while (PQisBusy(conn->handle)) {
                int r = copy_wait(conn);

                if (r < 0)
                        return r;
                if (conn->state != PG_UP)
                        return -CM_E_UNAVAILABLE;
        }
        *result_r = PQgetResult(conn->handle);
        return 0;
}

static int copy_failed(struct cm_pg_tx *tx, int r)
{
        tx->broken = true;
        return r;
}

int cm_pg_copy_start(struct cm_pg_tx *tx, const char *copy_sql)
{
        struct pg_conn *conn = tx->conn;
        PGresult *result = NULL;
        int r;

        if (!is_usable(tx))
                return -CM_E_UNAVAILABLE;
        CM_ASSERT(conn->in_flight_count == 0);
        if (!PQexitPipelineMode(conn->handle))
                return copy_failed(tx, -CM_E_INTERNAL);
        conn->copying = true;
        if (!PQsendQuery(conn->handle, copy_sql))
                return copy_failed(tx, -CM_E_UNAVAILABLE);
        r = flush_all(conn);
        if (r == 0)
                r = next_result(conn, &result);
        if (r < 0)
                return copy_failed(tx, r);
        if (PQresultStatus(result) != PGRES_COPY_IN)
                r = copy_failed(tx, pg_result_error(result, "copy"));
        PQclear(result);
        return r;
}

int cm_pg_copy_put(struct cm_pg_tx *tx, struct cm_str bytes)
{
        int r;

        if (!is_usable(tx))
                return -CM_E_UNAVAILABLE;
        tx->conn->progress_us = cm_monotonic_us();
        if (PQputCopyData(tx->conn->handle, bytes.data, (int)bytes.len) < 0)
                return copy_failed(tx, -CM_E_UNAVAILABLE);
        r = flush_all(tx->conn);
        return r < 0 ? copy_failed(tx, r) : 0;
}

/* The result of the whole COPY, then the end of results. */
static int copy_results(struct pg_conn *conn, int64_t *rows_r)
{
        PGresult *result = NULL;
        int failed = 0;
        int r;

        while ((r = next_result(conn, &result)) == 0 && result) {
                if (PQresultStatus(result) == PGRES_COMMAND_OK)
                        (void)cm_str_to_int(cm_str_from(PQcmdTuples(result)), rows_r);
                else
                        failed = pg_result_error(result, "copy");
                PQclear(result);
        }
        return r < 0 ? r : failed;
}

int cm_pg_copy_end(struct cm_pg_tx *tx, int64_t *rows_r)
{
        struct pg_conn *conn = tx->conn;
        int64_t rows = 0;
        int r;

        if (!is_usable(tx))
                return -CM_E_UNAVAILABLE;
        if (PQputCopyEnd(conn->handle, NULL) < 0)
                return copy_failed(tx, -CM_E_UNAVAILABLE);
        r = flush_all(conn);
        if (r == 0)
                r = copy_results(conn, &rows);
        if (r < 0)
                return copy_failed(tx, r);
        conn->copying = false;
        if (!PQenterPipelineMode(conn->handle))
                return copy_failed(tx, -CM_E_INTERNAL);
        if (r > 0)
                return copy_failed(tx, r);
        if (rows_r)
                *rows_r = rows;
        return 0;
}
