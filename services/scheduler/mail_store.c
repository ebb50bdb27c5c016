#include "mail_store.h"

#include "base/error.h"
#include "schedule_store.h"

static const struct cm_pg_scope sender_scope = { .role = "sender" };

static const struct cm_pg_statement keep = {
        .name = "mail_keep",
        .writes = true,
        .sql = "WITH told AS (SELECT pg_notify('" SCHEDULE_CHANNEL "', ''))"
               " INSERT INTO mails (id, user_id, template, language, time_zone, sealed, expires_at,"
               " due_at) SELECT $1::uuid, $2::uuid, $3::int2, $4::text, $5::text, $6::text,"
               " $7::timestamptz, clock_timestamp() FROM told ON CONFLICT (id) DO NOTHING",
};

int mail_store_keep(struct cm_pg_tx *tx, const struct cm_uuid *user,
                    const struct mail_requested *mail)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &mail->mail_id);
        cm_pg_put_uuid(&params, user);
        cm_pg_put_int2(&params, (int16_t)mail->template);
        cm_pg_put_text(&params, mail->language);
        cm_pg_put_text(&params, mail->time_zone);
        cm_pg_put_text(&params, mail->sealed);
        cm_pg_put_time(&params, mail->expires_at);
        return cm_pg_tx_query(tx, &keep, &params, NULL);
}

static const struct cm_pg_statement claim = {
        .name = "mail_claim",
        .writes = true,
        .sql = "WITH due AS (SELECT id FROM mails WHERE due_at <= clock_timestamp()"
               " ORDER BY due_at LIMIT $1::int4 FOR UPDATE SKIP LOCKED)"
               " UPDATE mails m SET attempts = m.attempts + 1,"
               " due_at = clock_timestamp() + $2::int8 * interval '1 microsecond'"
               " FROM due WHERE m.id = due.id RETURNING m.id, m.template, m.language, m.time_zone,"
               " m.sealed, m.expires_at, m.attempts",
};

int mail_store_claim(struct cm_pg *pg, struct cm_arena *arena, int64_t lease_us, size_t room,
                     struct mail_job **jobs_r, size_t *count_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_int4(&params, (int32_t)room);
        cm_pg_put_int8(&params, lease_us);
        r = cm_pg_query(pg, &sender_scope, &claim, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        *count_r = (size_t)rows.rows;
        *jobs_r = cm_arena_array(arena, *count_r + 1, sizeof(**jobs_r));
        for (int i = 0; i < rows.rows; i++)
                (*jobs_r)[i] = (struct mail_job){
                        .id = cm_pg_uuid(&rows, i, 0),
                        .template = (int32_t)cm_pg_int(&rows, i, 1),
                        .language = cm_arena_str(arena, cm_pg_text(&rows, i, 2)),
                        .time_zone = cm_arena_str(arena, cm_pg_text(&rows, i, 3)),
                        .sealed = cm_arena_str(arena, cm_pg_text(&rows, i, 4)),
                        .expires_at = cm_pg_time(&rows, i, 5),
                        .attempt = (int)cm_pg_int(&rows, i, 6),
                };
        return 0;
}

static const struct cm_pg_statement done = {
        .name = "mail_done",
        .writes = true,
        .sql = "DELETE FROM mails WHERE id = $1::uuid AND attempts = $2::int2",
};

static const struct cm_pg_statement later = {
        .name = "mail_later",
        .writes = true,
        .sql = "UPDATE mails SET due_at = clock_timestamp() + $3::int8 * interval '1 microsecond'"
               " WHERE id = $1::uuid AND attempts = $2::int2",
};

static void put_key(struct cm_pg_params *params, const struct mail_job *job)
{
        cm_pg_put_uuid(params, &job->id);
        cm_pg_put_int2(params, (int16_t)job->attempt);
}

int mail_store_done(struct cm_pg *pg, const struct mail_job *job)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        put_key(&params, job);
        r = cm_pg_query(pg, &sender_scope, &done, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int mail_store_later(struct cm_pg *pg, const struct mail_job *job, int64_t wait_us)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        put_key(&params, job);
        cm_pg_put_int8(&params, wait_us);
        r = cm_pg_query(pg, &sender_scope, &later, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
