#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "http/request.h"
#include "store/pg.h"
#include "token_chain.h"

/* Refresh tokens as they are presented: those that come in a moment go to the database together. */

/* What a refresh comes to; constants as in session_refresh_outcome() of the migration. */
enum refresh_outcome {
        REFRESH_ROTATED = 1,
        REFRESH_SAME_CHILD,
        REFRESH_REUSED, /* the family was ended before for it */
        REFRESH_OVER,   /* session ended or expired, account not active */
        REFRESH_STOLEN, /* reused, and nothing has been done about it: session_store_stolen() */
};

struct refresh_attempt {
        const struct chain_link *presented;
        const struct chain_link *child; /* proposed */
};

struct refresh_result {
        struct cm_uuid user_id;
        struct cm_uuid tenant_id;
        int32_t user_type;
        uint8_t wrapped_child[32];
        cm_time idle_expires_at;
        bool must_change; /* its account may do nothing but choose a password */
};

struct session_refresh; /* one a worker */
int session_refresh_new(struct cm_pg *pg, int64_t grace_us, int64_t idle_us,
                        struct session_refresh **refresh_r) CM_MUST_CHECK;
void session_refresh_free(struct session_refresh **refresh);

/*
 * Presents a refresh token. One statement decides under the row's lock and writes the audit row; it
 * is durable when this returns, and of many that present the same token exactly one gets
 * REFRESH_ROTATED. With REFRESH_STOLEN nothing was written: that takes a transaction with a mail.
 * Suspends. Returns an enum refresh_outcome or an error; *result_r is filled unless the session
 * does not exist.
 */
int session_refresh_present(struct session_refresh *refresh, struct cm_request *request,
                            const struct refresh_attempt *attempt,
                            struct refresh_result *result_r) CM_MUST_CHECK;

/* In a transaction of the service: ends the session of a stolen token. 0; or, somebody was faster,
 * REFRESH_REUSED or REFRESH_OVER; or an error. */
int session_store_stolen(struct cm_pg_tx *tx, const struct cm_uuid *session_id) CM_MUST_CHECK;
