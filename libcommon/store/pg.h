#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"
#include "sys/loop.h"

/*
 * PostgreSQL over libpq in pipeline mode. A pool belongs to one loop; calls suspend the fiber and
 * end at its deadline, which also cancels the statement on the server. Statements are prepared once
 * per connection. Parameters and results travel in binary.
 *
 * A table is read through an index wherever there is one (enable_seqscan is off): what the server
 * knows of a table's size is old, its plans are kept, and the right one for the day before is ruin
 * when somebody brings in years of data.
 *
 * Every transaction names the users it acts for (row-level security): see struct cm_pg_scope.
 *
 * Machinery errors: -CM_E_UNAVAILABLE (no connection; nothing was sent), -CM_E_UNCERTAIN (sent and
 * the answer was lost, or the deadline passed while a commit was on its way), -CM_E_DEADLINE
 * (nothing was changed), -CM_E_OVERLOAD (too many waiting), -CM_E_DATABASE (refused; logged).
 */
struct cm_pg;

struct cm_pg_config {
        const char *conninfo;
        size_t connections;    /* shared by pipelined flights */
        size_t tx_connections; /* leased by interactive transactions, opened when first needed */
        size_t max_waiting;    /* flights and leases that may wait; then -CM_E_OVERLOAD */
        int64_t connect_timeout_us;
        int64_t backoff_max_us;
        int64_t statement_timeout_us; /* for work without a deadline of its own, and gathers */
        int64_t stall_timeout_us;     /* silence on a busy connection that counts as lost */
};

int cm_pg_new(struct cm_loop *loop, const struct cm_pg_config *config,
              struct cm_pg **pg_r) CM_MUST_CHECK;
/* No fiber may be waiting in it. */
void cm_pg_free(struct cm_pg **pg);
bool cm_pg_is_ready(const struct cm_pg *pg); /* a connection is up: for readiness */

/* One statement, static. Parameter types come from casts in the text ("$1::uuid[]"). `writes` makes
 * a lost answer uncertain instead of unavailable. */
struct cm_pg_statement {
        const char *name;
        const char *sql;
        bool writes;
        bool by_index; /* and in an index's order: never sorts what can be had sorted. Not for
                          cm_pg_tx_query() */
};

/* Has a statement prepared on each connection for single statements as soon as it is up, instead of
 * with its first use, where it would wait for a table's lock ahead of the transaction that it is
 * for. */
void cm_pg_prepare_ahead(struct cm_pg *pg, const struct cm_pg_statement *statement);

/* Outcomes of a statement that the caller handles. */
enum cm_pg_outcome {
        CM_PG_DUPLICATE = 1, /* unique violation */
        CM_PG_REFERENCE,     /* foreign key violation */
        CM_PG_REFUSED,       /* check, not-null or row-level security violation, or bad data */
        CM_PG_RETRY,         /* serialization failure or deadlock: the whole transaction again */
        CM_PG_LOCKED,        /* a claim (cm_pg_claim) is another transaction's */
};

/* Parameters in order; the memory that they point at must live until the call returns. */
#define CM_PG_MAX_PARAMS 40
struct cm_pg_params {
        size_t count;
        const char *values[CM_PG_MAX_PARAMS];
        int lengths[CM_PG_MAX_PARAMS];
        struct cm_buf space; /* encoded values; the rest is the builder's own */
        size_t offsets[CM_PG_MAX_PARAMS];
        int array_kind;
        int32_t array_items;
        bool array_has_null;
};
void cm_pg_params_deinit(struct cm_pg_params *params); /* zero-initialise; use with CM_CLEANUP */
void cm_pg_put_null(struct cm_pg_params *params);
void cm_pg_put_text(struct cm_pg_params *params, struct cm_str text); /* absent: NULL */
void cm_pg_put_bytes(struct cm_pg_params *params, struct cm_str bytes);
void cm_pg_put_jsonb(struct cm_pg_params *params, struct cm_str json);
void cm_pg_put_bool(struct cm_pg_params *params, bool value);
void cm_pg_put_int2(struct cm_pg_params *params, int16_t value);
void cm_pg_put_int4(struct cm_pg_params *params, int32_t value);
void cm_pg_put_int8(struct cm_pg_params *params, int64_t value);
void cm_pg_put_time(struct cm_pg_params *params, cm_time value);
void cm_pg_put_date(struct cm_pg_params *params, cm_date value);
void cm_pg_put_uuid(struct cm_pg_params *params, const struct cm_uuid *value); /* NULL: NULL */

