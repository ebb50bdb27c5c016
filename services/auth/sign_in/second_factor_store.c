#include "second_factor_store.h"

#include "base/error.h"
#include "service/audit.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

static struct cm_str digest_bytes(const uint8_t digest[CM_SHA256_SIZE])
{
        return (struct cm_str){ (const char *)digest, CM_SHA256_SIZE };
}

/* An outcome that a statement cannot have is our own fault. */
static int no_outcome(int r)
{
        return r > 0 ? -CM_E_DATABASE : r;
}

static const struct cm_pg_statement factor_read = {
        .name = "second_factor_read",
        .sql = "SELECT f.confirmed_at, (SELECT count(*) FROM recovery_codes c"
               "   WHERE c.user_id = f.user_id AND c.used_at IS NULL)"
               " FROM second_factors f WHERE f.user_id = $1::uuid AND f.confirmed_at IS NOT NULL",
};

int second_factor_store_read(struct cm_pg *pg, const struct cm_uuid *user_id,
                             struct second_factor_state *state_r)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_query(pg, &scope, &factor_read, &params, &rows);
        if (r)
                return no_outcome(r);
        *state_r = (struct second_factor_state){ 0 };
        if (rows.rows)
                *state_r = (struct second_factor_state){ true, cm_pg_time(&rows, 0, 0),
                                                         cm_pg_int(&rows, 0, 1) };
        return 0;
}

static const struct cm_pg_statement factor_enrol = {
        .name = "second_factor_enrol",
        .writes = true,
        .sql = "INSERT INTO second_factors (user_id, sealed) VALUES ($1::uuid, $2::text)"
               " ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, created_at = now()"
               " WHERE second_factors.confirmed_at IS NULL RETURNING 1",
};

static int enrol_in(struct cm_pg_tx *tx, const struct cm_pg_params *params,
                    const struct cm_pg_params *audit)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_tx_query(tx, &factor_enrol, params, &rows);

        if (!r && !rows.rows)
                return SECOND_FACTOR_IN_USE;
        return no_outcome(r ? r : cm_pg_tx_query(tx, &cm_audit_insert, audit, NULL));
}

