#include "service/audit_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* A log in memory, sealed; then somebody without the key is at it. AUDIT_MUTATIONS: how many times
 * (default 4000). */

enum { ROWS = 240, PER_HEAD = 17, HEADS = (ROWS + PER_HEAD - 1) / PER_HEAD, FIELD_SIZE = 40 };

struct log {
        struct cm_audit_row rows[ROWS + 1];
        char text[ROWS + 1][CM_AUDIT_FIELDS][FIELD_SIZE];
        int row_count;
        struct cm_audit_head heads[HEADS];
        char lists[HEADS][PER_HEAD * CM_AUDIT_ENTRY_SIZE];
        int head_count;
};

static struct cm_sign_key key;
static struct log good;
static unsigned seed = 1;

static unsigned below(unsigned n)
{
        return (unsigned)rand_r(&seed) % n;
}

static void set_field(struct log *log, int row, int field, const char *text)
{
        struct cm_str *view = &log->rows[row].fields[field];

        *view = CM_STR_NONE;
        if (!text)
                return;
        (void)snprintf(log->text[row][field], FIELD_SIZE, "%s", text);
        *view = (struct cm_str){ log->text[row][field], strlen(text) };
}

/* Views of a copy must not lead into the original. */
static void copy(struct log *to)
{
        *to = good;
        for (int i = 0; i <= ROWS; i++)
                for (int f = 0; f < CM_AUDIT_FIELDS; f++)
                        if (to->rows[i].fields[f].data)
                                to->rows[i].fields[f].data = to->text[i][f];
        for (int i = 0; i < HEADS; i++)
                to->heads[i].digests.data = to->lists[i];
}

static void seal(struct log *log)
{
        struct cm_audit_batch batch = { 0 };

        for (int i = 0; i < log->row_count; i++) {
                struct cm_audit_head *head = &log->heads[log->head_count];

                cm_audit_batch_add(&batch, &log->rows[i]);
                if (batch.count < PER_HEAD && i + 1 < log->row_count)
                        continue;
                cm_audit_head_make(&key, log->head_count ? head - 1 : NULL, &batch, 1000 + i, head);
                memcpy(log->lists[log->head_count], head->digests.data, head->digests.len);
                head->digests.data = log->lists[log->head_count++];
                cm_audit_batch_reset(&batch);
        }
        cm_audit_batch_deinit(&batch);
}

static int setup(void **state CM_UNUSED)
{
        cm_sign_key_derive(&key, CM_STR("a secret of the configuration"), CM_STR("test"));
        for (int i = 0; i < ROWS; i++) {
                char text[FIELD_SIZE];

                good.rows[i].position = 2 * i + 1 + i / 50;
                good.rows[i].at = 1000000 + 7 * i;
                for (int f = 0; f < CM_AUDIT_FIELDS; f++) {
                        (void)snprintf(text, sizeof(text), "%d of %d", f, i);
                        set_field(&good, i, f, (i + f) % 5 == 0 ? NULL : (i + f) % 7 ? text : "");
                }
        }
        good.row_count = ROWS;
        seal(&good);
        assert_int_equal(good.head_count, HEADS);
        return 0;
}

static int check_head(struct cm_audit_check *check, const struct log *log, int h, int *row)
{
        int r = cm_audit_check_head(check, &log->heads[h]);

        while (!r && *row < log->row_count &&
               log->rows[*row].position <= log->heads[h].last_position)
                r = cm_audit_check_row(check, &log->rows[(*row)++]);
        return r ? r : cm_audit_check_head_end(check);
}

/* The fault, 0 for none; where it is in *position_r. */
static int examine(const struct log *log, cm_time removed_before, int64_t *position_r)
{
        struct cm_audit_check check;
        int row = 0, r = 0;

        cm_audit_check_init(&check, key.public, removed_before);
        for (int h = 0; h < log->head_count && !r; h++)
                r = check_head(&check, log, h, &row);
        if (position_r)
                *position_r = check.fault_position;
        cm_audit_check_deinit(&check);
        return r;
}

/* As it would be read: by position. */
static int by_position(const void *a, const void *b)
{
        const struct cm_audit_row *x = a, *y = b;

        return (x->position > y->position) - (x->position < y->position);
}

static void sort(struct log *log)
{
        qsort(log->rows, (size_t)log->row_count, sizeof(log->rows[0]), by_position);
}

