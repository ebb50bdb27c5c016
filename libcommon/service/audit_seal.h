#pragma once
#include "service/audit_chain.h"
#include "service/service.h"

/*
 * Seals the audit log: a fiber that, every `interval_us`, takes the rows whose transactions have
 * ended into a head (audit_chain.h), and now and then removes what is older than `keep_us`. One in
 * each process is enough; of several, one works at a time, under a lock of the database.
 */
struct cm_audit_sealer;

/* The key of the heads, from a secret of the service's configuration. */
void cm_audit_key(struct cm_sign_key *key_r, struct cm_str secret);

struct cm_audit_seal_config {
        const struct cm_sign_key *key; /* copied */
        int64_t interval_us;
        int64_t keep_us;
};
/* -CM_E_OVERLOAD when there is no fiber. */
int cm_audit_sealer_start(struct cm_pg *pg, const struct cm_audit_seal_config *config,
                          struct cm_audit_sealer **sealer_r) CM_MUST_CHECK;
/* Waits for what is under way. NULL is allowed. */
void cm_audit_sealer_stop(struct cm_audit_sealer **sealer);

/* The columns of a head as they are read: number, previous, last_position, row_count, rows_hash,
 * sealed_at, hash, signature, digests. False when it cannot be one. The digests are a view. */
#define CM_AUDIT_HEAD_COLUMNS                                                                      \
        "number, previous, last_position, row_count, rows_hash, sealed_at, hash, signature"
bool cm_audit_head_read(const struct cm_pg_result *rows, int i,
                        struct cm_audit_head *head_r) CM_MUST_CHECK;
/* And of a row, as views. */
#define CM_AUDIT_ROW_COLUMNS                                                                       \
        "position, at, actor, user_id, action, target, outcome, method, reason, ip, user_agent,"   \
        " request_id"
void cm_audit_row_read(const struct cm_pg_result *rows, int i, struct cm_audit_row *row_r);