int second_factor_store_enrol(struct cm_pg *pg, const struct cm_uuid *user_id, struct cm_str sealed,
                              const struct cm_pg_params *audit)
{
        const struct cm_pg_scope scope = { .users = user_id, .count = 1 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r;

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_text(&params, sealed);
        r = cm_pg_begin(pg, &scope, &tx);
        if (!r)
                r = enrol_in(tx, &params, audit);
        return r ? r : no_outcome(cm_pg_commit(&tx));
}

/* Under the row's lock; a full counter stays one above the limit and its window where it began. */
static const struct cm_pg_statement factor_try = {
        .name = "second_factor_try",
        .writes = true,
        .sql = "UPDATE second_factors f SET (failures, failing_since) ="
               " (SELECT CASE WHEN fresh THEN 1 ELSE least(f.failures + 1, $2::int8 + 1)::int4 END,"
               "         CASE WHEN fresh THEN now() ELSE f.failing_since END"
               "  FROM (SELECT f.failures = 0"
               "        OR f.failing_since <= now() - $3::int8 * interval '1 microsecond' AS "
               "fresh) w)"
               " WHERE f.user_id = $1::uuid"
               " RETURNING f.sealed, f.last_step, f.confirmed_at IS NOT NULL,"
               "   f.failures <= $2::int8, $3::int8"
               "     - (extract(epoch FROM now() - f.failing_since) * 1000000)::int8",
};

int second_factor_store_try(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user_id,
                            const struct code_limit *limit, struct code_attempt *attempt_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        cm_pg_put_int8(&params, limit->most);
        cm_pg_put_int8(&params, limit->window_us);
        r = cm_pg_query(pg, &service_scope, &factor_try, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return SECOND_FACTOR_NONE;
        *attempt_r = (struct code_attempt){
                .sealed = cm_arena_str(arena, cm_pg_text(&rows, 0, 0)),
                .last_step = cm_pg_int(&rows, 0, 1),
                .confirmed = cm_pg_bool(&rows, 0, 2),
                .wait_us = cm_pg_int(&rows, 0, 4),
        };
        return cm_pg_bool(&rows, 0, 3) ? 0 : SECOND_FACTOR_LIMIT_REACHED;
}

static const struct cm_pg_statement step_spend = {
        .name = "second_factor_step_spend",
        .writes = true,
        .sql = "UPDATE second_factors SET last_step = $2::int8, failures = 0"
               " WHERE user_id = $1::uuid AND last_step < $2::int8 RETURNING 1",
};

static const struct cm_pg_statement recovery_spend = {
        .name = "recovery_code_spend",
        .writes = true,
        .sql = "WITH spent AS (UPDATE recovery_codes SET used_at = now()"
               "   WHERE user_id = $1::uuid AND digest = $2::bytea AND used_at IS NULL RETURNING 1)"
               " UPDATE second_factors SET failures = 0"
               " WHERE user_id = $1::uuid AND confirmed_at IS NOT NULL AND EXISTS (SELECT FROM "
               "spent)"
               " RETURNING 1",
};

int second_factor_store_spend(struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                              const struct fitting_code *code)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        if (code->step)
                cm_pg_put_int8(&params, code->step);
        else
                cm_pg_put_bytes(&params, digest_bytes(code->recovery));
        r = cm_pg_tx_query(tx, code->step ? &step_spend : &recovery_spend, &params, &rows);
        if (r)
                return no_outcome(r);
        return rows.rows ? 0 : SECOND_FACTOR_SPENT;
}

static const struct cm_pg_statement factor_confirm = {
        .name = "second_factor_confirm",
        .writes = true,
        .sql = "UPDATE second_factors SET confirmed_at = now()"
               " WHERE user_id = $1::uuid AND confirmed_at IS NULL RETURNING 1",
};

int second_factor_store_confirm(struct cm_pg_tx *tx, const struct cm_uuid *user_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, user_id);
        r = cm_pg_tx_query(tx, &factor_confirm, &params, &rows);
        if (r)
                return no_outcome(r);
        return rows.rows ? 0 : SECOND_FACTOR_SPENT;
}

static const struct cm_pg_statement codes_clear = {
        .name = "recovery_codes_clear",
        .writes = true,
        .sql = "DELETE FROM recovery_codes WHERE user_id = $1::uuid",
};

static const struct cm_pg_statement codes_insert = {
        .name = "recovery_codes_insert",
        .writes = true,
        .sql = "INSERT INTO recovery_codes (user_id, digest) SELECT $1::uuid, unnest($2::bytea[])",
};

int second_factor_store_codes(struct cm_pg_tx *tx, const struct cm_uuid *user_id,
                              const uint8_t (*digests)[CM_SHA256_SIZE], size_t count)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params whose = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params codes = { 0 };
        int r;

        cm_pg_put_uuid(&whose, user_id);
        cm_pg_put_uuid(&codes, user_id);
        cm_pg_array_begin(&codes, CM_PG_BYTEA_ARRAY);
        for (size_t i = 0; i < count; i++)
                cm_pg_array_text(&codes, digest_bytes(digests[i]));
        cm_pg_array_end(&codes);
        r = cm_pg_tx_query(tx, &codes_clear, &whose, NULL);
        return no_outcome(r ? r : cm_pg_tx_query(tx, &codes_insert, &codes, NULL));
}

static const struct cm_pg_statement factor_remove = {
        .name = "second_factor_remove",
        .writes = true,
        .sql = "DELETE FROM second_factors WHERE user_id = $1::uuid",
};

int second_factor_store_remove(struct cm_pg_tx *tx, const struct cm_uuid *user_id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user_id);
        return no_outcome(cm_pg_tx_query(tx, &factor_remove, &params, NULL));
}

/* ---- tickets */

