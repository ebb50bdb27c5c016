#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/pg_internal.h"
#include "sys/log.h"

/*
 * One connection: connecting with back-off, sending operations, and matching answers to them.
 *
 * libpq in pipeline mode answers strictly in order: for each statement its result and a NULL, for
 * each sync point one PGRES_PIPELINE_SYNC. A statement is prepared by an operation of its own just
 * ahead of the first one that uses it, with its own sync point: inside the caller's operation a
 * failure there, or a failure before it, would leave us not knowing whether the server has it.
 */

#define BACKOFF_MIN_US (50 * CM_MILLISECOND)

/* libpq brings OpenLDAP, and that GnuTLS, which nobody here calls; it asks this before it sets
 * itself up as it is loaded, which takes 0.9 MiB of every process. OpenLDAP sets it up when it
 * needs it. */
int _gnutls_global_init_skip(void); /* NOLINT: its name */
int _gnutls_global_init_skip(void)  /* NOLINT */
{
        return 1;
}

static void on_ready(void *arg, int events);
static void on_timer(void *arg);

void pg_conn_init(struct pg_conn *conn, struct cm_pg *pg)
{
        conn->pg = pg;
        conn->backoff_us = BACKOFF_MIN_US;
        conn->timer = cm_timer_new(pg->loop, on_timer, conn);
        cm_list_init(&conn->link);
        cm_list_init(&conn->in_flight);
}

static void drop_handle(struct pg_conn *conn)
{
        cm_watch_free(&conn->watch);
        if (conn->handle)
                PQfinish(conn->handle);
        conn->handle = NULL;
        cm_map_free(&conn->prepared, NULL);
        conn->copying = false;
}

/* What is still under way was abandoned: whoever waits must have left by now. */
static void drop_abandoned(struct pg_conn *conn)
{
        struct cm_list *node;

        while ((node = cm_list_pop(&conn->in_flight))) {
                struct pg_op *op = CM_CONTAINER(node, struct pg_op, link);

                CM_ASSERT(!op->done || op->is_own);
                cm_buf_deinit(&op->tag);
                cm_free(op);
        }
        conn->in_flight_count = 0;
}

void pg_conn_deinit(struct pg_conn *conn)
{
        drop_abandoned(conn);
        cm_timer_free(&conn->timer);
        drop_handle(conn);
        conn->state = PG_DOWN;
}

/* ---- connecting */

static int64_t jittered(int64_t delay_us)
{
        uint32_t random;

        cm_random(&random, sizeof(random));
        return delay_us / 2 + (int64_t)(random % 1000) * (delay_us / 2) / 1000;
}

static void retry_later(struct pg_conn *conn)
{
        conn->state = PG_DOWN;
        drop_handle(conn);
        cm_timer_start(conn->timer, jittered(conn->backoff_us));
        conn->backoff_us *= 2;
        if (conn->backoff_us > conn->pg->config.backoff_max_us)
                conn->backoff_us = conn->pg->config.backoff_max_us;
}

static void connect_failed(struct pg_conn *conn, const char *why)
{
        cm_log(CM_LOG_WARN, "postgres: cannot connect", CM_F_TEXT("why", why));
        retry_later(conn);
}

static void on_notice(void *arg CM_UNUSED, const PGresult *notice)
{
        cm_log(CM_LOG_DEBUG, "postgres notice",
               CM_F_TEXT("message", PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY)));
}

static void connected(struct pg_conn *conn)
{
        PQsetnonblocking(conn->handle, 1);
        PQsetNoticeReceiver(conn->handle, on_notice, NULL);
        CM_ASSERT(PQenterPipelineMode(conn->handle));
        conn->prepared = cm_map_new();
        conn->state = PG_UP;
        conn->backoff_us = BACKOFF_MIN_US;
        conn->progress_us = cm_monotonic_us();
        cm_timer_start(conn->timer, conn->pg->config.stall_timeout_us / 4);
        cm_watch_set(conn->watch, CM_READABLE);
        if (conn->on_state)
                conn->on_state(conn);
}

