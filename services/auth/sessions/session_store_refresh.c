#include "session_store_refresh.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "service/audit.h"

enum { MAX_ROWS = 64, ONCE_MORE = REFRESH_STOLEN + 1 };

struct session_refresh {
        struct cm_pg_gather *gather;
        int64_t grace_us;
        int64_t idle_us;
};

/* One token in a statement. */
struct row {
        const struct session_refresh *refresh;
        const struct refresh_attempt *attempt;
        uint8_t presented[CHAIN_DIGEST_SIZE];
        uint8_t child[CHAIN_DIGEST_SIZE];
        uint8_t wrapped[32];
        struct cm_audit_context context;
        bool is_repeated; /* its session is in the statement already */
        struct refresh_result *result_r;
        int outcome;
};

/*
 * The row assignment is evaluated again on the newest version of the row when another refresh was
 * faster, so the outcome that is stored, returned and written into the audit log is the one that
 * holds under the row's lock. Sessions are locked in the order of their ids, by whoever refreshes.
 *
 * What is found stolen (5) is left as it is: its end, its audit row and the mail to its owner are
 * one transaction (refresh_tokens.c). Whoever dies between has done nothing, and the same token is
 * found stolen again.
 */
static const struct cm_pg_statement session_refresh = {
        .name = "session_refresh",
        .writes = true,
        .by_index = true,
        .sql = "WITH presented AS ("
               " UPDATE sessions s SET (refresh_outcome, generation, previous_digest,"
               "   current_digest, wrapped_child, rotated_at, last_used_at, idle_expires_at) ="
               " (SELECT o,"
               "   CASE o WHEN 1 THEN s.generation + 1 ELSE s.generation END,"
               "   CASE o WHEN 1 THEN s.current_digest ELSE s.previous_digest END,"
               "   CASE o WHEN 1 THEN t.child ELSE s.current_digest END,"
               "   CASE o WHEN 1 THEN t.wrapped ELSE s.wrapped_child END,"
               "   CASE o WHEN 1 THEN now() ELSE s.rotated_at END,"
               "   CASE WHEN o <= 2 THEN now() ELSE s.last_used_at END,"
               "   CASE o WHEN 1 THEN least(now() + $11::int8 * interval '1 microsecond',"
               "                            s.expires_at)"
               "          ELSE s.idle_expires_at END"
               "  FROM (SELECT CASE WHEN f = 3 AND s.ended_at IS NULL THEN 5::smallint ELSE f END "
               "AS o"
               "        FROM (SELECT session_refresh_outcome(s, u.status, t.generation, t.digest,"
               "               $10::int8 * interval '1 microsecond') AS f OFFSET 0) found OFFSET 0)"
               "   decided)"
               " FROM unnest($1::int4[], $2::uuid[], $3::int4[], $4::bytea[], $5::bytea[],"
               "   $6::bytea[], $7::timestamptz[], $8::text[], $9::text[], $12::text[])"
               "   AS t(place, id, generation, digest, child, wrapped, at, ip, agent, request_id),"
               "  users u WHERE s.id = t.id AND u.id = s.user_id"
               " RETURNING t.place, s.id, s.refresh_outcome AS o, s.user_id, u.tenant_id,"
               "   u.user_type, s.wrapped_child, s.idle_expires_at,"
               "   u.password_must_change, t.at, t.ip, t.agent, t.request_id"
               "), logged AS ("
               " INSERT INTO audit_log (actor, user_id, action, target, outcome, method, reason,"
               "   at, ip, user_agent, request_id)"
               " SELECT CASE WHEN o <= 2 THEN user_id END, user_id, 'session.refresh', id::text,"
               "   CASE WHEN o <= 2 THEN 'done' ELSE 'refused' END, 'refresh',"
               "   CASE o WHEN 2 THEN 'same_child' WHEN 3 THEN 'token_reused'"
               "          WHEN 4 THEN 'session_over' END,"
               "   at, ip, agent, request_id FROM presented WHERE o <= 4)"
               " SELECT place, o, user_id, tenant_id, user_type, wrapped_child, idle_expires_at,"
               "   password_must_change FROM presented",
};

/* ---- the statement's parameters */

static const struct cm_uuid *session_of(const struct row *row)
{
        return &row->attempt->presented->session_id;
}

struct placed {
        struct row *row;
        int place;
};

static int by_session(const void *a, const void *b)
{
        const struct placed *x = a;
        const struct placed *y = b;

        return memcmp(session_of(x->row), session_of(y->row), sizeof(struct cm_uuid));
}

/* By the ids of their sessions, each session once: what comes for it again waits. Returns how many.
 */
static size_t arrange(void *const *rows, size_t count, struct placed *placed)
{
        size_t kept = 0;

        for (size_t i = 0; i < count; i++)
                placed[i] = (struct placed){ rows[i], (int)i };
        qsort(placed, count, sizeof(*placed), by_session);
        for (size_t i = 0; i < count; i++) {
                placed[i].row->is_repeated = kept && by_session(&placed[i], &placed[kept - 1]) == 0;
                if (!placed[i].row->is_repeated)
                        placed[kept++] = placed[i];
        }
        return kept;
}

static struct cm_str bytes_of(const uint8_t bytes[32])
{
        return (struct cm_str){ (const char *)bytes, 32 };
}

#define PUT(kind, put)                                                                             \
        do {                                                                                       \
                cm_pg_array_begin(params, kind);                                                   \
                for (size_t i = 0; i < count; i++)                                                 \
                        put;                                                                       \
                cm_pg_array_end(params);                                                           \
        } while (0)

