#include "service/audit_verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "service/audit_seal.h"
#include "sys/fiber.h"

/*
 * Rows and heads are read by pages, each along its key. The next page of rows is on its way while
 * one is being checked.
 */
#define ROWS_PAGE  5000
#define HEADS_PAGE 200
#define STEP_US    CM_MINUTE
#define CONNECT_US (10 * CM_SECOND)

enum { BROKEN = 1 };

struct page {
        struct cm_pg_result rows;
        int64_t after;
        int result;
};

struct verify {
        const struct cm_audit_verify_config *config;
        struct cm_loop *loop;
        struct cm_pg *pg;
        struct cm_audit_check check;
        struct page pages[2]; /* the current one and the next */
        int current;
        int at; /* of the current page's rows */
        struct cm_group fetching;
        int64_t after_head;
        int64_t known_number; /* of config->head; 0: none */
        char known_hash[2 * CM_BLAKE2B_SIZE + 1];
        bool known_found;
        int64_t unsealed;
        int result;
};

static const struct cm_pg_scope service_scope = { .role = "service" };

static const struct cm_pg_statement read_rows = {
        .name = "audit_verify_rows",
        .by_index = true,
        .sql = "SELECT " CM_AUDIT_ROW_COLUMNS " FROM audit_log WHERE position > $1::int8"
               " ORDER BY position LIMIT $2::int4",
};

static const struct cm_pg_statement read_heads = {
        .name = "audit_verify_heads",
        .by_index = true,
        .sql = "SELECT " CM_AUDIT_HEAD_COLUMNS ", digests FROM audit_heads"
               " WHERE number > $1::int8 ORDER BY number LIMIT $2::int4",
};

static int query(struct verify *verify, const struct cm_pg_statement *statement, int64_t after,
                 int32_t limit, struct cm_pg_result *rows_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        (void)cm_fiber_set_deadline(cm_monotonic_us() + STEP_US);
        cm_pg_put_int8(&params, after);
        cm_pg_put_int4(&params, limit);
        r = cm_pg_query(verify->pg, &service_scope, statement, &params, rows_r);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- rows */

static void fetch_fiber(void *arg)
{
        struct verify *verify = arg;
        struct page *next = &verify->pages[!verify->current];

        cm_pg_result_clear(&next->rows);
        next->result = query(verify, &read_rows, next->after, ROWS_PAGE, &next->rows);
}

static int fetch_next(struct verify *verify)
{
        return cm_group_start(&verify->fetching, "fetch", fetch_fiber, verify);
}

/* The next page becomes the current one, and the one after it is asked for. */
static int turn_page(struct verify *verify)
{
        struct page *page;
        int r = cm_group_join(&verify->fetching);

        verify->current = !verify->current;
        verify->at = 0;
        page = &verify->pages[verify->current];
        if (r || page->result || page->rows.rows < ROWS_PAGE)
                return r ? r : page->result;
        verify->pages[!verify->current].after = cm_pg_int(&page->rows, page->rows.rows - 1, 0);
        return fetch_next(verify);
}

/* The next row, when its position is at most `up_to`; *there_r tells. */
static int next_row(struct verify *verify, int64_t up_to, struct cm_audit_row *row_r, bool *there_r)
{
        struct page *page = &verify->pages[verify->current];

        *there_r = false;
        if (verify->at == page->rows.rows && page->rows.rows == ROWS_PAGE) {
                int r = turn_page(verify);

                if (r)
                        return r;
                page = &verify->pages[verify->current];
        }
        if (verify->at == page->rows.rows || cm_pg_int(&page->rows, verify->at, 0) > up_to)
                return 0;
        cm_audit_row_read(&page->rows, verify->at++, row_r);
        *there_r = true;
        return 0;
}

/* ---- heads */

static void look_for_known(struct verify *verify, const struct cm_audit_head *head)
{
        char hash[2 * CM_BLAKE2B_SIZE + 1];

        cm_hex_encode(head->hash, sizeof(head->hash), hash);
        if (head->number == verify->known_number && strcmp(hash, verify->known_hash) == 0)
                verify->known_found = true;
        if (verify->check.head.number == 0 && verify->known_number < head->number)
                verify->known_found = true; /* it went with its rows, by its age */
}

/* 0, BROKEN or an error. */
static int check_head(struct verify *verify, const struct cm_pg_result *heads, int i)
{
        struct cm_audit_head head;
        struct cm_audit_row row;
        bool there = false;
        int r;

        if (!cm_audit_head_read(heads, i, &head))
                memset(head.signature, 0, sizeof(head.signature)); /* no signature fits */
        head.digests = cm_pg_text(heads, i, 8);
        look_for_known(verify, &head);
        if (cm_audit_check_head(&verify->check, &head))
                return BROKEN;
        do {
                r = next_row(verify, head.last_position, &row, &there);
                if (!r && there && cm_audit_check_row(&verify->check, &row))
                        return BROKEN;
        } while (!r && there);
        if (!r && cm_audit_check_head_end(&verify->check))
                return BROKEN;
        return r;
}

static int check_heads(struct verify *verify)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result heads = { 0 };
        int r;

        do {
                cm_pg_result_clear(&heads);
                r = query(verify, &read_heads, verify->check.head.number, HEADS_PAGE, &heads);
                for (int i = 0; !r && i < heads.rows; i++)
                        r = check_head(verify, &heads, i);
        } while (!r && heads.rows == HEADS_PAGE);
        return r;
}

static int count_unsealed(struct verify *verify)
{
        struct cm_audit_row row;
        bool there;
        int r;

        do {
                r = next_row(verify, INT64_MAX, &row, &there);
                verify->unsealed += there;
        } while (!r && there);
        return r;
}

