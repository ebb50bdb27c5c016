#pragma once
#include "bus/event.h"
#include "store/pg.h"

/*
 * The outbox: events are written in the same transaction as their cause, one row for all the events
 * of a statement, and the relay moves them to the stream `s1:events:<service>`.
 *
 * Its tables come with libcommon/bus/outbox.up.sql, which a service's first migration includes. A
 * statement of a service's own may write the row itself, beside its cause:
 *     INSERT INTO outbox (payload, event_count) VALUES ($n::jsonb, $m::int4)
 * and then says cm_worker_wake_relay() after the commit (cm_pg_gather_spec.committed) instead of
 * notifying: transactions that notify commit one after the other.
 */

/* What the relay listens to. */
#define CM_OUTBOX_CHANNEL "salus_outbox"

/* Encodes events as the payload of one outbox row (jsonb array). */
void cm_outbox_payload(const struct cm_event *events, size_t count, struct cm_buf *out);

/* A flight item or tx statement that writes one row: parameters are (payload jsonb, count int4).
 * The statement notifies the relay inside the transaction. `count` is at least 1. */
extern const struct cm_pg_statement cm_outbox_insert;
void cm_outbox_params(const struct cm_event *events, size_t count, struct cm_pg_params *params);
