#include "service/audit_chain.h"

#include <string.h>

#include "base/mem.h"

static const char head_domain[] = "salus audit head 1";

static void put_uint64(struct cm_buf *out, uint64_t value)
{
        for (int shift = 56; shift >= 0; shift -= 8)
                cm_buf_add_char(out, (char)(value >> shift));
}

static void put_uint32(struct cm_buf *out, uint32_t value)
{
        for (int shift = 24; shift >= 0; shift -= 8)
                cm_buf_add_char(out, (char)(value >> shift));
}

/* Lengths keep fields apart, and what is absent from what is empty. */
static void put_row(struct cm_buf *out, const struct cm_audit_row *row)
{
        put_uint64(out, (uint64_t)row->position);
        put_uint64(out, (uint64_t)row->at);
        for (int i = 0; i < CM_AUDIT_FIELDS; i++) {
                put_uint32(out, row->fields[i].data ? (uint32_t)row->fields[i].len : UINT32_MAX);
                cm_buf_add_str(out, row->fields[i]);
        }
}

static void hash_of_head(const struct cm_audit_head *head, uint8_t hash_r[CM_BLAKE2B_SIZE])
{
        struct cm_buf text = { 0 };

        cm_buf_add(&text, head_domain, sizeof(head_domain));
        put_uint64(&text, (uint64_t)head->number);
        cm_buf_add(&text, head->previous, sizeof(head->previous));
        put_uint64(&text, (uint64_t)head->last_position);
        put_uint32(&text, (uint32_t)head->row_count);
        cm_buf_add(&text, head->rows_hash, sizeof(head->rows_hash));
        put_uint64(&text, (uint64_t)head->sealed_at);
        cm_blake2b(text.data, text.len, hash_r);
        cm_buf_deinit(&text);
}

/* ---- making */

void cm_audit_batch_deinit(struct cm_audit_batch *batch)
{
        cm_buf_deinit(&batch->row);
        cm_buf_deinit(&batch->full);
        cm_buf_deinit(&batch->entries);
}

void cm_audit_batch_reset(struct cm_audit_batch *batch)
{
        cm_buf_reset(&batch->full);
        cm_buf_reset(&batch->entries);
        batch->last_position = 0;
        batch->count = 0;
}

void cm_audit_batch_add(struct cm_audit_batch *batch, const struct cm_audit_row *row)
{
        uint8_t digest[CM_BLAKE2B_SIZE];

        cm_buf_reset(&batch->row);
        put_row(&batch->row, row);
        cm_blake2b(batch->row.data, batch->row.len, digest);
        cm_buf_add(&batch->full, digest, sizeof(digest));
        put_uint64(&batch->entries, (uint64_t)row->position);
        cm_buf_add(&batch->entries, digest, CM_AUDIT_ENTRY_SIZE - 8);
        batch->last_position = row->position;
        batch->count++;
}

void cm_audit_head_make(const struct cm_sign_key *key, const struct cm_audit_head *previous,
                        const struct cm_audit_batch *batch, cm_time now,
                        struct cm_audit_head *head_r)
{
        *head_r = (struct cm_audit_head){
                .number = previous ? previous->number + 1 : 1,
                .last_position = batch->last_position,
                .row_count = batch->count,
                .sealed_at = now,
                .digests = cm_buf_str(&batch->entries),
        };
        if (previous)
                memcpy(head_r->previous, previous->hash, sizeof(head_r->previous));
        cm_blake2b(batch->full.data, batch->full.len, head_r->rows_hash);
        hash_of_head(head_r, head_r->hash);
        cm_sign(key, head_r->hash, sizeof(head_r->hash), head_r->signature);
}

/* ---- checking */

const char *cm_audit_fault_name(int kind)
{
        static const char *const names[] = {
                [CM_AUDIT_ROW_CHANGED] = "was changed",
                [CM_AUDIT_ROW_MISSING] = "is missing",
                [CM_AUDIT_ROW_ADDED] = "was added after its seal",
                [CM_AUDIT_ROWS_CHANGED] = "were changed, and the list that tells which",
                [CM_AUDIT_LIST_CHANGED] = "has a changed list of its rows, which are right",
                [CM_AUDIT_HEAD_CHANGED] = "is not what was signed",
                [CM_AUDIT_HEAD_MISSING] = "is missing",
                [CM_AUDIT_REMOVED_EARLY] = "has lost its rows before their time",
        };

        return names[kind];
}

void cm_audit_check_init(struct cm_audit_check *check, const uint8_t public[CM_SIGN_PUBLIC_SIZE],
                         cm_time removed_before)
{
        *check = (struct cm_audit_check){ .removed_before = removed_before };
        memcpy(check->public, public, CM_SIGN_PUBLIC_SIZE);
}

void cm_audit_check_deinit(struct cm_audit_check *check)
{
        cm_audit_batch_deinit(&check->batch);
}