static const struct cm_pg_statement tickets_clear = {
        .name = "login_tickets_clear",
        .writes = true,
        .sql = "DELETE FROM login_tickets WHERE user_id = $1::uuid AND expires_at <= now()",
};

static const struct cm_pg_statement ticket_insert = {
        .name = "login_ticket_insert",
        .writes = true,
        .sql = "INSERT INTO login_tickets (digest, user_id, password_hash, device_name, expires_at)"
               " VALUES ($1::bytea, $2::uuid, $3::text, $4::text,"
               "         now() + $5::int8 * interval '1 microsecond')",
};

int login_ticket_store(struct cm_pg *pg, const uint8_t digest[CM_SHA256_SIZE],
                       const struct login_ticket *ticket, const struct cm_pg_params *audit)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params whose = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        const struct cm_pg_flight_item items[] = {
                { &tickets_clear, &whose, NULL },
                { &ticket_insert, &params, NULL },
                { &cm_audit_insert, audit, NULL },
        };

        cm_pg_put_uuid(&whose, &ticket->user_id);
        cm_pg_put_bytes(&params, digest_bytes(digest));
        cm_pg_put_uuid(&params, &ticket->user_id);
        cm_pg_put_text(&params, ticket->password_hash);
        cm_pg_put_text(&params, ticket->device_name);
        cm_pg_put_int8(&params, ticket->life_us);
        return no_outcome(cm_pg_flight(pg, &service_scope, items, CM_COUNT(items), NULL));
}

static const struct cm_pg_statement ticket_read = {
        .name = "login_ticket_read",
        .sql = "SELECT user_id, password_hash, device_name FROM login_tickets"
               " WHERE digest = $1::bytea AND expires_at > now()",
};

int login_ticket_read(struct cm_pg *pg, struct cm_arena *arena,
                      const uint8_t digest[CM_SHA256_SIZE], struct login_ticket *ticket_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_bytes(&params, digest_bytes(digest));
        r = cm_pg_query(pg, &service_scope, &ticket_read, &params, &rows);
        if (r)
                return no_outcome(r);
        if (!rows.rows)
                return SECOND_FACTOR_NONE;
        *ticket_r = (struct login_ticket){
                .user_id = cm_pg_uuid(&rows, 0, 0),
                .password_hash = cm_arena_str(arena, cm_pg_text(&rows, 0, 1)),
                .device_name = cm_arena_str(arena, cm_pg_text(&rows, 0, 2)),
        };
        return 0;
}

static const struct cm_pg_statement ticket_spend = {
        .name = "login_ticket_spend",
        .writes = true,
        .sql = "DELETE FROM login_tickets WHERE digest = $1::bytea AND expires_at > now() "
               "RETURNING 1",
};

static int redeem_in(struct cm_pg_tx *tx, const uint8_t digest[CM_SHA256_SIZE],
                     const struct fitting_code *code, const struct session_start *start)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params ticket = { 0 };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params session = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result spent = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result begun = { 0 };
        int r;

        cm_pg_put_bytes(&ticket, digest_bytes(digest));
        session_store_insert_params(start, &session);
        r = cm_pg_tx_query(tx, &ticket_spend, &ticket, &spent);
        if (!r && !spent.rows)
                return SECOND_FACTOR_SPENT;
        if (!r)
                r = second_factor_store_spend(tx, &start->user_id, code);
        if (r)
                return r;
        r = cm_pg_tx_query(tx, &session_store_insert, &session, &begun);
        if (!r && !begun.rows)
                return SECOND_FACTOR_SPENT;
        return no_outcome(r);
}

int login_ticket_redeem(struct cm_pg *pg, const uint8_t digest[CM_SHA256_SIZE],
                        const struct fitting_code *code, const struct session_start *start,
                        const struct cm_pg_params *audit)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = cm_pg_begin(pg, &service_scope, &tx);

        if (!r)
                r = redeem_in(tx, digest, code, start);
        if (r)
                return r;
        r = cm_pg_tx_query(tx, &cm_audit_insert, audit, NULL);
        return no_outcome(r ? r : cm_pg_commit(&tx));
}