/* One-dimensional arrays for unnest: begin, add each item, end. Items may be NULL. */
enum cm_pg_array {
        CM_PG_TEXT_ARRAY,
        CM_PG_BYTEA_ARRAY,
        CM_PG_JSONB_ARRAY,
        CM_PG_INT2_ARRAY,
        CM_PG_INT4_ARRAY,
        CM_PG_INT8_ARRAY,
        CM_PG_TIME_ARRAY,
        CM_PG_DATE_ARRAY,
        CM_PG_UUID_ARRAY,
        CM_PG_BOOL_ARRAY
};
void cm_pg_array_begin(struct cm_pg_params *params, enum cm_pg_array kind);
void cm_pg_array_null(struct cm_pg_params *params);
void cm_pg_array_text(struct cm_pg_params *params, struct cm_str value); /* text, bytea, jsonb */
void cm_pg_array_int(struct cm_pg_params *params,
                     int64_t value); /* int2, int4, int8, time, date, bool */
void cm_pg_array_uuid(struct cm_pg_params *params, const struct cm_uuid *value);
void cm_pg_array_end(struct cm_pg_params *params);

/* A result; rows are valid until it is cleared. */
struct cm_pg_result {
        void *handle;
        int rows;
        int64_t affected;
};
void cm_pg_result_clear(struct cm_pg_result *result); /* for CM_CLEANUP */
bool cm_pg_is_null(const struct cm_pg_result *result, int row, int column);
struct cm_str cm_pg_text(const struct cm_pg_result *result, int row, int column); /* NULL: absent */
struct cm_str cm_pg_jsonb(const struct cm_pg_result *result, int row, int column);
int64_t cm_pg_int(const struct cm_pg_result *result, int row, int column); /* int2, int4, int8 */
bool cm_pg_bool(const struct cm_pg_result *result, int row, int column);
double cm_pg_real(const struct cm_pg_result *result, int row, int column); /* float8 */
cm_time cm_pg_time(const struct cm_pg_result *result, int row, int column);
cm_date cm_pg_date(const struct cm_pg_result *result, int row, int column);
struct cm_uuid cm_pg_uuid(const struct cm_pg_result *result, int row, int column);

/* Whom a transaction acts for. Sets app.users (uuid[]) and app.actor for the policies and audit.
 * NULL scope: acts for nobody (only tables without person data are visible). */
struct cm_pg_scope {
        const struct cm_uuid *users;
        size_t count;
        const char *role; /* app.role: "user", "service", …; NULL: "user" */
};

/* One statement in a transaction of its own. Suspends. Returns 0, an outcome, or an error. */
int cm_pg_query(struct cm_pg *pg, const struct cm_pg_scope *scope,
                const struct cm_pg_statement *statement, const struct cm_pg_params *params,
                struct cm_pg_result *result_r) CM_MUST_CHECK;

/* A transaction whose statements are known beforehand: one flight, one round trip. */
struct cm_pg_flight_item {
        const struct cm_pg_statement *statement;
        const struct cm_pg_params *params;
        struct cm_pg_result *result_r; /* NULL: not wanted */
};
/* All or nothing. On an outcome, *failed_r (may be NULL) is the item that caused it. Suspends. */
int cm_pg_flight(struct cm_pg *pg, const struct cm_pg_scope *scope,
                 const struct cm_pg_flight_item *items, size_t count,
                 size_t *failed_r) CM_MUST_CHECK;

/* An interactive transaction on a connection of its own. Always ends with commit or rollback. */
struct cm_pg_tx;
int cm_pg_begin(struct cm_pg *pg, const struct cm_pg_scope *scope,
                struct cm_pg_tx **tx_r) CM_MUST_CHECK;
/* The same with the first statement in the same round trip. With an outcome of that statement there
 * is no transaction. */
int cm_pg_begin_with(struct cm_pg *pg, const struct cm_pg_scope *scope,
                     const struct cm_pg_flight_item *first, struct cm_pg_tx **tx_r) CM_MUST_CHECK;
int cm_pg_tx_query(struct cm_pg_tx *tx, const struct cm_pg_statement *statement,
                   const struct cm_pg_params *params, struct cm_pg_result *result_r) CM_MUST_CHECK;
/* Changes whom the rest of the transaction acts for. */
int cm_pg_tx_scope(struct cm_pg_tx *tx, const struct cm_pg_scope *scope) CM_MUST_CHECK;
int cm_pg_savepoint(struct cm_pg_tx *tx) CM_MUST_CHECK;
int cm_pg_rollback_to_savepoint(struct cm_pg_tx *tx) CM_MUST_CHECK;
int cm_pg_commit(struct cm_pg_tx **tx) CM_MUST_CHECK;
/* The same with the last statement in the same round trip; its outcome rolls back. */
int cm_pg_commit_with(struct cm_pg_tx **tx, const struct cm_pg_flight_item *last) CM_MUST_CHECK;
void cm_pg_rollback(struct cm_pg_tx **tx); /* for CM_CLEANUP; nothing when committed */
/* Plain SQL without parameters or results (migrations, LISTEN, session locks). */
int cm_pg_tx_exec(struct cm_pg_tx *tx, const char *sql) CM_MUST_CHECK;