static int fail(struct cm_audit_check *check, int fault, int64_t head, int64_t position)
{
        if (!check->fault) {
                check->fault = fault;
                check->fault_head = head;
                check->fault_position = position;
        }
        return check->fault;
}

static bool is_signed(const struct cm_audit_check *check, const struct cm_audit_head *head)
{
        uint8_t hash[CM_BLAKE2B_SIZE];

        hash_of_head(head, hash);
        return memcmp(hash, head->hash, sizeof(hash)) == 0 &&
               cm_sign_holds(check->public, hash, sizeof(hash), head->signature);
}

static bool follows(const struct cm_audit_head *before, const struct cm_audit_head *head)
{
        static const uint8_t none[CM_BLAKE2B_SIZE];

        if (before->number == 0)
                return head->number > 1 || memcmp(head->previous, none, sizeof(none)) == 0;
        return memcmp(head->previous, before->hash, sizeof(before->hash)) == 0 &&
               head->last_position > before->last_position;
}

int cm_audit_check_head(struct cm_audit_check *check, const struct cm_audit_head *head)
{
        const struct cm_audit_head *before = &check->head;
        bool oldest = before->number == 0;
        bool without_rows = !head->digests.data;

        if (!oldest && head->number != before->number + 1)
                return fail(check, CM_AUDIT_HEAD_MISSING, before->number + 1,
                            before->last_position);
        if (head->number < 1 || !is_signed(check, head) || !follows(before, head))
                return fail(check, CM_AUDIT_HEAD_CHANGED, head->number, head->last_position);
        if (oldest && head->number > 1 && !without_rows)
                return fail(check, CM_AUDIT_HEAD_MISSING, head->number - 1, 0);
        if (without_rows && (!oldest || head->sealed_at > check->removed_before))
                return fail(check, CM_AUDIT_REMOVED_EARLY, head->number, head->last_position);
        if (head->digests.len % CM_AUDIT_ENTRY_SIZE)
                return fail(check, CM_AUDIT_LIST_CHANGED, head->number, head->last_position);
        check->head = *head;
        check->mismatch = 0;
        cm_audit_batch_reset(&check->batch);
        return 0;
}

static int64_t entry_position(struct cm_str list, size_t i)
{
        const uint8_t *bytes = (const uint8_t *)list.data + i * CM_AUDIT_ENTRY_SIZE;
        uint64_t position = 0;

        for (int n = 0; n < 8; n++)
                position = position << 8 | bytes[n];
        return (int64_t)position;
}

static void note(struct cm_audit_check *check, int mismatch, int64_t position)
{
        if (check->mismatch)
                return;
        check->mismatch = mismatch;
        check->mismatch_position = position;
}

/* The newest row of the batch against the head's list. */
static void compare(struct cm_audit_check *check, int64_t position)
{
        struct cm_str list = check->head.digests;
        size_t at = check->batch.entries.len - CM_AUDIT_ENTRY_SIZE;
        int64_t listed;

        if (list.len < at + CM_AUDIT_ENTRY_SIZE) {
                note(check, CM_AUDIT_ROW_ADDED, position);
                return;
        }
        if (memcmp(list.data + at, check->batch.entries.data + at, CM_AUDIT_ENTRY_SIZE) == 0)
                return;
        listed = entry_position(list, at / CM_AUDIT_ENTRY_SIZE);
        if (listed < position)
                note(check, CM_AUDIT_ROW_MISSING, listed);
        else
                note(check, listed > position ? CM_AUDIT_ROW_ADDED : CM_AUDIT_ROW_CHANGED,
                     position);
}

int cm_audit_check_row(struct cm_audit_check *check, const struct cm_audit_row *row)
{
        if (!check->head.digests.data)
                return fail(check, CM_AUDIT_ROW_ADDED, check->head.number, row->position);
        cm_audit_batch_add(&check->batch, row);
        compare(check, row->position);
        check->rows++;
        return 0;
}

int cm_audit_check_head_end(struct cm_audit_check *check)
{
        const struct cm_audit_head *head = &check->head;
        uint8_t hash[CM_BLAKE2B_SIZE];
        bool right;

        if (!head->digests.data)
                return 0;
        if (check->batch.entries.len < head->digests.len)
                note(check, CM_AUDIT_ROW_MISSING,
                     entry_position(head->digests, check->batch.entries.len / CM_AUDIT_ENTRY_SIZE));
        cm_blake2b(check->batch.full.data, check->batch.full.len, hash);
        right = check->batch.count == head->row_count &&
                memcmp(hash, head->rows_hash, sizeof(hash)) == 0;
        if (right && check->mismatch)
                return fail(check, CM_AUDIT_LIST_CHANGED, head->number, head->last_position);
        if (!right && check->mismatch)
                return fail(check, check->mismatch, head->number, check->mismatch_position);
        return right ? 0 : fail(check, CM_AUDIT_ROWS_CHANGED, head->number, head->last_position);
}
