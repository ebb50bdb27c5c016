#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "base/time.h"

/* What may become of an account. Pure. */

/* What other services hear of it. */
void account_rules_ref(const struct user *user, struct user_ref *ref_r);

enum account_change {
        ACCOUNT_UNCHANGED = 1,
        ACCOUNT_AVATAR_NOT_HTTPS,
        ACCOUNT_PREFERENCES_TOO_LARGE,
        ACCOUNT_PRIVACY_TOO_LARGE,
        ACCOUNT_USERNAME_BAD,
        ACCOUNT_PHONE_BAD,
};

/* Of a to z, digits, '.', '_' and '-' only: a name that people and programs write alike. */
bool account_rules_is_plain(struct cm_str name);

/* E.164: a "+" and 7 to 15 digits that do not begin with 0. */
bool account_rules_is_phone(struct cm_str number);

/* The members of an account that are merged one by one: patches, or what comes of them. */
struct account_merge {
        struct cm_str preferences;
        struct cm_str privacy_settings;
};

/*
 * Applies a merge patch; `merged` is what comes of its parts that are merged. On 0 the user has the
 * next version and the time of the change; on an outcome it must not be stored.
 */
int account_rules_change(struct user *user, const struct user_patch *patch,
                         const struct account_merge *merged, cm_time now);