static void encode(void *const *rows, size_t all, struct cm_pg_params *params)
{
        const struct session_refresh *refresh = ((struct row *)rows[0])->refresh;
        struct placed placed[MAX_ROWS];
        size_t count = arrange(rows, all, placed);

        PUT(CM_PG_INT4_ARRAY, cm_pg_array_int(params, placed[i].place));
        PUT(CM_PG_UUID_ARRAY, cm_pg_array_uuid(params, session_of(placed[i].row)));
        PUT(CM_PG_INT4_ARRAY,
            cm_pg_array_int(params, placed[i].row->attempt->presented->generation));
        PUT(CM_PG_BYTEA_ARRAY, cm_pg_array_text(params, bytes_of(placed[i].row->presented)));
        PUT(CM_PG_BYTEA_ARRAY, cm_pg_array_text(params, bytes_of(placed[i].row->child)));
        PUT(CM_PG_BYTEA_ARRAY, cm_pg_array_text(params, bytes_of(placed[i].row->wrapped)));
        PUT(CM_PG_TIME_ARRAY, cm_pg_array_int(params, placed[i].row->context.at));
        PUT(CM_PG_TEXT_ARRAY, cm_pg_array_text(params, placed[i].row->context.ip));
        PUT(CM_PG_TEXT_ARRAY, cm_pg_array_text(params, placed[i].row->context.user_agent));
        cm_pg_put_int8(params, refresh->grace_us);
        cm_pg_put_int8(params, refresh->idle_us);
        PUT(CM_PG_TEXT_ARRAY, cm_pg_array_text(params, placed[i].row->context.request_id));
}

/* ---- its answer */

static int read_refresh(const struct cm_pg_result *rows, int at, struct refresh_result *result_r)
{
        struct cm_str wrapped = cm_pg_text(rows, at, 5);

        result_r->user_id = cm_pg_uuid(rows, at, 2);
        result_r->tenant_id = cm_pg_uuid(rows, at, 3);
        result_r->user_type = (int32_t)cm_pg_int(rows, at, 4);
        if (wrapped.len == sizeof(result_r->wrapped_child))
                memcpy(result_r->wrapped_child, wrapped.data, wrapped.len);
        result_r->idle_expires_at = cm_pg_time(rows, at, 6);
        result_r->must_change = cm_pg_bool(rows, at, 7);
        return (int)cm_pg_int(rows, at, 1);
}

static int answer(void *arg, size_t index, const struct cm_pg_result *result)
{
        struct row *row = arg;

        row->outcome = row->is_repeated ? ONCE_MORE : REFRESH_OVER /* there is no such session */;
        for (int i = 0; i < result->rows && !row->is_repeated; i++)
                if (cm_pg_int(result, i, 0) == (int64_t)index)
                        row->outcome = read_refresh(result, i, row->result_r);
        return 0;
}

/* ---- */

int session_refresh_new(struct cm_pg *pg, int64_t grace_us, int64_t idle_us,
                        struct session_refresh **refresh_r)
{
        static const struct cm_pg_gather_spec spec = {
                .statement = &session_refresh,
                .max_rows = MAX_ROWS,
                .encode = encode,
                .answer = answer,
                .role = "service",
        };
        struct session_refresh *refresh = CM_NEW(struct session_refresh);
        int r = cm_pg_gather_new(pg, &spec, &refresh->gather);

        refresh->grace_us = grace_us;
        refresh->idle_us = idle_us;
        *refresh_r = refresh;
        if (r)
                session_refresh_free(refresh_r);
        return r;
}

void session_refresh_free(struct session_refresh **refresh)
{
        struct session_refresh *it = *refresh;

        *refresh = NULL;
        if (!it)
                return;
        cm_pg_gather_free(&it->gather);
        cm_free(it);
}

int session_refresh_present(struct session_refresh *refresh, struct cm_request *request,
                            const struct refresh_attempt *attempt, struct refresh_result *result_r)
{
        struct row row = {
                .refresh = refresh,
                .attempt = attempt,
                .context = cm_audit_context(request),
                .result_r = result_r,
        };
        int r;

        chain_link_digest(attempt->presented, row.presented);
        chain_link_digest(attempt->child, row.child);
        chain_link_wrap(attempt->presented, attempt->child->secret, row.wrapped);
        do
                r = cm_pg_gather_row(refresh->gather, &row);
        while (r == 0 && row.outcome == ONCE_MORE);
        if (r)
                return r < 0 ? r : -CM_E_DATABASE;
        return row.outcome;
}

/* ---- the end of a stolen one */

static const struct cm_pg_statement session_stolen = {
        .name = "session_stolen",
        .writes = true,
        .sql = "UPDATE sessions SET ended_at = now(), ended_reason = 2, refresh_outcome = 3"
               " WHERE id = $1::uuid AND ended_at IS NULL RETURNING 1",
};

static const struct cm_pg_statement session_ended_by = {
        .name = "session_ended_by",
        .sql = "SELECT ended_reason FROM sessions WHERE id = $1::uuid",
};

int session_store_stolen(struct cm_pg_tx *tx, const struct cm_uuid *session_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result ended = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result before = { 0 };
        int r;

        cm_pg_put_uuid(&params, session_id);
        r = cm_pg_tx_query(tx, &session_stolen, &params, &ended);
        if (!r && !ended.rows)
                r = cm_pg_tx_query(tx, &session_ended_by, &params, &before);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (ended.rows)
                return 0;
        return before.rows && cm_pg_int(&before, 0, 0) == 2 ? REFRESH_REUSED : REFRESH_OVER;
}
