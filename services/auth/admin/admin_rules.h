#pragma once
#include <stdbool.h>

#include "auth_api.h"
#include "base/time.h"

/* What an act of an admin makes of an account. Pure. */
struct admin_act {
        const char *name;      /* in the audit log */
        int32_t user_type;     /* 0: stays */
        int32_t status;        /* 0: stays */
        bool must_change;      /* a password has to be chosen, and a mail says how */
        uint8_t has_reference; /* enum cm_presence; absent: stays, null: none */
        struct cm_uuid reference_id;
        struct cm_str phone; /* the account's number is confirmed, if it is this; absent: stays */
        bool ends_sessions;
        bool is_fact; /* the other services hear of it */
};

enum admin_change {
        ADMIN_UNCHANGED = 1,
        ADMIN_DELETED,          /* and nothing becomes of it any more */
        ADMIN_STANDS_FOR_NOBODY /* an admin has no reference */
};

/* On 0 the account has its new state, the next version and the time of the change. */
int admin_rules_apply(const struct admin_act *act, cm_time now, struct account *account);
