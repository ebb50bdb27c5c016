#pragma once
#include <stdbool.h>

#include "auth.h"
#include "auth_api.h"
#include "http/request.h"
#include "store/pg.h"

/*
 * Mail about accounts. A mail is a fact in the outbox, written in the transaction of its cause
 * (parameters of cm_outbox_insert), and scheduler writes and delivers it: no request waits for a
 * mail server. Address and code are sealed; see MailRequested in proto/schemas/mail.yaml.
 */

/* False without SALUS_CONTACT_KEYS: then no mail can be asked for, and the row is left out. */
bool mails_are_possible(const struct auth *auth);

struct mail {
        int32_t template;           /* enum mail_template */
        const struct cm_uuid *user; /* NULL: nobody with an account */
        struct cm_str to;           /* absent: nobody; it is published all the same */
        struct cm_str language, time_zone;
        struct cm_str code; /* absent: none */
        int64_t life_us;    /* of the code, or as long as the mail is worth sending */
};

/* Time and network address of the request go with it: nothing that a stranger could choose. */
void mails_params(struct cm_request *request, const struct mail *mail, struct cm_pg_params *params);

/* "Your password was changed", "your session was stolen": the template says what. As a statement of
 * others' transaction; nothing when mails are not possible. Suspends. */
int mails_tell(struct cm_request *request, struct cm_pg_tx *tx, const struct user *user,
               int32_t template) CM_MUST_CHECK;
