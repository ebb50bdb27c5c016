#include "store/pg.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/pg_internal.h"
#include "sys/log.h"

/* ---- what errors mean */

static const struct {
        const char *state; /* a whole SQLSTATE, or its class of two characters */
        int meaning;
} meanings[] = {
        { "23505", CM_PG_DUPLICATE }, { "23503", CM_PG_REFERENCE },   { "23502", CM_PG_REFUSED },
        { "23514", CM_PG_REFUSED },   { "42501", CM_PG_REFUSED },     { "40001", CM_PG_RETRY },
        { "40P01", CM_PG_RETRY },     { "57014", -CM_E_DEADLINE },    { "55P03", -CM_E_DEADLINE },
        { "22012", CM_PG_LOCKED }, /* division by zero: cm_pg_claim's */
        { "22", CM_PG_REFUSED },      { "53", -CM_E_UNAVAILABLE },    { "57P", -CM_E_UNAVAILABLE },
        { "08", -CM_E_UNAVAILABLE },  { "25006", -CM_E_UNAVAILABLE },
};

int pg_result_error(const PGresult *result, const char *statement)
{
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

        for (size_t i = 0; state && i < CM_COUNT(meanings); i++)
                if (strncmp(state, meanings[i].state, strlen(meanings[i].state)) == 0)
                        return meanings[i].meaning;
        cm_log(CM_LOG_ERROR, "postgres refused a statement", CM_F_TEXT("statement", statement),
               CM_F_TEXT("sqlstate", state),
               CM_F_TEXT("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
        return -CM_E_DATABASE;
}

/* ---- the pool */

int cm_pg_new(struct cm_loop *loop, const struct cm_pg_config *config, struct cm_pg **pg_r)
{
        struct cm_pg *pg = CM_NEW(struct cm_pg);

        pg->loop = loop;
        pg->config = *config;
        if (!pg->config.connections)
                pg->config.connections = 2;
        if (!pg->config.max_waiting)
                pg->config.max_waiting = 4096;
        if (!pg->config.connect_timeout_us)
                pg->config.connect_timeout_us = 5 * CM_SECOND;
        if (!pg->config.backoff_max_us)
                pg->config.backoff_max_us = 2 * CM_SECOND;
        if (!pg->config.statement_timeout_us)
                pg->config.statement_timeout_us = 30 * CM_SECOND;
        if (!pg->config.stall_timeout_us)
                pg->config.stall_timeout_us = 60 * CM_SECOND;
        cm_list_init(&pg->tx_leased);
        cm_cond_init(&pg->tx_available);
        pg->conns = cm_alloc_array(pg->config.connections, sizeof(struct pg_conn));
        pg->tx_conns = cm_alloc_array(pg->config.tx_connections + 1, sizeof(struct pg_conn));
        for (size_t i = 0; i < pg->config.connections; i++) {
                pg_conn_init(&pg->conns[i], pg);
                pg->conns[i].on_state = pg_prepare_ahead;
                pg_conn_open(&pg->conns[i]);
        }
        *pg_r = pg;
        return 0;
}

void cm_pg_free(struct cm_pg **pg)
{
        struct cm_pg *it = *pg;

        if (!it)
                return;
        for (size_t i = 0; i < it->config.connections; i++)
                pg_conn_deinit(&it->conns[i]);
        for (size_t i = 0; i < it->config.tx_connections; i++)
                if (it->tx_conns[i].pg)
                        pg_conn_deinit(&it->tx_conns[i]);
        if (it->listen_conn) {
                pg_conn_deinit(it->listen_conn);
                cm_free(it->listen_conn);
        }
        cm_free(it->conns);
        cm_free(it->tx_conns);
        cm_free(it);
        *pg = NULL;
}

struct pg_conn *pg_least_busy(struct cm_pg *pg)
{
        struct pg_conn *best = NULL;

        for (size_t i = 0; i < pg->config.connections; i++) {
                struct pg_conn *conn = &pg->conns[i];

                if (conn->state == PG_UP &&
                    (!best || conn->in_flight_count < best->in_flight_count))
                        best = conn;
        }
        return best;
}

bool cm_pg_is_ready(const struct cm_pg *pg)
{
        for (size_t i = 0; i < pg->config.connections; i++)
                if (pg->conns[i].state == PG_UP)
                        return true;
        return false;
}

int64_t pg_statement_timeout(const struct cm_pg *pg)
{
        int64_t deadline = cm_fiber_deadline_us();
        int64_t left = deadline == CM_NEVER ? CM_NEVER : deadline - cm_monotonic_us();

        return left < pg->config.statement_timeout_us ? left : pg->config.statement_timeout_us;
}

/* ---- scope */

static const struct cm_pg_statement set_scope = {
        .name = "cm_scope",
        .sql = "SELECT set_config('app.users', $1::text, true), set_config('app.role', $2::text, "
               "true),"
               " set_config('statement_timeout', $3::text, true),"
               " set_config('enable_sort', $4::text, true),"
               " set_config('plan_cache_mode', $5::text, true)",
};

/* An error ends the whole flight at once, wherever the next statements would have waited; that of a
 * division is the one that a statement can raise without a function of its own. */
const struct cm_pg_statement cm_pg_claim = {
        .name = "cm_claim",
        .sql = "SELECT 1 / bool_and(pg_try_advisory_xact_lock(lock))::int4"
               " FROM unnest($1::int8[]) AS t(lock)",
};

/* The server's limit lies a little before ours, so that its answer, which is certain, comes first.
 */
static void put_timeout(struct cm_pg_params *params, int64_t timeout_us)
{
        int64_t ms = timeout_us / CM_MILLISECOND * 9 / 10;
        char text[24];

        snprintf(text, sizeof(text), "%lld", (long long)(ms > 0 ? ms : 1));
        cm_pg_put_text(params, cm_str_from(text));
}

static void put_users(struct cm_pg_params *params, const struct cm_pg_scope *scope)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf list = { 0 };
        char text[CM_UUID_TEXT_SIZE];

        cm_buf_add_char(&list, '{');
        for (size_t i = 0; scope && i < scope->count; i++) {
                if (i)
                        cm_buf_add_char(&list, ',');
                cm_buf_add(&list, cm_uuid_format(&scope->users[i], text), CM_UUID_TEXT_SIZE - 1);
        }
        cm_buf_add_char(&list, '}');
        cm_pg_put_text(params, cm_buf_str(&list));
}

int pg_op_scope(struct pg_conn *conn, struct pg_op *op, const struct cm_pg_scope *scope,
                int64_t timeout_us, struct pg_planning planning)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        put_users(&params, scope);
        cm_pg_put_text(&params, cm_str_from(scope && scope->role ? scope->role : "user"));
        put_timeout(&params, timeout_us);
        cm_pg_put_text(&params, planning.by_index ? CM_STR("off") : CM_STR("on"));
        cm_pg_put_text(&params, planning.once ? CM_STR("force_generic_plan") : CM_STR("auto"));
        return pg_op_add(conn, op, &set_scope, &params, NULL);
}