/* The socket may be another one after each step (several addresses), so it is watched anew. */
static void watch_socket(struct pg_conn *conn, int events)
{
        cm_watch_free(&conn->watch);
        conn->watch = cm_watch_new(conn->pg->loop, PQsocket(conn->handle), on_ready, conn);
        cm_watch_set(conn->watch, events);
}

static void connect_step(struct pg_conn *conn)
{
        switch (PQconnectPoll(conn->handle)) {
        case PGRES_POLLING_READING:
                watch_socket(conn, CM_READABLE);
                return;
        case PGRES_POLLING_WRITING:
                watch_socket(conn, CM_WRITABLE);
                return;
        case PGRES_POLLING_OK:
                watch_socket(conn, CM_READABLE);
                connected(conn);
                return;
        default:
                connect_failed(conn, PQerrorMessage(conn->handle));
        }
}

/* What a session begins with: see pg.h. No machine code for statements of some microseconds,
 * either. The operator's own options come later and win. */
static void put_options(struct cm_buf *out, const char *conninfo)
{
        PQconninfoOption *given = PQconninfoParse(conninfo, NULL);

        cm_buf_add_str(out, CM_STR("-c enable_seqscan=off -c jit=off"));
        for (const PQconninfoOption *it = given; it && it->keyword; it++)
                if (strcmp(it->keyword, "options") == 0 && it->val)
                        cm_buf_printf(out, " %s", it->val);
        PQconninfoFree(given);
}

/* Without a ticket's look-up, unless the conninfo (which comes later and wins) asks for it: it
 * reads files in the loop's thread, and Kerberos alone takes 0.8 MiB. */
static PGconn *start_connecting(const char *conninfo)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf options = { 0 };
        const char *const keys[] = { "gssencmode", "dbname", "options", NULL };

        put_options(&options, conninfo);
        return PQconnectStartParams(
                keys, (const char *const[]){ "disable", conninfo, options.data, NULL }, 1);
}

void pg_conn_open(struct pg_conn *conn)
{
        CM_ASSERT(conn->state == PG_DOWN && !conn->handle);
        conn->state = PG_CONNECTING;
        conn->connecting_since_us = cm_monotonic_us();
        conn->handle = start_connecting(conn->pg->config.conninfo);
        CM_ASSERT(conn->handle);
        if (PQstatus(conn->handle) == CONNECTION_BAD || PQsocket(conn->handle) < 0) {
                connect_failed(conn, PQerrorMessage(conn->handle));
                return;
        }
        cm_timer_start(conn->timer, conn->pg->config.connect_timeout_us);
        watch_socket(conn, CM_WRITABLE);
}

static void end_all(struct pg_conn *conn)
{
        struct cm_list *node;

        while ((node = cm_list_pop(&conn->in_flight))) {
                struct pg_op *op = CM_CONTAINER(node, struct pg_op, link);

                conn->in_flight_count--;
                conn->pg->in_flight--;
                if (op->done)
                        op->done(op, op->writes ? -CM_E_UNCERTAIN : -CM_E_UNAVAILABLE);
                cm_buf_deinit(&op->tag);
                cm_free(op);
        }
        if (conn->copy_wait)
                cm_wait_done(conn->copy_wait, -CM_E_UNAVAILABLE);
}

void pg_conn_fail(struct pg_conn *conn, const char *why)
{
        if (conn->state != PG_UP)
                return;
        cm_log(CM_LOG_WARN, "postgres: connection lost", CM_F_TEXT("why", why),
               CM_F_INT("in_flight", (int64_t)conn->in_flight_count));
        retry_later(conn);
        end_all(conn);
        if (conn->on_state)
                conn->on_state(conn);
}

