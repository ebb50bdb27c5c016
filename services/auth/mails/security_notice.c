#include "security_notice.h"

#include "mails.h"
#include "sys/log.h"
#include "sys/metrics.h"

static struct cm_metric thefts = CM_COUNTER(
        "salus_auth_token_thefts_total", "Sessions ended because a used refresh token came again");

int security_notice_token_stolen(struct cm_request *request, struct cm_pg_tx *tx,
                                 const struct user *owner, const struct cm_uuid *session_id)
{
        cm_counter_add(&thefts, 1);
        cm_log(CM_LOG_WARN, "a used refresh token came again: its session is ended",
               CM_F_UUID("session", *session_id), CM_F_UUID("user", owner->id));
        return mails_tell(request, tx, owner, MAIL_TEMPLATE_SESSION_STOLEN);
}
