#include "mails.h"

#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox.h"
#include "events.h"
#include "service/contact.h"
#include "sys/fiber.h"

enum { PADDED_TO = 1024 }; /* so that the length tells nothing of what is sealed */
#define NOTICE_LIFE_US (7 * CM_DAY)

bool mails_are_possible(const struct auth *auth)
{
        return auth->contact_keys != NULL;
}

static const char *page_of(int32_t template)
{
        switch (template) {
        case MAIL_TEMPLATE_VERIFY_EMAIL:
                return "verify-email";
        case MAIL_TEMPLATE_RESET_PASSWORD:
                return "reset-password";
        case MAIL_TEMPLATE_INVITATION:
                return "register";
        default:
                return NULL;
        }
}

/* The code stands in the fragment, which browsers send to nobody. */
static void add_code(const struct auth *auth, struct cm_arena *arena, const struct mail *mail,
                     struct mail_contents *contents)
{
        const char *base = auth->settings->app_url, *page = page_of(mail->template);

        if (!mail->code.data)
                return;
        contents->code = mail->code;
        contents->has_code = CM_PRESENT;
        contents->life_s = mail->life_us / CM_SECOND > 0 ? mail->life_us / CM_SECOND : 1;
        contents->has_life_s = CM_PRESENT;
        if (!base || !page)
                return;
        contents->link =
                cm_arena_printf(arena, "%s/%s#token=%.*s", base, page, CM_STR_ARG(mail->code));
        contents->has_link = CM_PRESENT;
}

static struct cm_str seal(struct cm_request *request, const struct cm_uuid *mail_id,
                          const struct mail *mail)
{
        const struct auth *auth = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf plain = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf sealed = { 0 };
        struct mail_contents contents = {
                .to = mail->to,
                .has_to = mail->to.data ? CM_PRESENT : CM_ABSENT,
                .at = cm_request_now(request),
                .has_at = CM_PRESENT,
                .ip = cm_request_peer(request),
                .has_ip = CM_PRESENT,
        };

        add_code(auth, arena, mail, &contents);
        cm_schema_encode(&mail_contents_schema, &contents, &plain);
        while (plain.len % PADDED_TO)
                cm_buf_add_char(&plain, ' ');
        cm_seal(auth->contact_keys, cm_contact_mail_context(arena, mail_id), cm_buf_str(&plain),
                &sealed);
        cm_wipe(plain.data, plain.len);
        return cm_arena_str(arena, cm_buf_str(&sealed));
}

void mails_params(struct cm_request *request, const struct mail *mail, struct cm_pg_params *params)
{
        cm_time now = cm_request_now(request);
        struct cm_uuid id = cm_uuid7(now);
        const struct mail_requested fact = {
                .mail_id = id,
                .template = mail->template,
                .language = mail->language,
                .time_zone = mail->time_zone,
                .sealed = seal(request, &id, mail),
                .expires_at = now + mail->life_us,
        };
        struct cm_event event;

        event_mail_requested(&event, cm_request_arena(request), cm_fiber_context(), now,
                             mail->user ? mail->user : &id, &fact);
        cm_outbox_params(&event, 1, params);
}

static void security_notice(struct cm_request *request, const struct user *user, int32_t template,
                            struct cm_pg_params *params)
{
        const struct mail mail = {
                .template = template,
                .user = &user->id,
                .to = user->email,
                .language = user->language,
                .time_zone = user->time_zone,
                .life_us = NOTICE_LIFE_US,
        };

        mails_params(request, &mail, params);
}

int mails_tell(struct cm_request *request, struct cm_pg_tx *tx, const struct user *user,
               int32_t template)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        if (!mails_are_possible(cm_request_service(request)))
                return 0;
        security_notice(request, user, template, &params);
        r = cm_pg_tx_query(tx, &cm_outbox_insert, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}