static void on_timer(void *arg)
{
        struct pg_conn *conn = arg;
        int64_t now = cm_monotonic_us();

        switch (conn->state) {
        case PG_DOWN:
                pg_conn_open(conn);
                return;
        case PG_CONNECTING:
                connect_failed(conn, "time-out");
                return;
        case PG_UP:
                if (conn->in_flight_count &&
                    now - conn->progress_us > conn->pg->config.stall_timeout_us) {
                        pg_conn_fail(conn, "the server is silent");
                        return;
                }
                cm_timer_start(conn->timer, conn->pg->config.stall_timeout_us / 4);
        }
}

/* ---- sending */

/* Writes what waits and watches for the rest. */
static void flush(struct pg_conn *conn)
{
        int r = PQflush(conn->handle);

        if (r < 0) {
                conn->failing = true;
                return;
        }
        cm_watch_set(conn->watch, CM_READABLE | (r ? CM_WRITABLE : 0));
}

void pg_conn_watch(struct pg_conn *conn)
{
        flush(conn);
}

struct pg_op *pg_op_new(pg_op_done_fn *done, void *arg)
{
        struct pg_op *op = CM_NEW(struct pg_op);

        op->done = done;
        op->arg = arg;
        cm_list_init(&op->link);
        return op;
}

void pg_op_drop(struct pg_conn *conn, struct pg_op *op)
{
        cm_buf_deinit(&op->tag);
        cm_free(op);
        pg_conn_fail(conn, "cannot send");
}

int pg_op_send(struct pg_conn *conn, struct pg_op *op)
{
        if (!PQpipelineSync(conn->handle)) {
                pg_op_drop(conn, op);
                return -CM_E_UNAVAILABLE;
        }
        if (cm_list_is_empty(&conn->in_flight))
                conn->progress_us = cm_monotonic_us();
        op->conn = conn;
        cm_list_append(&conn->in_flight, &op->link);
        conn->in_flight_count++;
        conn->pg->in_flight++;
        flush(conn);
        return 0;
}

int pg_op_prepare(struct pg_conn *conn, const struct cm_pg_statement *statement)
{
        struct cm_str name = cm_str_from(statement->name);
        struct pg_op *op;

        if (cm_map_get(conn->prepared, name))
                return 0;
        op = pg_op_new(NULL, NULL);
        op->is_prepare = true;
        op->prepares = statement;
        op->names[0] = statement->name;
        op->count = 1;
        if (!PQsendPrepare(conn->handle, statement->name, statement->sql, 0, NULL)) {
                pg_op_drop(conn, op);
                return -CM_E_UNAVAILABLE;
        }
        cm_map_put(conn->prepared, name, (void *)(uintptr_t)statement);
        return pg_op_send(conn, op);
}

static bool send_prepared(struct pg_conn *conn, const struct cm_pg_statement *statement,
                          const struct cm_pg_params *params)
{
        static const int binary[CM_PG_MAX_PARAMS] = { [0 ... CM_PG_MAX_PARAMS - 1] = 1 };
        const char *values[CM_PG_MAX_PARAMS];
        size_t count = params ? params->count : 0;

        for (size_t i = 0; i < count; i++)
                values[i] = params->values[i] ? params->space.data + params->offsets[i] : NULL;
        return PQsendQueryPrepared(conn->handle, statement->name, (int)count, values,
                                   params ? params->lengths : NULL, binary, 1);
}

static size_t add_slot(struct pg_op *op, const char *name, struct cm_pg_result *result_r)
{
        CM_ASSERT(op->count < CM_COUNT(op->results));
        op->names[op->count] = name;
        op->results[op->count] = result_r;
        return op->count++;
}

int pg_op_add(struct pg_conn *conn, struct pg_op *op, const struct cm_pg_statement *statement,
              const struct cm_pg_params *params, struct cm_pg_result *result_r)
{
        CM_ASSERT(cm_map_get(conn->prepared, cm_str_from(statement->name)));
        if (!send_prepared(conn, statement, params))
                return -CM_E_UNAVAILABLE;
        add_slot(op, statement->name, result_r);
        op->writes |= statement->writes;
        return 0;
}

