#pragma once
#include <libpq-fe.h>

#include "base/list.h"
#include "base/map.h"
#include "store/pg.h"
#include "sys/fiber.h"
#include "sys/loop.h"

/*
 * Inside the PostgreSQL adapter.
 *
 * A connection (pg_conn.c) is always in pipeline mode, except during COPY. What it is asked to do
 * is an operation: some statements and one sync point, so one transaction. Operations are answered
 * in the order in which they were sent. An operation belongs to its connection from the moment it
 * is sent until it is done; whoever waits for it may leave earlier (cm_pg_op_abandon) and is then
 * never called.
 */
struct pg_op;
struct pg_conn;

/* Called once, from the loop, when the sync point was reached or the connection was lost.
 * `r` as in pg.h; results were stored by then. */
typedef void pg_op_done_fn(struct pg_op *op, int r);

struct pg_op {
        struct cm_list link;
        struct pg_conn *conn;
        struct cm_pg_result *results[16]; /* where results go; NULL: dropped */
        const char *names[16];            /* of the statements, for the log */
        size_t count;                     /* statements */
        size_t index;                     /* the one whose answers are coming */
        size_t failed;
        int result;
        bool writes;
        bool is_prepare;
        bool is_own; /* of the pool itself: nobody waits, and it may be dropped */
        const struct cm_pg_statement *prepares;
        pg_op_done_fn *done; /* NULL: abandoned, or nobody cares */
        void *arg;
        struct cm_buf tag; /* command tag of the last statement */
};

enum pg_conn_state { PG_DOWN, PG_CONNECTING, PG_UP };

struct pg_conn {
        struct cm_list link; /* in the pool's leased transaction connections */
        struct cm_pg *pg;
        PGconn *handle;
        enum pg_conn_state state;
        struct cm_watch *watch;
        struct cm_timer *timer; /* back-off, connect time-out, or stall check */
        int64_t backoff_us;
        int64_t connecting_since_us;
        int64_t progress_us; /* last sign of life while something was in flight */
        struct cm_map *prepared;
        struct cm_list in_flight;
        size_t in_flight_count;
        bool failing;
        bool copying;
        struct cm_wait *copy_wait;              /* COPY: waits for writable, or for the result */
        void (*on_state)(struct pg_conn *conn); /* up or down */
};

struct pg_listener {
        const char *channel;
        cm_loop_fn *fn;
        void *arg;
};

struct cm_pg {
        struct cm_loop *loop;
        struct cm_pg_config config;
        struct pg_conn *conns; /* config.connections of them */
        struct pg_conn *tx_conns;
        struct cm_list tx_leased;
        struct cm_cond tx_available;
        size_t tx_waiting;
        size_t in_flight;
        struct pg_conn *listen_conn;
        struct pg_listener listeners[8];
        size_t listener_count;
        const struct cm_pg_statement *ahead[16]; /* prepared as soon as a connection is up */
        size_t ahead_count;
};

/* The connection that has least to do; NULL when none is up. */
struct pg_conn *pg_least_busy(struct cm_pg *pg);

void pg_conn_init(struct pg_conn *conn, struct cm_pg *pg);
void pg_conn_deinit(struct pg_conn *conn);
void pg_conn_open(struct pg_conn *conn);
/* Breaks the connection: everything in flight ends, and it connects again. */
void pg_conn_fail(struct pg_conn *conn, const char *why);
void pg_conn_watch(struct pg_conn *conn);

/* Operations: new, then statements, then send. After a successful send the op is the connection's.
 */
struct pg_op *pg_op_new(pg_op_done_fn *done, void *arg);
/* Makes sure that the server knows the statements (and the scope's). Before the op's first add. */
int pg_op_prepare(struct pg_conn *conn, const struct cm_pg_statement *statement);
int pg_op_prepare_all(struct pg_conn *conn, const struct cm_pg_flight_item *items, size_t count);
/* Those of the pool's that are prepared ahead. A failure ends the connection. */
void pg_prepare_ahead(struct pg_conn *conn);
/* How the statements of a transaction are planned. */
struct pg_planning {
        bool by_index; /* never by sorting what an index has in order */
        bool once;     /* for any arrays; else the server may plan anew for short ones each time */
};
/* Adds the statement that says whom the transaction acts for, how long a statement may take, and
 * how these are planned. */
int pg_op_scope(struct pg_conn *conn, struct pg_op *op, const struct cm_pg_scope *scope,
                int64_t timeout_us, struct pg_planning planning);
int pg_op_add(struct pg_conn *conn, struct pg_op *op, const struct cm_pg_statement *statement,
              const struct cm_pg_params *params, struct cm_pg_result *result_r);
int pg_op_add_sql(struct pg_conn *conn, struct pg_op *op, const char *sql);
int pg_op_send(struct pg_conn *conn, struct pg_op *op);
/* For an op that could not be completed before it was sent. The connection is failed. */
void pg_op_drop(struct pg_conn *conn, struct pg_op *op);

/* Sends and waits as the current fiber. The op must have been made with pg_op_wake. */
int pg_op_run(struct pg_conn *conn, struct pg_op *op);
struct pg_waiter {
        struct cm_wait wait;
        size_t failed;
        bool committed; /* the last command tag was COMMIT */
};
void pg_op_wake(struct pg_op *op, int r);

/* The time that a statement may take on the server, from the fiber's deadline. */
int64_t pg_statement_timeout(const struct cm_pg *pg);

/* What an error result means: an outcome, or an error that has been logged. */
int pg_result_error(const PGresult *result, const char *statement);
