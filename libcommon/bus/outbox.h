#pragma once
#include "bus/event.h"
#include "store/pg.h"

/*
 * The outbox: events are written in the same transaction as their cause, one row for all the events
 * of a statement, and the relay moves them to the stream `s1:events:<service>`.
 *
 * Its tables come with libcommon/bus/outbox.up.sql, which a service's first migration includes. A
 * statement of a service's own may write the row itself, beside its cause:
 *     INSERT INTO outbox (payload, event_count) VALUES ($n::text, $m::int4)
 * and then says cm_worker_wake_relay() after the commit (cm_pg_gather_spec.committed) instead of
 * notifying: transactions that notify commit one after the other.
 */

/* What the relay listens to. */
#define CM_OUTBOX_CHANNEL "salus_outbox"

/* Encodes events as the payload of one outbox row: a line each, its attributes between tabs (id,
 * source, type, time, subject, tenant, traceparent; empty when absent), the data last. Payloads
 * joined by a line break are one payload. */
void cm_outbox_payload(const struct cm_event *events, size_t count, struct cm_buf *out);
/* The events of a payload, as views into it. False when it does not hold just `count`. */
bool cm_outbox_read(struct cm_str payload, struct cm_event *events_r, size_t count) CM_MUST_CHECK;

/* A flight item or tx statement that writes one row: parameters are (payload text, count int4).
 * The statement notifies the relay inside the transaction. `count` is at least 1. */
extern const struct cm_pg_statement cm_outbox_insert;
void cm_outbox_params(const struct cm_event *events, size_t count, struct cm_pg_params *params);
