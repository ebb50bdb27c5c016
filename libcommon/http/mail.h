#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "sys/loop.h"

/*
 * Handing mail to a server (SMTP, RFC 5321), over libcurl, on threads of its own: libcurl waits for
 * a server's answer when it takes leave of it, and a server may let it wait. A call suspends the
 * fiber and ends at its deadline. Connections are kept for the next message. http/mail_message.h
 * builds what is sent.
 */
struct cm_mailer;

enum cm_mail_tls { CM_MAIL_TLS_REQUIRED, CM_MAIL_TLS_OPTIONAL, CM_MAIL_TLS_NONE };

struct cm_mailer_config {
        struct cm_loop *loop;
        const char *url;      /* smtp://host:port, smtps://host:port */
        enum cm_mail_tls tls; /* STARTTLS; smtps is always TLS. Certificates are verified */
        const char *ca_file;  /* NULL: the machine's certificates */
        const char *user;     /* NULL: without signing in */
        const char *password;
        const char *hello;      /* our name for EHLO: a domain */
        size_t max_connections; /* threads; further messages wait. 0: 4 */
        int64_t connect_us;     /* time for name, connection and TLS. 0: 5 s */
};

/* -CM_E_CONFIG when the URL is none of ours. Texts of the config must live as long as the mailer.
 */
int cm_mailer_new(const struct cm_mailer_config *config, struct cm_mailer **mailer_r) CM_MUST_CHECK;
/* Breaks off what is under way; it ends like a lost connection. */
void cm_mailer_cut(struct cm_mailer *mailer);
/* No message may be under way. */
void cm_mailer_free(struct cm_mailer **mailer);

struct cm_mail {
        const char *from, *to;
        struct cm_str message; /* RFC 5322, lines end with CR LF; dots are taken care of */
        int code;              /* what the server said last; 0: nothing */
};

enum cm_mail_outcome {
        CM_MAIL_REFUSED = 1, /* for good (5xx) */
        CM_MAIL_LATER,       /* not now (4xx) */
        CM_MAIL_BAD_ADDRESS, /* not an address that can be sent to; nothing was sent */
};

/* 0: the server has taken it. -CM_E_UNAVAILABLE: not connected, nothing was sent; -CM_E_UNCERTAIN:
 * the connection was lost before the server's answer, so it may or may not have it; -CM_E_DEADLINE
 * likewise; -CM_E_PROTOCOL: it does not speak SMTP, refuses TLS or its certificate is not good. */
int cm_mail_send(struct cm_mailer *mailer, struct cm_mail *mail) CM_MUST_CHECK;

/* One addressee, without blanks, control characters, brackets or a line break: what may stand
 * between
 * "<" and ">". */
bool cm_mail_is_address(const char *address);
