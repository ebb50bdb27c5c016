#include "registration_store.h"

#include "base/error.h"

static const struct cm_pg_scope service_scope = { .role = "service" };

const struct cm_pg_statement registration_store_insert = {
        .name = "registration_insert",
        .writes = true,
        .sql = "WITH over AS (DELETE FROM registrations WHERE id IN (SELECT id FROM registrations"
               "   WHERE expires_at < now() ORDER BY expires_at LIMIT 4 FOR UPDATE SKIP LOCKED))"
               " INSERT INTO registrations (id, email, email_key, password_hash, display_name,"
               "   first_name, language, time_zone, invitation_id, expires_at)"
               " VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text,"
               "   $8::text, $9::uuid, now() + $10::int8 * interval '1 microsecond')",
};

void registration_store_insert_params(const struct pending_registration *registration,
                                      int64_t life_us, struct cm_pg_params *params)
{
        const struct user *user = &registration->user;

        cm_pg_put_uuid(params, &user->id);
        cm_pg_put_text(params, user->email);
        cm_pg_put_text(params, registration->email_key);
        cm_pg_put_text(params, registration->password_hash);
        cm_pg_put_text(params, user->display_name);
        cm_pg_put_text(params, user->first_name);
        cm_pg_put_text(params, user->language);
        cm_pg_put_text(params, user->time_zone);
        cm_pg_put_uuid(params, registration->is_invited ? &registration->invitation : NULL);
        cm_pg_put_int8(params, life_us);
}

#define OWN_COLUMNS                                                                                \
        "id, email, email_key, password_hash, display_name, first_name, language, time_zone,"      \
        " invitation_id"
#define COLUMN_COUNT 11
#define COLUMNS                                                                                    \
        OWN_COLUMNS                                                                                \
        ", (SELECT i.user_type FROM invitations i WHERE i.id = invitation_id),"                    \
        " coalesce((SELECT i.tenant_id FROM invitations i WHERE i.id = invitation_id),"            \
        "          (SELECT t.id FROM tenants t WHERE t.is_default))"

static void read_one(const struct cm_pg_result *rows, struct cm_arena *arena,
                     struct pending_registration *registration_r)
{
        struct cm_str texts[7];
        struct user *user = &registration_r->user;

        for (int i = 0; i < 7; i++)
                texts[i] = cm_arena_str(arena, cm_pg_text(rows, 0, i + 1));
        *registration_r = (struct pending_registration){
                .email_key = texts[1],
                .password_hash = texts[2],
                .is_invited = !cm_pg_is_null(rows, 0, 8),
        };
        *user = (struct user){
                .id = cm_pg_uuid(rows, 0, 0),
                .tenant_id = cm_pg_uuid(rows, 0, 10),
                .user_type = cm_pg_is_null(rows, 0, 9) ? USER_TYPE_PATIENT
                                                       : (int32_t)cm_pg_int(rows, 0, 9),
                .status = USER_STATUS_ACTIVE,
                .email = texts[0],
                .display_name = texts[3],
                .has_display_name = texts[3].data ? CM_PRESENT : CM_ABSENT,
                .first_name = texts[4],
                .has_first_name = texts[4].data ? CM_PRESENT : CM_ABSENT,
                .language = texts[5],
                .time_zone = texts[6],
                .preferences = CM_STR("{}"),
                .version = 1,
        };
        if (registration_r->is_invited)
                registration_r->invitation = cm_pg_uuid(rows, 0, 8);
}

/* As with accounts (account_store.c): where nobody waits, somebody is read all the same, so that
 * time does not tell. */
#define NOBODY                                                                                     \
        "'00000000-0000-7000-8000-000000000000'::uuid, 'somebody@example.org',"                    \
        " 'somebody@example.org', repeat('-', 73), 'Somebody', NULL, 'en', 'Europe/Lisbon',"       \
        " NULL::uuid"

static const struct cm_pg_statement find = {
        .name = "registration_find",
        .sql = "SELECT " COLUMNS ", is_known FROM"
               " ((SELECT " OWN_COLUMNS ", true AS is_known FROM registrations"
               "    WHERE email_key = $1::text AND expires_at > now()"
               "    ORDER BY email_key DESC, created_at DESC LIMIT 1)"
               "  UNION ALL SELECT " NOBODY ", false"
               "    WHERE (SELECT current_setting('app.role', true)) = 'service' LIMIT 1) r",
};

