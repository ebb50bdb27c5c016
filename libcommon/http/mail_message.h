#pragma once
#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"

/*
 * A message (RFC 5322) of plain text: UTF-8 in all places, lines of at most 76 characters, base64
 * inside, so that no server has a reason to change it. Pure.
 */
struct cm_mail_message {
        struct cm_str from_name; /* absent: none */
        struct cm_str from, to;  /* addresses: see cm_mail_is_address() */
        struct cm_str subject;   /* one line */
        struct cm_str id;        /* "local@domain", without brackets: Message-ID */
        struct cm_str language;  /* BCP 47; absent: not said */
        struct cm_str body;      /* its lines end with LF */
        cm_time date;
};

/* Adds the message to `out`. False, and nothing of use in `out`, when a part has a line break or
 * another control character where none may be, an address is none, or text is not UTF-8. */
bool cm_mail_message_write(const struct cm_mail_message *message, struct cm_buf *out) CM_MUST_CHECK;