int pg_op_prepare_all(struct pg_conn *conn, const struct cm_pg_flight_item *items, size_t count)
{
        int r = pg_op_prepare(conn, &set_scope);

        for (size_t i = 0; i < count && r == 0; i++)
                r = pg_op_prepare(conn, items[i].statement);
        return r;
}

void pg_prepare_ahead(struct pg_conn *conn)
{
        struct cm_pg *pg = conn->pg;
        int r = 0;

        for (size_t i = 0; i < pg->ahead_count && r == 0 && conn->state == PG_UP; i++)
                r = pg_op_prepare_all(conn, &(struct cm_pg_flight_item){ pg->ahead[i] }, 1);
}

void cm_pg_prepare_ahead(struct cm_pg *pg, const struct cm_pg_statement *statement)
{
        CM_ASSERT(pg->ahead_count < CM_COUNT(pg->ahead));
        pg->ahead[pg->ahead_count++] = statement;
        for (size_t i = 0; i < pg->config.connections; i++)
                pg_prepare_ahead(&pg->conns[i]);
}

/* ---- flights */

void pg_op_wake(struct pg_op *op, int r)
{
        struct pg_waiter *waiter = op->arg;

        waiter->failed = op->failed;
        waiter->committed = op->tag.data && strcmp(op->tag.data, "COMMIT") == 0;
        cm_wait_done(&waiter->wait, r);
}