/* COPY … FROM STDIN (FORMAT binary) inside a transaction: rows are built with the row buffer. */
int cm_pg_copy_start(struct cm_pg_tx *tx, const char *copy_sql) CM_MUST_CHECK;
int cm_pg_copy_put(struct cm_pg_tx *tx,
                   struct cm_str bytes) CM_MUST_CHECK; /* suspends when the socket is full */
int cm_pg_copy_end(struct cm_pg_tx *tx, int64_t *rows_r) CM_MUST_CHECK;
/* Binary COPY format: header once, per row the field count, then the fields, trailer once. */
void cm_pg_copy_header(struct cm_buf *out);
void cm_pg_copy_row(struct cm_buf *out, int16_t fields);
void cm_pg_copy_null(struct cm_buf *out);
void cm_pg_copy_bytes(struct cm_buf *out, struct cm_str value);
void cm_pg_copy_jsonb(struct cm_buf *out, struct cm_str json);
void cm_pg_copy_int2(struct cm_buf *out, int16_t value);
void cm_pg_copy_int4(struct cm_buf *out, int32_t value);
void cm_pg_copy_int8(struct cm_buf *out, int64_t value);
void cm_pg_copy_time(struct cm_buf *out, cm_time value);
void cm_pg_copy_date(struct cm_buf *out, cm_date value);
void cm_pg_copy_uuid(struct cm_buf *out, const struct cm_uuid *value);
void cm_pg_copy_trailer(struct cm_buf *out);

/* First of a transaction's statements: makes the transaction the only one with these numbers
 * (int8[], one parameter; NULLs count for nothing) until it ends. If another one has any of them
 * the outcome is CM_PG_LOCKED at once, before a table is touched: nobody waits for the other. */
extern const struct cm_pg_statement cm_pg_claim;

/*
 * Gathered writes: rows of many fibers that leave together as one statement (unnest of arrays).
 * While statements are in flight the next rows wait; when a statement fails its rows go one by one,
 * so that each caller gets its own answer.
 */
struct cm_pg_gather;
struct cm_pg_gather_part {
        const struct cm_pg_statement *statement; /* NULL: none */
        /* Encodes `count` rows as the statement's parameters. */
        void (*encode)(void *const *rows, size_t count, struct cm_pg_params *params);
};
struct cm_pg_gather_spec {
        const struct cm_pg_statement *statement;
        size_t max_rows;      /* in one statement */
        size_t max_in_flight; /* statements at a time */
        void (*encode)(void *const *rows, size_t count, struct cm_pg_params *params);
        /* After `statement`, in the same transaction. */
        struct cm_pg_gather_part beside;
        /* Instead of the two when a row of a batch was there already (CM_PG_DUPLICATE), and for
         * some batches after it: it leaves out such rows, and answer() tells them by its result.
         * What expects them costs half as much again, so the plain statement goes first. */
        struct cm_pg_gather_part careful;
        /* The number that the row claims; false: none. NULL: no row claims any. A row whose claim
         * is another transaction's gets CM_PG_LOCKED, and the others are stored. */
        bool (*claim)(const void *row, int64_t *lock_r);
        /* Gives row i its answer from the statement's result; returns what the row's caller gets
         * (0 or an outcome of the store's own). Called for each row. */
        int (*answer)(void *row, size_t index, const struct cm_pg_result *result);
        /* Whose row it is: goes into the scope. NULL: it is not known before. */
        const struct cm_uuid *(*user)(const void *row);
        const char *role; /* of the scope; NULL: "user" */
        /* Called once after each commit (for example to wake the relay); may be NULL. */
        void (*committed)(void *arg);
        void *arg;
};
int cm_pg_gather_new(struct cm_pg *pg, const struct cm_pg_gather_spec *spec,
                     struct cm_pg_gather **gather_r) CM_MUST_CHECK;
void cm_pg_gather_free(struct cm_pg_gather **gather);
/* Suspends until the row is durable. Returns answer()'s value, an outcome, or an error. */
int cm_pg_gather_row(struct cm_pg_gather *gather, void *row) CM_MUST_CHECK;

/* Calls fn in the loop's thread for each notification on `channel` (static text), and once after
 * each (re)connection, because some may have been missed. Opens a connection of its own. */
int cm_pg_listen(struct cm_pg *pg, const char *channel, cm_loop_fn *fn, void *arg) CM_MUST_CHECK;