static void drop_row(struct log *log, int row)
{
        memmove(&log->rows[row], &log->rows[row + 1],
                (size_t)(log->row_count - row - 1) * sizeof(log->rows[0]));
        log->row_count--;
}

static void flip(void *bytes, size_t len)
{
        ((uint8_t *)bytes)[below((unsigned)len)] ^= (uint8_t)(1u << below(8));
}

/* ---- what somebody may do; each returns false when it has changed nothing */

static bool flip_in_row(struct log *log, int row)
{
        struct cm_str *field = &log->rows[row].fields[below(CM_AUDIT_FIELDS)];

        if (below(8) == 0)
                flip(&log->rows[row].at, sizeof(cm_time));
        else if (field->len)
                flip((char *)field->data, field->len);
        else
                *field = field->data ? CM_STR_NONE : CM_STR("");
        return true;
}

static bool cut_field(struct log *log, int row)
{
        struct cm_str *field = &log->rows[row].fields[below(CM_AUDIT_FIELDS)];

        if (!field->len)
                return false;
        field->len--;
        return true;
}

static bool swap_fields(struct log *log, int row)
{
        int f = (int)below(CM_AUDIT_FIELDS - 1);
        struct cm_str first = log->rows[row].fields[f];

        if (cm_str_equal(first, log->rows[row].fields[f + 1]) &&
            !first.data == !log->rows[row].fields[f + 1].data)
                return false;
        log->rows[row].fields[f] = log->rows[row].fields[f + 1];
        log->rows[row].fields[f + 1] = first;
        return true;
}

static bool drop(struct log *log, int row)
{
        drop_row(log, row);
        return true;
}

static bool swap_rows(struct log *log, int row)
{
        int other = (int)below(ROWS);
        int64_t position = log->rows[row].position;

        log->rows[row].position = log->rows[other].position;
        log->rows[other].position = position;
        sort(log);
        return row != other;
}

static bool truncate(struct log *log, int row)
{
        log->row_count = row;
        return true;
}

static bool move_row(struct log *log, int row)
{
        int64_t position = 1 + below((unsigned)good.rows[ROWS - 1].position);

        for (int i = 0; i < ROWS; i++)
                if (log->rows[i].position == position)
                        return false;
        log->rows[row].position = position;
        sort(log);
        return true;
}

static bool add_row(struct log *log, int row)
{
        log->rows[ROWS] = log->rows[row];
        log->row_count = ROWS + 1;
        return move_row(log, ROWS);
}

static bool drop_head(struct log *log, int row)
{
        int h = row % (HEADS - 1); /* the newest is another matter */

        memmove(&log->heads[h], &log->heads[h + 1],
                (size_t)(HEADS - h - 1) * sizeof(log->heads[0]));
        log->head_count--;
        return true;
}

static bool swap_heads(struct log *log, int row)
{
        int h = row % HEADS, other = (int)below(HEADS);
        struct cm_audit_head head = log->heads[h];

        log->heads[h] = log->heads[other];
        log->heads[other] = head;
        return h != other;
}

static bool flip_in_head(struct log *log, int row)
{
        struct cm_audit_head *head = &log->heads[row % HEADS];

        switch (below(9)) {
        case 0:
                flip(&head->number, sizeof(head->number));
                break;
        case 1:
                flip(head->previous, sizeof(head->previous));
                break;
        case 2:
                flip(&head->last_position, sizeof(head->last_position));
                break;
        case 3:
                flip(&head->row_count, sizeof(head->row_count));
                break;
        case 4:
                flip(head->rows_hash, sizeof(head->rows_hash));
                break;
        case 5:
                flip(&head->sealed_at, sizeof(head->sealed_at));
                break;
        case 6:
                flip(head->hash, sizeof(head->hash));
                break;
        case 7:
                flip(head->signature, sizeof(head->signature));
                break;
        default:
                flip((char *)head->digests.data, head->digests.len);
        }
        return true;
}

static bool resize_list(struct log *log, int row)
{
        struct cm_audit_head *head = &log->heads[row % HEADS];

        head->digests.len -= below(2) ? 1 + below(CM_AUDIT_ENTRY_SIZE) : CM_AUDIT_ENTRY_SIZE;
        return true;
}

