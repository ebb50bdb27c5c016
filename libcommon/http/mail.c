#include "http/mail.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "http/transfers.h"

enum { DEFAULT_CONNECTIONS = 4, MAX_ADDRESS = 254 };
#define DEFAULT_CONNECT_US (5 * CM_SECOND)

struct cm_mailer {
        struct cm_mailer_config config;
        struct cm_transfers *transfers;
        struct cm_buf url; /* with our name for EHLO as its path */
};

/* One message under way; lives on the fiber's stack. */
struct sending {
        struct cm_mail *mail;
        CURL *easy;
        struct curl_slist *to;
        size_t read; /* bytes of the message that libcurl has taken */
        bool started;
        int result; /* CURLcode */
};

int cm_mailer_new(const struct cm_mailer_config *config, struct cm_mailer **mailer_r)
{
        struct cm_mailer *mailer;
        int r;

        if (strncmp(config->url, "smtp://", 7) != 0 && strncmp(config->url, "smtps://", 8) != 0)
                return -CM_E_CONFIG;
        mailer = CM_NEW(struct cm_mailer);
        mailer->config = *config;
        if (!mailer->config.max_connections)
                mailer->config.max_connections = DEFAULT_CONNECTIONS;
        if (!mailer->config.connect_us)
                mailer->config.connect_us = DEFAULT_CONNECT_US;
        cm_buf_printf(&mailer->url, "%s/%s", config->url, config->hello);
        r = cm_transfers_new(config->loop, mailer->config.max_connections, &mailer->transfers);
        if (r)
                cm_mailer_free(&mailer);
        else
                *mailer_r = mailer;
        return r;
}

void cm_mailer_free(struct cm_mailer **mailer)
{
        if (!*mailer)
                return;
        cm_transfers_free(&(*mailer)->transfers);
        cm_buf_deinit(&(*mailer)->url);
        cm_free(*mailer);
        *mailer = NULL;
}

bool cm_mail_is_address(const char *address)
{
        size_t len = strlen(address);
        const char *at = strrchr(address, '@');

        if (len > MAX_ADDRESS || !at || at == address || !at[1] ||
            !cm_utf8_is_valid((struct cm_str){ address, len }))
                return false;
        for (const char *c = address; *c; c++)
                if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("<>(),;:\\\"[]", *c))
                        return false;
        return strchr(address, '@') == at;
}

static size_t give(char *out, size_t size, size_t count, void *arg)
{
        struct sending *sending = arg;
        struct cm_str message = sending->mail->message;
        size_t left = message.len - sending->read;
        size_t some = size * count < left ? size * count : left;

        sending->started = true;
        memcpy(out, message.data + sending->read, some);
        sending->read += some;
        return some;
}

static long tls_of(enum cm_mail_tls tls)
{
        if (tls == CM_MAIL_TLS_NONE)
                return CURLUSESSL_NONE;
        return tls == CM_MAIL_TLS_OPTIONAL ? CURLUSESSL_TRY : CURLUSESSL_ALL;
}

static bool set_up(const struct cm_mailer *mailer, struct sending *sending)
{
        const struct cm_mailer_config *config = &mailer->config;
        CURL *easy = sending->easy;

        sending->to = curl_slist_append(NULL, sending->mail->to);
        curl_easy_setopt(easy, CURLOPT_URL, mailer->url.data);
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(config->connect_us / CM_MILLISECOND));
        curl_easy_setopt(easy, CURLOPT_USE_SSL, tls_of(config->tls));
        if (config->ca_file)
                curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);
        if (config->user) {
                curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
                curl_easy_setopt(easy, CURLOPT_PASSWORD, config->password ? config->password : "");
        }
        curl_easy_setopt(easy, CURLOPT_MAIL_FROM, sending->mail->from);
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, sending->to);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
        curl_easy_setopt(easy, CURLOPT_READDATA, sending);
        return sending->to != NULL;
}

/* What the server said counts before how the transfer ended. */
static int outcome(const struct sending *sending)
{
        int code = sending->mail->code;

        if (sending->result == CURLE_OK)
                return 0;
        switch (sending->result) {
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_USE_SSL_FAILED:
                return -CM_E_PROTOCOL;
        default:
                break;
        }
        if (code >= 500 && code <= 599)
                return sending->result == CURLE_LOGIN_DENIED ? CM_MAIL_LATER : CM_MAIL_REFUSED;
        if (code >= 400 && code <= 499)
                return CM_MAIL_LATER;
        if (sending->started)
                return -CM_E_UNCERTAIN;
        return sending->result == CURLE_WEIRD_SERVER_REPLY ? -CM_E_PROTOCOL : -CM_E_UNAVAILABLE;
}

int cm_mail_send(struct cm_mailer *mailer, struct cm_mail *mail)
{
        struct sending sending = { .mail = mail };
        long code = 0;
        int r;

        mail->code = 0;
        if (!cm_mail_is_address(mail->from) || !cm_mail_is_address(mail->to))
                return CM_MAIL_BAD_ADDRESS;
        sending.easy = curl_easy_init();
        if (!sending.easy)
                return -CM_E_INTERNAL;
        r = set_up(mailer, &sending)
                    ? cm_transfers_run(mailer->transfers, sending.easy, &sending.result)
                    : -CM_E_INTERNAL;
        if (r == 0) {
                curl_easy_getinfo(sending.easy, CURLINFO_RESPONSE_CODE, &code);
                mail->code = (int)code;
                r = outcome(&sending);
        }
        curl_easy_cleanup(sending.easy);
        curl_slist_free_all(sending.to);
        return r;
}