static int check_all(struct verify *verify)
{
        int r;

        verify->pages[0].rows.rows = ROWS_PAGE; /* a page that was read, before the first */
        verify->at = ROWS_PAGE;
        r = fetch_next(verify);
        if (!r)
                r = turn_page(verify);
        if (!r)
                r = check_heads(verify);
        if (!r)
                r = count_unsealed(verify);
        if (cm_group_join(&verify->fetching) && !r)
                r = -CM_E_CANCELLED;
        return r;
}

/* ---- what is said */

static void say_fault(const struct cm_audit_check *check)
{
        const char *what = cm_audit_fault_name(check->fault);

        switch (check->fault) {
        case CM_AUDIT_ROW_CHANGED:
        case CM_AUDIT_ROW_MISSING:
        case CM_AUDIT_ROW_ADDED:
                printf("BROKEN: row %" PRId64 " %s (head %" PRId64 ")\n", check->fault_position,
                       what, check->fault_head);
                break;
        case CM_AUDIT_ROWS_CHANGED:
                printf("BROKEN: rows up to %" PRId64 " %s (head %" PRId64 ")\n",
                       check->fault_position, what, check->fault_head);
                break;
        default:
                printf("BROKEN: head %" PRId64 " %s (its rows end with %" PRId64 ")\n",
                       check->fault_head, what, check->fault_position);
        }
}

static void say_whole(const struct verify *verify)
{
        const struct cm_audit_head *head = &verify->check.head;
        char hash[2 * CM_BLAKE2B_SIZE + 1] = "none";

        if (head->number)
                cm_hex_encode(head->hash, sizeof(head->hash), hash);
        printf("whole: %" PRId64 " rows as they were sealed, %" PRId64
               " not sealed yet; newest head %" PRId64 ":%s\n",
               verify->check.rows, verify->unsealed, head->number, hash);
}

static int conclude(struct verify *verify, int r)
{
        if (r == BROKEN) {
                say_fault(&verify->check);
                return r;
        }
        if (r)
                return r;
        if (verify->known_number && !verify->known_found) {
                printf("BROKEN: head %" PRId64 " was there and is not: the log was cut off after "
                       "head %" PRId64 "\n",
                       verify->known_number, verify->check.head.number);
                return BROKEN;
        }
        say_whole(verify);
        return 0;
}

/* ---- the command */

static void main_fiber(void *arg)
{
        struct verify *verify = arg;
        int64_t end_us = cm_monotonic_us() + CONNECT_US;
        int r = 0;

        while (!r && !cm_pg_is_ready(verify->pg) && cm_monotonic_us() < end_us)
                r = cm_fiber_sleep(2 * CM_MILLISECOND);
        if (!r)
                r = cm_pg_is_ready(verify->pg) ? check_all(verify) : -CM_E_UNAVAILABLE;
        verify->result = conclude(verify, r);
        cm_pg_result_clear(&verify->pages[0].rows);
        cm_pg_result_clear(&verify->pages[1].rows);
        cm_loop_stop(verify->loop);
}

static void start_main(void *arg)
{
        struct verify *verify = arg;

        verify->result = cm_fiber_start("verify", main_fiber, verify, CM_NEVER);
        if (verify->result)
                cm_loop_stop(verify->loop);
}

static bool read_known(struct verify *verify, const char *text)
{
        struct cm_str rest = cm_str_from(text), number;

        if (!text)
                return true;
        if (!cm_str_split(&rest, ':', &number) || rest.len != 2 * CM_BLAKE2B_SIZE ||
            !cm_str_to_int(number, &verify->known_number) || verify->known_number < 1)
                return false;
        memcpy(verify->known_hash, rest.data, rest.len);
        return true;
}

static int run(struct verify *verify)
{
        const struct cm_fiber_pool_config fibers = { 65536, 8, 8 };
        const struct cm_pg_config pg = {
                .conninfo = verify->config->conninfo,
                .connections = 2,
                .tx_connections = 1,
                .max_waiting = 10,
                .connect_timeout_us = CONNECT_US,
                .backoff_max_us = CM_SECOND,
                .statement_timeout_us = STEP_US,
                .stall_timeout_us = STEP_US,
        };
        int r = cm_loop_new(&verify->loop);

        if (!r)
                r = cm_fiber_pool_init(verify->loop, &fibers);
        if (!r)
                r = cm_pg_new(verify->loop, &pg, &verify->pg);
        if (r)
                return r;
        cm_loop_defer(verify->loop, start_main, verify);
        cm_loop_run(verify->loop);
        cm_pg_free(&verify->pg);
        cm_fiber_pool_deinit(verify->loop);
        cm_loop_free(&verify->loop);
        return verify->result;
}

int cm_audit_verify(const struct cm_audit_verify_config *config)
{
        struct verify verify = { .config = config };
        struct cm_sign_key key;
        int r;

        if (!read_known(&verify, config->head)) {
                (void)fprintf(stderr, "a head is NUMBER:HASH, as this command prints it\n");
                return -CM_E_CONFIG;
        }
        cm_audit_key(&key, config->secret);
        cm_audit_check_init(&verify.check, key.public, cm_now(&cm_clock_system) - config->keep_us);
        cm_wipe(&key, sizeof(key));
        cm_group_init(&verify.fetching);
        r = run(&verify);
        if (r < 0)
                (void)fprintf(stderr, "the audit log could not be read: %s\n", cm_error_name(r));
        cm_audit_check_deinit(&verify.check);
        return r;
}
