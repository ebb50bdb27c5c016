#include "second_login.h"

#include <string.h>

#include "audit/audit_rows.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "errors.h"
#include "refusals.h"
#include "sign_in.h"
#include "step_up.h"

/*
 * The second step of a sign-in. The ticket between the steps is a random text that is good for
 * nothing else; it holds the password hash that was checked, so a sign-in that began before a
 * change of password, a suspension or an erasure does not end in a session.
 */
enum { TICKET_BYTES = 32 };

static struct cm_str ticket_text(struct cm_arena *arena)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        uint8_t bytes[TICKET_BYTES];

        cm_random(bytes, sizeof(bytes));
        cm_base64url_encode(bytes, sizeof(bytes), &text);
        return cm_arena_str(arena, cm_buf_str(&text));
}

int second_login_ask(struct cm_request *request, const struct login *in,
                     const struct credentials *credentials)
{
        struct auth *auth = cm_request_service(request);
        const struct login_ticket ticket = {
                .user_id = credentials->user.id,
                .password_hash = credentials->password_hash,
                .device_name = in->has_device_name ? in->device_name : CM_STR_NONE,
                .life_us = auth->settings->login_ticket_life_us,
        };
        const struct second_factor_needed needed = {
                .ticket = ticket_text(cm_request_arena(request)),
                .expires_in = ticket.life_us / CM_SECOND,
        };
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        uint8_t digest[CM_SHA256_SIZE];
        int r;

        cm_sha256(needed.ticket.data, needed.ticket.len, digest);
        audit_proof(request, &ticket.user_id, "login.password", NULL, &audit);
        r = login_ticket_store(auth->worker->pg, digest, &ticket, &audit);
        if (r)
                return r;
        cm_reply_header(request, "Cache-Control", CM_STR("no-store"));
        return cm_reply_json(request, 202, &second_factor_needed_schema, &needed);
}

static int sign_in(struct cm_request *request, const uint8_t digest[CM_SHA256_SIZE],
                   const struct login_ticket *ticket, const struct fitting_code *code)
{
        struct auth *auth = cm_request_service(request);
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params audit = { 0 };
        struct sign_in sign_in;
        struct user user;
        int r;

        r = account_store_read(auth->worker->pg, cm_request_arena(request), &ticket->user_id,
                               &user);
        if (r)
                return r < 0 ? r : SECOND_FACTOR_SPENT;
        sign_in_prepare(request, &user, ticket->password_hash, ticket->device_name, &sign_in);
        audit_proof(request, &user.id, code->step ? "login.totp" : "login.recovery_code", NULL,
                    &audit);
        r = login_ticket_redeem(auth->worker->pg, digest, code, &sign_in.start, &audit);
        return r ? r : sign_in_reply(request, 200, &sign_in, &user);
}

/* Whoever has no ticket needs no account to say so: no row for each. */
static int no_ticket(struct cm_request *request)
{
        int r;

        refused_request_note(request, &(const struct refused_request){ .action = "login.ticket",
                                                                       .reason = "no_ticket",
                                                                       .method = "code" });
        r = refuse_unauthorized(request, CM_CODE_INVALID_CREDENTIALS,
                                "The proof of who you are does not hold");
        return r ? r : 1;
}

int auth_login_second_factor(struct cm_request *request, const struct second_factor_login *in)
{
        struct auth *auth = cm_request_service(request);
        struct login_ticket ticket = { 0 };
        struct fitting_code code;
        uint8_t digest[CM_SHA256_SIZE];
        int r;

        cm_sha256(in->ticket.data, in->ticket.len, digest);
        r = login_ticket_read(auth->worker->pg, cm_request_arena(request), digest, &ticket);
        if (r > 0)
                r = no_ticket(request);
        if (!r)
                r = step_up_code(request, &ticket.user_id, in->code, false, &code);
        if (!r)
                r = sign_in(request, digest, &ticket, &code);
        if (r == SECOND_FACTOR_SPENT)
                r = step_up_refuse(request, &ticket.user_id, "login.second_factor", "spent");
        return r > 0 ? 0 : r;
}
