#pragma once
#include "auth.h"
#include "http/request.h"
#include "mailed_code.h"

/* Asking for a code by mail: one way for all, so that an address with an account and one without
 * get the same rows, the same reply and the same time. */
struct code_mail {
        enum mailed_code_purpose purpose;
        int32_t template;              /* enum mail_template */
        const char *action;            /* of the audit log */
        const char *reason;            /* why nobody gets it; NULL: somebody does */
        const struct user *user;       /* whom it is for, if somebody */
        const struct cm_uuid *subject; /* of the code; NULL: the user */
        uint8_t bound[MAILED_CODE_DIGEST_SIZE];
        int64_t life_us;
};

/* Keeps a code and asks for its mail, with the audit row, in one flight. Nothing without
 * SALUS_CONTACT_KEYS. Suspends. */
int code_mail_send(struct cm_request *request, const struct code_mail *mail) CM_MUST_CHECK;

/* 202, the same in every case. */
int code_mail_accepted(struct cm_request *request);
/* 400 `code_invalid`. */
int code_mail_invalid(struct cm_request *request);
