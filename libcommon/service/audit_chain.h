#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/time.h"
#include "codec/digest.h"
#include "codec/sign.h"

/*
 * The chain of the audit log. Rows are sealed by heads: a head covers all rows behind the one
 * before it up to a position, names the hash of all their digests and of the head before, and is
 * signed. So whoever can write to the database but has no key can change, add, remove or swap no
 * sealed row and no head unnoticed, except by cutting heads off at the end: for that, a head must
 * be known from elsewhere. Pure: no store, no clock. docs/audit.md has the format.
 */
#define CM_AUDIT_FIELDS 10
/* In a head's list, for each row: position, and as much of its digest as names the one that is
 * broken. */
#define CM_AUDIT_ENTRY_SIZE (8 + 16)

/* A row as it is stored. Fields: actor and user_id (16 bytes each), action, target, outcome,
 * method, reason, ip, user_agent, request_id; each may be absent. */
struct cm_audit_row {
        int64_t position;
        cm_time at;
        struct cm_str fields[CM_AUDIT_FIELDS];
};

struct cm_audit_head {
        int64_t number; /* from 1 */
        uint8_t previous[CM_BLAKE2B_SIZE];
        int64_t last_position;
        int32_t row_count;
        uint8_t rows_hash[CM_BLAKE2B_SIZE];
        cm_time sealed_at;
        uint8_t hash[CM_BLAKE2B_SIZE];
        uint8_t signature[CM_SIGNATURE_SIZE];
        struct cm_str digests; /* absent: its rows were removed for their age */
};

/* Rows on their way into a head. Zero-initialise. */
struct cm_audit_batch {
        struct cm_buf row;     /* scratch */
        struct cm_buf full;    /* digests */
        struct cm_buf entries; /* for cm_audit_head.digests */
        int64_t last_position;
        int32_t count;
};
void cm_audit_batch_deinit(struct cm_audit_batch *batch);
void cm_audit_batch_reset(struct cm_audit_batch *batch);
/* In the order of positions. */
void cm_audit_batch_add(struct cm_audit_batch *batch, const struct cm_audit_row *row);

/* The head of a batch, behind `previous` (NULL: the first). Its digests are the batch's. */
void cm_audit_head_make(const struct cm_sign_key *key, const struct cm_audit_head *previous,
                        const struct cm_audit_batch *batch, cm_time now,
                        struct cm_audit_head *head_r);

/* ---- checking */

enum cm_audit_fault_kind {
        CM_AUDIT_ROW_CHANGED = 1,
        CM_AUDIT_ROW_MISSING,
        CM_AUDIT_ROW_ADDED,
        CM_AUDIT_ROWS_CHANGED, /* of a head, with the list that would name the row */
        CM_AUDIT_LIST_CHANGED, /* the rows are right, the head's list of them is not */
        CM_AUDIT_HEAD_CHANGED, /* is not what was signed, or not the one that follows */
        CM_AUDIT_HEAD_MISSING,
        CM_AUDIT_REMOVED_EARLY, /* rows are gone that are not as old as the retention says */
};
const char *cm_audit_fault_name(int kind);

/* Heads one after the other from the oldest, each followed by its rows. The first fault stays. */
struct cm_audit_check {
        uint8_t public[CM_SIGN_PUBLIC_SIZE];
        cm_time removed_before; /* rows sealed later than this must be there */
        struct cm_audit_head head;
        struct cm_audit_batch batch;
        int mismatch; /* the first difference from the head's list; and where */
        int64_t mismatch_position;
        int fault;
        int64_t fault_position; /* of a row, when the fault is one's; else of the head's last */
        int64_t fault_head;
        int64_t rows;
};
void cm_audit_check_init(struct cm_audit_check *check, const uint8_t public[CM_SIGN_PUBLIC_SIZE],
                         cm_time removed_before);
void cm_audit_check_deinit(struct cm_audit_check *check);
/* Each returns 0, or the fault. `head->digests` must live until its end. */
int cm_audit_check_head(struct cm_audit_check *check, const struct cm_audit_head *head);
int cm_audit_check_row(struct cm_audit_check *check, const struct cm_audit_row *row);
int cm_audit_check_head_end(struct cm_audit_check *check);
