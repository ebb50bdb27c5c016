#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/time.h"
#include "http/mail.h"
#include "sys/fiber.h"

/*
 * Sends one message as the scheduler does, for tests against mail servers that are not ours:
 *
 *     send_mail URL required|optional|none CA-FILE|- [USER PASSWORD]
 *
 * prints how it ended: sent, refused, later, or the error.
 */
#define PATIENCE_US (20 * CM_SECOND)

struct errand {
        struct cm_loop *loop;
        struct cm_mailer *mailer;
        int result;
};

static const char *outcome(int result)
{
        switch (result) {
        case 0:
                return "sent";
        case CM_MAIL_REFUSED:
                return "refused";
        case CM_MAIL_LATER:
                return "later";
        case CM_MAIL_BAD_ADDRESS:
                return "bad address";
        default:
                return cm_error_name(result);
        }
}

static void send_one(void *arg)
{
        struct errand *errand = arg;
        struct cm_mail mail = {
                .from = "salus@example.org",
                .to = "dana@example.org",
                .message = CM_STR("From: salus@example.org\r\nTo: dana@example.org\r\n"
                                  "Subject: meds\r\n\r\nTake them.\r\n"),
        };

        errand->result = cm_mail_send(errand->mailer, &mail);
        cm_loop_stop(errand->loop);
}

static void begin(void *arg)
{
        struct errand *errand = arg;

        errand->result =
                cm_fiber_start("errand", send_one, errand, cm_monotonic_us() + PATIENCE_US);
        if (errand->result)
                cm_loop_stop(errand->loop);
}

static enum cm_mail_tls tls_of(const char *word)
{
        return strcmp(word, "none") == 0       ? CM_MAIL_TLS_NONE
               : strcmp(word, "optional") == 0 ? CM_MAIL_TLS_OPTIONAL
                                               : CM_MAIL_TLS_REQUIRED;
}

int main(int argc, char **argv)
{
        const struct cm_fiber_pool_config fibers = { 65536, 4, 4 };
        struct errand errand = { 0 };
        struct cm_mailer_config config = { .hello = "salus.test", .max_connections = 1 };

        if (argc < 4 || cm_loop_new(&errand.loop) || cm_fiber_pool_init(errand.loop, &fibers)) {
                fprintf(stderr, "usage: send_mail URL TLS CA-FILE|- [USER PASSWORD]\n");
                return 2;
        }
        config.loop = errand.loop;
        config.url = argv[1];
        config.tls = tls_of(argv[2]);
        config.ca_file = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
        config.user = argc > 5 ? argv[4] : NULL;
        config.password = argc > 5 ? argv[5] : NULL;
        if (cm_mailer_new(&config, &errand.mailer))
                return 2;
        cm_loop_defer(errand.loop, begin, &errand);
        cm_loop_run(errand.loop);
        puts(outcome(errand.result));
        cm_mailer_free(&errand.mailer);
        cm_fiber_pool_deinit(errand.loop);
        cm_loop_free(&errand.loop);
        return 0;
}
