#pragma once
#include "bus/rpc_server.h"
#include "store/pg.h"

/*
 * Once in effect: for handlers of methods that write to PostgreSQL. The reply is stored in the
 * transaction of the effect, under the caller's idempotency key, and given again when the same
 * request comes again (its reply was lost, or two replicas were asked). The service's migrations
 * include libcommon/http/idempotency.up.sql; cm_idempotency_forget() clears what is old.
 *
 *     CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
 *
 *     r = cm_pg_begin(pg, &scope, &tx);          (the scope must name call->user)
 *     if (r == 0) r = cm_rpc_claim(call, tx);
 *     if (r) return r;
 *     … the effect, inside tx; fill `out` …
 *     return cm_rpc_commit(call, &tx, out);
 */

/* First in the transaction: 0 to go on; else what the handler returns: CM_RPC_REPLAYED,
 * CM_RPC_REFUSED (the key was used for another request, or another replica is at it), an error. */
int cm_rpc_claim(struct cm_rpc_request *call, struct cm_pg_tx *tx) CM_MUST_CHECK;
/* Last: stores the reply and commits. Returns what the handler returns. */
int cm_rpc_commit(struct cm_rpc_request *call, struct cm_pg_tx **tx, const void *out) CM_MUST_CHECK;
