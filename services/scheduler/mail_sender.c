#include "mail_sender.h"

#include "base/error.h"
#include "base/mem.h"
#include "http/mail_message.h"
#include "notice_text.h"
#include "service/contact.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* The Message-ID follows from the mail's id, so what is sent again is the same message. Codes and
 * addresses are in no log line. */
static struct cm_metric mails =
        CM_COUNTER("salus_mails_total", "Attempts at mail about accounts, by how they ended");

struct errand {
        struct sender *sender;
        struct cm_arena arena;
        const struct mail_job *job;
};

static void count(const char *outcome)
{
        cm_counter_add(cm_metric_labeled(&mails, outcome), 1);
}

static int give_up(struct errand *errand, const char *why)
{
        count("outcome=\"given_up\"");
        cm_log(CM_LOG_WARN, "a mail about an account is given up",
               CM_F_UUID("mail", errand->job->id), CM_F_INT("attempts", errand->job->attempt),
               CM_F_TEXT("why", why));
        return mail_store_done(errand->sender->scheduler->pg, errand->job);
}

static int try_later(struct errand *errand, const char *why)
{
        const struct sender *sender = errand->sender;
        int64_t wait_us;

        if (errand->job->attempt > sender->retries)
                return give_up(errand, why);
        wait_us = sender->retry_us[errand->job->attempt - 1];
        if (cm_now(&cm_clock_system) + wait_us >= errand->job->expires_at)
                return give_up(errand, why);
        count("outcome=\"retried\"");
        return mail_store_later(sender->scheduler->pg, errand->job, wait_us);
}

/* 0; positive when no key here opens it, or it is not what auth writes. */
static int open_contents(struct errand *errand, struct mail_contents *contents_r)
{
        const struct cm_seal_keys *keys = errand->sender->scheduler->contacts;
        struct cm_arena *arena = &errand->arena;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf plain = { 0 };
        struct cm_faults faults = { 0 };
        int r;

        if (!keys || cm_unseal(keys, cm_contact_mail_context(arena, &errand->job->id),
                               errand->job->sealed, &plain))
                return 1;
        r = cm_schema_decode(&mail_contents_schema, cm_buf_str(&plain), arena, contents_r, &faults);
        cm_wipe(plain.data, plain.len);
        return r;
}

static bool write_message(struct errand *errand, const struct mail_contents *contents,
                          struct cm_buf *out)
{
        const struct sender *sender = errand->sender;
        const struct scheduler_settings *settings = sender->scheduler->settings;
        char id[CM_UUID_TEXT_SIZE];
        struct mail_text text;
        int64_t hash;

        notice_text_write(errand->job,
                          scheduler_zone(sender->scheduler, errand->job->time_zone, &hash),
                          contents, &errand->arena, &text);
        return cm_mail_message_write(
                &(const struct cm_mail_message){
                        .from_name = cm_str_from(settings->mail_from_name),
                        .from = cm_str_from(settings->mail_from),
                        .to = contents->to,
                        .subject = text.subject,
                        .id = cm_arena_printf(&errand->arena, "%s@%.*s",
                                              cm_uuid_format(&errand->job->id, id),
                                              CM_STR_ARG(sender->domain)),
                        .language = errand->job->language,
                        .body = text.body,
                        .date = cm_now(&cm_clock_system),
                },
                out);
}

static int settle(struct errand *errand, int r)
{
        switch (r) {
        case 0:
                count("outcome=\"sent\"");
                return mail_store_done(errand->sender->scheduler->pg, errand->job);
        case CM_MAIL_REFUSED:
                return give_up(errand, "refused");
        case CM_MAIL_BAD_ADDRESS:
                return give_up(errand, "address not usable");
        case -CM_E_CANCELLED:
                return r; /* the daemon ends: the lease does too, and another one sends it */
        default:
                return try_later(errand, "mail server not reached, or not now");
        }
}

static int send_to(struct errand *errand, const struct mail_contents *contents)
{
        const struct scheduler_settings *settings = errand->sender->scheduler->settings;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf message = { 0 };
        struct cm_mail mail = { .from = settings->mail_from, .to = contents->to.data };
        int64_t before;
        int r;

        if (!write_message(errand, contents, &message))
                return give_up(errand, "address not usable");
        mail.message = cm_buf_str(&message);
        before = cm_fiber_set_deadline(cm_monotonic_us() + settings->smtp_timeout_us);
        r = cm_mail_send(errand->sender->mailer, &mail);
        (void)cm_fiber_set_deadline(before + settings->smtp_timeout_us);
        cm_wipe(message.data, message.len);
        return settle(errand, r);
}

static int run(struct errand *errand)
{
        struct mail_contents contents = { 0 };

        if (cm_now(&cm_clock_system) >= errand->job->expires_at)
                return give_up(errand, "too late");
        if (open_contents(errand, &contents))
                return give_up(errand, "no key here opens it");
        if (!contents.has_to) {
                count("outcome=\"nobody\"");
                return mail_store_done(errand->sender->scheduler->pg, errand->job);
        }
        return send_to(errand, &contents);
}

void mail_sender_run(struct sender *sender, const struct mail_job *job)
{
        struct errand errand = { .sender = sender, .job = job };
        int r;

        cm_arena_init(&errand.arena, 4096);
        (void)cm_fiber_set_deadline(cm_monotonic_us() + SENDER_STORE_TIME_US);
        r = run(&errand);
        if (r < 0)
                cm_log(CM_LOG_WARN, "a mail about an account is not settled; its lease will end",
                       CM_F_UUID("mail", job->id), CM_F_ERROR(r));
        cm_arena_deinit(&errand.arena);
}