/* Says that the rows were removed for their age, which they are not. */
static bool feign_age(struct log *log, int row)
{
        int h = row % HEADS;

        if (below(2)) { /* with all that came before */
                memmove(&log->heads[0], &log->heads[h],
                        (size_t)(HEADS - h) * sizeof(log->heads[0]));
                log->head_count -= h;
                h = 0;
        }
        log->heads[h].digests = CM_STR_NONE;
        while (log->row_count && log->rows[0].position <= log->heads[h].last_position)
                drop_row(log, 0);
        return true;
}

/* A row, and what names it in the list, as if it had always been so. */
static bool change_row_and_list(struct log *log, int row)
{
        struct cm_audit_batch batch = { 0 };

        (void)flip_in_row(log, row);
        cm_audit_batch_add(&batch, &log->rows[row]);
        memcpy(log->lists[row / PER_HEAD] + (size_t)(row % PER_HEAD) * CM_AUDIT_ENTRY_SIZE,
               batch.entries.data, CM_AUDIT_ENTRY_SIZE);
        cm_audit_batch_deinit(&batch);
        return true;
}

/* A head made anew, with all that follows, under a key of one's own. */
static bool forge(struct log *log, int row)
{
        struct cm_sign_key mine = key;

        cm_sign_key_derive(&key, CM_STR("a guess"), CM_STR("test"));
        (void)flip_in_row(log, row);
        log->head_count = 0;
        seal(log);
        key = mine;
        return true;
}

static bool (*const mutations[])(struct log *, int row) = {
        flip_in_row,  cut_field,
        swap_fields,  drop,
        swap_rows,    truncate,
        move_row,     add_row,
        drop_head,    swap_heads,
        flip_in_head, resize_list,
        feign_age,    change_row_and_list,
        forge,
};

static void test_what_was_sealed_holds(void **state CM_UNUSED)
{
        assert_int_equal(examine(&good, 0, NULL), 0);
}

static void test_each_mutation_is_found(void **state CM_UNUSED)
{
        const char *wanted = getenv("AUDIT_MUTATIONS");
        int left = wanted ? atoi(wanted) : 4000;
        struct log *log = CM_NEW(struct log);

        while (left > 0) {
                unsigned kind = below(CM_COUNT(mutations)), before = seed;

                copy(log);
                if (!mutations[kind](log, (int)below(ROWS)))
                        continue;
                if (!examine(log, 0, NULL))
                        fail_msg("mutation %u (seed %u) was not found", kind, before);
                left--;
        }
        cm_free(log);
}

static void test_the_broken_row_is_named(void **state CM_UNUSED)
{
        struct log *log = CM_NEW(struct log);
        int64_t position;

        for (int row = 0; row < ROWS; row++) {
                copy(log);
                (void)flip_in_row(log, row);
                assert_int_equal(examine(log, 0, &position), CM_AUDIT_ROW_CHANGED);
                assert_int_equal(position, good.rows[row].position);
                copy(log);
                drop_row(log, row);
                assert_int_equal(examine(log, 0, &position), CM_AUDIT_ROW_MISSING);
                assert_int_equal(position, good.rows[row].position);
        }
        copy(log);
        log->rows[ROWS] = log->rows[3];
        log->rows[ROWS].position = good.rows[100].position + 1;
        log->row_count++;
        sort(log);
        assert_int_equal(examine(log, 0, &position), CM_AUDIT_ROW_ADDED);
        assert_int_equal(position, good.rows[100].position + 1);
        cm_free(log);
}

/* Rows of three heads were removed for their age; the newest of these heads stays. */
static void test_what_was_removed_for_its_age_may_be_gone(void **state CM_UNUSED)
{
        struct log *log = CM_NEW(struct log);
        cm_time sealed_at = good.heads[2].sealed_at;

        copy(log);
        memmove(&log->heads[0], &log->heads[2], (HEADS - 2) * sizeof(log->heads[0]));
        log->head_count -= 2;
        log->heads[0].digests = CM_STR_NONE;
        for (int i = 0; i < 3 * PER_HEAD; i++)
                drop_row(log, 0);
        assert_int_equal(examine(log, sealed_at, NULL), 0);
        assert_int_equal(examine(log, sealed_at - 1, NULL), CM_AUDIT_REMOVED_EARLY);
        cm_free(log);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_sealed_holds),
                cmocka_unit_test(test_each_mutation_is_found),
                cmocka_unit_test(test_the_broken_row_is_named),
                cmocka_unit_test(test_what_was_removed_for_its_age_may_be_gone),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
