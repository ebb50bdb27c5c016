#pragma once
#include "bus/event.h"
#include "store/pg.h"

/*
 * The outbox: events are written in the same transaction as their cause, one row for all the events
 * of a statement, and the relay moves them to the stream `s1:events:<service>`.
 *
 * One relay per stream (a session advisory lock in the service's own database with a fencing term)
 * reads rows whose transaction is below pg_snapshot_xmin(pg_current_snapshot()), gives each event a
 * gap-free position, records the row's range once, and publishes it under the stream id
 * `<position>-0`. After Redis lost data it sends the tail again.
 *
 * The outbox's tables come with libcommon/bus/outbox.sql, which a service's first migration
 * includes.
 */

/* Encodes events as the payload of one outbox row (jsonb array). */
void cm_outbox_payload(const struct cm_event *events, size_t count, struct cm_buf *out);

/* A flight item or tx statement that writes one row: parameters are (payload jsonb, count int4).
 * The statement notifies the relay inside the transaction. */
extern const struct cm_pg_statement cm_outbox_insert;
void cm_outbox_params(const struct cm_event *events, size_t count, struct cm_pg_params *params);
