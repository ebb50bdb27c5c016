#include "sender.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "codec/digest.h"
#include "contacts.h"
#include "http/mail_message.h"
#include "mail_text.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The Message-ID follows from the occurrence and the message's number, so a message that is sent
 * again (the server's answer was lost, the sender died before it could say so) is the same message,
 * and a server that looks at ids delivers it once.
 */
static struct cm_metric sent_lateness = CM_HISTOGRAM(
        "salus_reminder_sent_lateness_seconds", "From when a message was due to its being sent");
static struct cm_metric sent_total = CM_COUNTER("salus_reminders_sent_total", "Messages sent");
static struct cm_metric failed_total =
        CM_COUNTER("salus_reminders_failed_total", "Messages given up");
static struct cm_metric retried_total =
        CM_COUNTER("salus_reminders_retried_total", "Attempts that are followed by another one");

/* ---- settings */

/* "1m,5m,90s" */
static bool parse_waits(struct sender *sender, struct cm_str text)
{
        struct cm_str part;

        while (cm_str_split(&text, ',', &part)) {
                static const struct {
                        char unit;
                        int64_t us;
                } units[] = { { 's', CM_SECOND }, { 'm', CM_MINUTE }, { 'h', CM_HOUR } };
                int64_t value = 0, unit_us = 0;

                part = cm_str_trim(part);
                if (part.len < 2 || sender->retries == SENDER_MAX_RETRIES)
                        return false;
                for (size_t i = 0; i < CM_COUNT(units); i++)
                        if (part.data[part.len - 1] == units[i].unit)
                                unit_us = units[i].us;
                part.len--;
                if (!unit_us || !cm_str_to_int(part, &value) || value < 1 || value > 1000)
                        return false;
                sender->retry_us[sender->retries++] = value * unit_us;
        }
        return true;
}

static bool parse_tls(const char *text, enum cm_mail_tls *tls_r)
{
        static const char *const names[] = { "required", "optional", "none" };

        for (size_t i = 0; i < CM_COUNT(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *tls_r = (enum cm_mail_tls)i;
                        return true;
                }
        return false;
}

static int refuse(const char *setting)
{
        cm_log(CM_LOG_ERROR, "a setting cannot be used", CM_F_TEXT("setting", setting));
        return -CM_E_CONFIG;
}

int sender_init(struct sender *sender, struct scheduler *scheduler)
{
        const struct scheduler_settings *settings = scheduler->settings;
        struct cm_mailer_config config = {
                .loop = scheduler->worker->loop,
                .url = settings->smtp_url,
                .ca_file = settings->smtp_ca_file,
                .user = settings->smtp_user,
                .password = settings->smtp_password,
                .max_connections = (size_t)settings->smtp_connections,
        };
        int r;

        *sender = (struct sender){ .scheduler = scheduler };
        if (!cm_mail_is_address(settings->mail_from))
                return refuse("SALUS_MAIL_FROM");
        config.hello = strrchr(settings->mail_from, '@') + 1;
        sender->domain = cm_str_from(config.hello);
        if (!parse_waits(sender, cm_str_from(settings->email_retry)))
                return refuse("SALUS_EMAIL_RETRY");
        if (!parse_tls(settings->smtp_tls, &config.tls))
                return refuse("SALUS_SMTP_TLS");
        r = cm_mailer_new(&config, &sender->mailer);
        return r == -CM_E_CONFIG ? refuse("SALUS_SMTP_URL") : r;
}

void sender_deinit(struct sender *sender)
{
        cm_mailer_free(&sender->mailer);
}

int64_t sender_lease_us(const struct sender *sender)
{
        return sender->scheduler->settings->smtp_timeout_us + 3 * SENDER_STORE_TIME_US;
}

/* ---- one message */

struct errand {
        struct sender *sender;
        struct cm_arena arena;
        struct delivery_job job;
};

static int give_up(struct errand *errand, int32_t failure, struct cm_str detail)
{
        cm_counter_add(&failed_total, 1);
        cm_log(CM_LOG_WARN, "a reminder is given up", CM_F_UUID("delivery", errand->job.id),
               CM_F_INT("attempts", errand->job.attempt), CM_F_STR("why", detail));
        return delivery_store_failed(errand->sender->scheduler->pg, &errand->arena, &errand->job,
                                     failure, detail);
}

static int try_later(struct errand *errand, int32_t failure, struct cm_str detail)
{
        const struct sender *sender = errand->sender;

        if (errand->job.attempt > sender->retries)
                return give_up(errand, failure, detail);
        cm_counter_add(&retried_total, 1);
        return delivery_store_later(sender->scheduler->pg, &errand->job,
                                    sender->retry_us[errand->job.attempt - 1], failure, detail);
}

static bool write_message(struct errand *errand, struct cm_str to, struct cm_buf *out)
{
        const struct sender *sender = errand->sender;
        const struct scheduler_settings *settings = sender->scheduler->settings;
        char id[CM_UUID_TEXT_SIZE];
        struct mail_text text;
        int64_t hash;

        mail_text_write(&errand->job,
                        scheduler_zone(sender->scheduler, errand->job.timezone, &hash),
                        &errand->arena, &text);
        return cm_mail_message_write(
                &(const struct cm_mail_message){
                        .from_name = cm_str_from(settings->mail_from_name),
                        .from = cm_str_from(settings->mail_from),
                        .to = to,
                        .subject = text.subject,
                        .id = cm_arena_printf(&errand->arena, "%s.%d@%.*s",
                                              cm_uuid_format(&errand->job.occurrence, id),
                                              errand->job.number, CM_STR_ARG(sender->domain)),
                        .language = errand->job.language,
                        .body = text.body,
                        .date = cm_now(&cm_clock_system),
                },
                out);
}

static int settle(struct errand *errand, int r, const struct cm_mail *mail)
{
        struct cm_str detail =
                mail->code ? cm_arena_printf(&errand->arena, "%d", mail->code) : CM_STR_NONE;

        switch (r) {
        case 0:
                cm_counter_add(&sent_total, 1);
                cm_histogram_observe_us(&sent_lateness,
                                        cm_now(&cm_clock_system) - errand->job.due_at);
                return delivery_store_sent(errand->sender->scheduler->pg, &errand->arena,
                                           &errand->job);
        case CM_MAIL_REFUSED:
                return give_up(errand, DELIVERY_FAILURE_REFUSED, detail);
        case CM_MAIL_BAD_ADDRESS:
                return give_up(errand, DELIVERY_FAILURE_ADDRESS_NOT_USABLE, detail);
        case CM_MAIL_LATER:
                return try_later(errand, DELIVERY_FAILURE_REFUSED, detail);
        case -CM_E_DEADLINE:
        case -CM_E_UNCERTAIN:
                return try_later(errand, DELIVERY_FAILURE_TIMEOUT, detail);
        case -CM_E_CANCELLED:
                return r; /* the daemon ends: the lease does too, and another one sends it */
        default:
                return try_later(errand, DELIVERY_FAILURE_UNREACHABLE, detail);
        }
}

static int send_to(struct errand *errand, struct cm_str to)
{
        const struct scheduler_settings *settings = errand->sender->scheduler->settings;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf message = { 0 };
        struct cm_mail mail = { .from = settings->mail_from, .to = to.data };
        int r;

        if (!write_message(errand, to, &message))
                return give_up(errand, DELIVERY_FAILURE_ADDRESS_NOT_USABLE, CM_STR_NONE);
        mail.message = cm_buf_str(&message);
        (void)cm_fiber_set_deadline(cm_monotonic_us() + settings->smtp_timeout_us);
        r = cm_mail_send(errand->sender->mailer, &mail);
        (void)cm_fiber_set_deadline(cm_monotonic_us() + SENDER_STORE_TIME_US);
        return settle(errand, r, &mail);
}

/* Not more often to one address than the settings allow, whichever replica sends. */
static int find_room(struct errand *errand, struct cm_str to, bool *free_r, cm_time *free_at_r)
{
        const struct scheduler_settings *settings = errand->sender->scheduler->settings;
        uint8_t digest[CM_SHA256_SIZE];

        cm_hmac_sha256(cm_str_from(settings->seal_keys), to.data, to.len, digest);
        return delivery_store_space(errand->sender->scheduler->pg,
                                    (struct cm_str){ (const char *)digest, sizeof(digest) },
                                    settings->email_spacing_us, free_r, free_at_r);
}

static int run(struct errand *errand, const struct delivery_ticket *ticket)
{
        struct scheduler *scheduler = errand->sender->scheduler;
        struct cm_str to = CM_STR_NONE;
        cm_time free_at = 0;
        bool is_free;
        int r = delivery_store_begin(scheduler->pg, &errand->arena, ticket, &errand->job);

        if (r)
                return r == DELIVERY_GONE ? 0 : r;
        if (errand->job.account_ended)
                return give_up(errand, DELIVERY_FAILURE_ACCOUNT_INACTIVE, CM_STR_NONE);
        r = contact_email(scheduler, &errand->arena, &errand->job.schedule,
                          errand->job.sealed_email, &errand->job.user, errand->job.sealed_contact,
                          &to);
        if (r)
                return try_later(errand, DELIVERY_FAILURE_NO_ADDRESS, CM_STR_NONE);
        r = find_room(errand, to, &is_free, &free_at);
        if (r)
                return r;
        return is_free ? send_to(errand, to)
                       : delivery_store_put_back(scheduler->pg, &errand->job, free_at);
}

void sender_run(struct sender *sender, const struct delivery_ticket *ticket)
{
        struct errand errand = { .sender = sender };
        int r;

        cm_arena_init(&errand.arena, 4096);
        (void)cm_fiber_set_deadline(cm_monotonic_us() + SENDER_STORE_TIME_US);
        r = run(&errand, ticket);
        if (r < 0)
                cm_log(CM_LOG_WARN, "a reminder is not settled; its lease will end",
                       CM_F_UUID("delivery", ticket->id), CM_F_ERROR(r));
        cm_arena_deinit(&errand.arena);
}