int pg_op_run(struct pg_conn *conn, struct pg_op *op)
{
        struct pg_waiter *waiter = op->arg;
        bool writes = op->writes;
        int r = pg_op_send(conn, op);

        if (r < 0)
                return r;
        r = cm_wait_for(&waiter->wait);
        if (waiter->wait.answered)
                return r;
        /* The deadline or a cancel came first. The server stops by its own clock. */
        op->done = NULL;
        return writes ? -CM_E_UNCERTAIN : r;
}

static bool is_by_index(const struct cm_pg_flight_item *items, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (items[i].statement->by_index)
                        return true;
        return false;
}

static int fill_flight(struct pg_conn *conn, struct pg_op *op, const struct cm_pg_scope *scope,
                       const struct cm_pg_flight_item *items, size_t count)
{
        int r = pg_op_scope(conn, op, scope, pg_statement_timeout(conn->pg),
                            (struct pg_planning){ .by_index = is_by_index(items, count) });

        for (size_t i = 0; i < count && r == 0; i++)
                r = pg_op_add(conn, op, items[i].statement, items[i].params, items[i].result_r);
        return r;
}

static void clear_results(const struct cm_pg_flight_item *items, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (items[i].result_r)
                        cm_pg_result_clear(items[i].result_r);
}

static int may_start(struct cm_pg *pg, struct pg_conn **conn_r)
{
        if (cm_fiber_deadline_us() <= cm_monotonic_us())
                return -CM_E_DEADLINE;
        *conn_r = pg_least_busy(pg);
        if (!*conn_r)
                return -CM_E_UNAVAILABLE;
        return pg->in_flight >= pg->config.max_waiting ? -CM_E_OVERLOAD : 0;
}

int cm_pg_flight(struct cm_pg *pg, const struct cm_pg_scope *scope,
                 const struct cm_pg_flight_item *items, size_t count, size_t *failed_r)
{
        struct pg_waiter waiter = { 0 };
        struct pg_conn *conn;
        struct pg_op *op;
        int r = may_start(pg, &conn);

        for (size_t i = 0; i < count; i++)
                if (items[i].result_r)
                        *items[i].result_r = (struct cm_pg_result){ 0 };
        if (r == 0)
                r = pg_op_prepare_all(conn, items, count);
        if (r < 0)
                return r;
        cm_wait_init(&waiter.wait);
        op = pg_op_new(pg_op_wake, &waiter);
        r = fill_flight(conn, op, scope, items, count);
        if (r < 0) {
                pg_op_drop(conn, op);
                return r;
        }
        r = pg_op_run(conn, op);
        if (r)
                clear_results(items, count);
        if (failed_r)
                *failed_r = waiter.failed ? waiter.failed - 1 : 0;
        return r;
}

int cm_pg_query(struct cm_pg *pg, const struct cm_pg_scope *scope,
                const struct cm_pg_statement *statement, const struct cm_pg_params *params,
                struct cm_pg_result *result_r)
{
        const struct cm_pg_flight_item item = { statement, params, result_r };

        return cm_pg_flight(pg, scope, &item, 1, NULL);
}

/* ---- notifications */

static void listen_state(struct pg_conn *conn)
{
        struct cm_pg *pg = conn->pg;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf sql = { 0 };
        struct pg_op *op;

        if (conn->state != PG_UP)
                return;
        op = pg_op_new(NULL, NULL);
        for (size_t i = 0; i < pg->listener_count; i++) {
                cm_buf_reset(&sql);
                cm_buf_printf(&sql, "LISTEN \"%s\"", pg->listeners[i].channel);
                if (pg_op_add_sql(conn, op, sql.data) < 0) {
                        pg_op_drop(conn, op);
                        return;
                }
                op->names[i] = "listen";
        }
        if (pg_op_send(conn, op) < 0)
                return;
        for (size_t i = 0; i < pg->listener_count; i++)
                pg->listeners[i].fn(pg->listeners[i].arg);
}

int cm_pg_listen(struct cm_pg *pg, const char *channel, cm_loop_fn *fn, void *arg)
{
        if (pg->listener_count == CM_COUNT(pg->listeners))
                return -CM_E_OVERLOAD;
        pg->listeners[pg->listener_count++] = (struct pg_listener){ channel, fn, arg };
        if (!pg->listen_conn) {
                pg->listen_conn = CM_NEW(struct pg_conn);
                pg_conn_init(pg->listen_conn, pg);
                pg->listen_conn->on_state = listen_state;
                pg_conn_open(pg->listen_conn);
        } else {
                listen_state(pg->listen_conn);
        }
        return 0;
}
