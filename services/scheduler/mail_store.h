#pragma once
#include "scheduler.h"

/* Mail about accounts on its way. A sender has a lease, as of a reminder (delivery_store.h). What
 * is settled is gone from the table. All suspend. */
struct mail_job {
        struct cm_uuid id;
        int32_t template; /* enum mail_template */
        struct cm_str language, time_zone, sealed;
        cm_time expires_at;
        int attempt; /* from 1; what is settled under an older one changes nothing */
};

/* Inside an inbox transaction: keeps what was asked for, once. */
int mail_store_keep(struct cm_pg_tx *tx, const struct cm_uuid *user,
                    const struct mail_requested *mail) CM_MUST_CHECK;

/* Up to `room` mails that are due, in the arena; they are the sender's for `lease_us`. */
int mail_store_claim(struct cm_pg *pg, struct cm_arena *arena, int64_t lease_us, size_t room,
                     struct mail_job **jobs_r, size_t *count_r) CM_MUST_CHECK;
/* Sent, or given up. */
int mail_store_done(struct cm_pg *pg, const struct mail_job *job) CM_MUST_CHECK;
/* Again in `wait_us`. */
int mail_store_later(struct cm_pg *pg, const struct mail_job *job, int64_t wait_us) CM_MUST_CHECK;