int pg_op_add_sql(struct pg_conn *conn, struct pg_op *op, const char *sql)
{
        if (!PQsendQueryParams(conn->handle, sql, 0, NULL, NULL, NULL, NULL, 1))
                return -CM_E_UNAVAILABLE;
        add_slot(op, sql, NULL);
        return 0;
}

/* ---- receiving */

static void op_finished(struct pg_conn *conn, struct pg_op *op)
{
        cm_list_remove(&op->link);
        conn->in_flight_count--;
        conn->pg->in_flight--;
        if (op->is_prepare && op->result && conn->prepared)
                cm_map_remove(conn->prepared, cm_str_from(op->prepares->name));
        if (op->done)
                op->done(op, op->result);
        cm_buf_deinit(&op->tag);
        cm_free(op);
}

static void keep_result(struct pg_op *op, PGresult *result)
{
        struct cm_pg_result *into = op->index < op->count ? op->results[op->index] : NULL;
        const char *affected = PQcmdTuples(result);
        int64_t number = 0;

        cm_buf_reset(&op->tag);
        cm_buf_add_str(&op->tag, cm_str_from(PQcmdStatus(result)));
        if (!into || !op->done) {
                PQclear(result);
                return;
        }
        if (affected[0])
                (void)cm_str_to_int(cm_str_from(affected), &number);
        *into = (struct cm_pg_result){ result, PQntuples(result), number };
}

static void on_result(struct pg_conn *conn, struct pg_op *op, PGresult *result)
{
        const char *name = op->index < op->count ? op->names[op->index] : "commit";

        switch (PQresultStatus(result)) {
        case PGRES_PIPELINE_SYNC:
                PQclear(result);
                op_finished(conn, op);
                return;
        case PGRES_TUPLES_OK:
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY:
                keep_result(op, result);
                return;
        case PGRES_PIPELINE_ABORTED:
                PQclear(result);
                return;
        default:
                if (!op->result) {
                        op->result = pg_result_error(result, name);
                        op->failed = op->index;
                }
                PQclear(result);
        }
}

static void read_results(struct pg_conn *conn)
{
        while (conn->state == PG_UP && !conn->copying && conn->in_flight_count &&
               !PQisBusy(conn->handle)) {
                struct pg_op *op = CM_CONTAINER(conn->in_flight.next, struct pg_op, link);
                PGresult *result = PQgetResult(conn->handle);

                conn->progress_us = cm_monotonic_us();
                if (result)
                        on_result(conn, op, result);
                else
                        op->index++;
        }
}

static void read_notifications(struct pg_conn *conn)
{
        struct cm_pg *pg = conn->pg;
        PGnotify *notify;

        while (conn->state == PG_UP && (notify = PQnotifies(conn->handle))) {
                for (size_t i = 0; i < pg->listener_count; i++)
                        if (strcmp(pg->listeners[i].channel, notify->relname) == 0)
                                pg->listeners[i].fn(pg->listeners[i].arg);
                PQfreemem(notify);
        }
}

static void on_ready(void *arg, int events)
{
        struct pg_conn *conn = arg;

        if (conn->state == PG_CONNECTING) {
                connect_step(conn);
                return;
        }
        if (events & CM_WRITABLE) {
                flush(conn);
                if (conn->copying && conn->copy_wait)
                        cm_wait_done(conn->copy_wait, 0);
        }
        if (events & CM_READABLE) {
                if (!PQconsumeInput(conn->handle)) {
                        pg_conn_fail(conn, PQerrorMessage(conn->handle));
                        return;
                }
                read_results(conn);
                read_notifications(conn);
                if (conn->state == PG_UP && conn->copying && conn->copy_wait &&
                    !PQisBusy(conn->handle))
                        cm_wait_done(conn->copy_wait, 0);
        }
        if (conn->state == PG_UP && (conn->failing || PQstatus(conn->handle) == CONNECTION_BAD))
                pg_conn_fail(conn, PQerrorMessage(conn->handle));
        conn->failing = false;
}