int registration_store_find(struct cm_pg *pg, struct cm_arena *arena, struct cm_str email_key,
                            struct pending_registration *registration_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        struct pending_registration read = { 0 };
        int r;

        cm_pg_put_text(&params, email_key);
        r = cm_pg_query(pg, &service_scope, &find, &params, &rows);
        if (r || !rows.rows)
                return r < 0 ? r : -CM_E_DATABASE;
        read_one(&rows, arena, &read);
        if (!cm_pg_bool(&rows, 0, COLUMN_COUNT))
                return REGISTRATION_GONE;
        *registration_r = read;
        return 0;
}

static const struct cm_pg_statement take = {
        .name = "registration_take",
        .writes = true,
        .sql = "DELETE FROM registrations WHERE id = $1::uuid RETURNING " COLUMNS,
};

int registration_store_take(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_uuid *id,
                            struct pending_registration *registration_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, id);
        r = cm_pg_tx_query(tx, &take, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (!rows.rows)
                return REGISTRATION_GONE;
        read_one(&rows, arena, registration_r);
        return 0;
}

/* ---- invitations */

static const struct cm_pg_statement insert_invitation = {
        .name = "invitation_insert",
        .writes = true,
        .sql = "INSERT INTO invitations (id, digest, email_key, user_type, invited_by, created_at,"
               "   expires_at, tenant_id)"
               " SELECT $1::uuid, $2::bytea, $3::text, $4::int2, $5::uuid, $6::timestamptz,"
               "   $7::timestamptz, t FROM acting_tenant() t WHERE t IS NOT NULL RETURNING 1",
};

int invitation_store_insert(struct cm_pg_tx *tx, const struct invitation *invitation,
                            struct cm_str email_key, const struct cm_uuid *invited_by,
                            const uint8_t digest[32])
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_uuid(&params, &invitation->id);
        cm_pg_put_bytes(&params, (struct cm_str){ (const char *)digest, 32 });
        cm_pg_put_text(&params, email_key);
        cm_pg_put_int2(&params, (int16_t)invitation->user_type);
        cm_pg_put_uuid(&params, invited_by);
        cm_pg_put_time(&params, invitation->created_at);
        cm_pg_put_time(&params, invitation->expires_at);
        r = cm_pg_tx_query(tx, &insert_invitation, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return rows.rows ? 0 : INVITATION_INVALID;
}

static const struct cm_pg_statement find_invitation = {
        .name = "invitation_find",
        .sql = "SELECT id, user_type, tenant_id FROM invitations i WHERE digest = $1::bytea"
               " AND expires_at > now() AND (email_key IS NULL OR email_key = $2::text)"
               " AND NOT EXISTS (SELECT FROM invitation_uses u WHERE u.invitation_id = i.id)",
};

int invitation_store_find(struct cm_pg *pg, const uint8_t digest[32], struct cm_str email_key,
                          struct pending_registration *registration_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r;

        cm_pg_put_bytes(&params, (struct cm_str){ (const char *)digest, 32 });
        cm_pg_put_text(&params, email_key);
        r = cm_pg_query(pg, &service_scope, &find_invitation, &params, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (!rows.rows)
                return INVITATION_INVALID;
        registration_r->invitation = cm_pg_uuid(&rows, 0, 0);
        registration_r->is_invited = true;
        registration_r->user.user_type = (int32_t)cm_pg_int(&rows, 0, 1);
        registration_r->user.tenant_id = cm_pg_uuid(&rows, 0, 2);
        return 0;
}

const struct cm_pg_statement invitation_store_use = {
        .name = "invitation_use",
        .writes = true,
        .sql = "INSERT INTO invitation_uses (invitation_id, user_id) VALUES ($1::uuid, $2::uuid)",
};

void invitation_store_use_params(const struct cm_uuid *invitation, const struct cm_uuid *user_id,
                                 struct cm_pg_params *params)
{
        cm_pg_put_uuid(params, invitation);
        cm_pg_put_uuid(params, user_id);
}
