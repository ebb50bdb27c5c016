#pragma once
#include <stdbool.h>

#include "auth_api.h"
#include "base/arena.h"
#include "base/time.h"

/* What may become of an account. Pure. */

/* What other services hear of it. */
void account_rules_ref(const struct user *user, struct user_ref *ref_r);

/* True when the password is the address itself or the part before the @, in any case (ASVS 6.2.11).
 */
bool account_rules_password_is_email(struct cm_arena *arena, struct cm_str password,
                                     struct cm_str email);

enum account_change {
        ACCOUNT_UNCHANGED = 1,
        ACCOUNT_AVATAR_NOT_HTTPS,
        ACCOUNT_PREFERENCES_TOO_LARGE,
};

/*
 * Applies a merge patch; `merged` are the preferences after it. On 0 the user has the next version
 * and the time of the change; on an outcome it must not be stored.
 */
int account_rules_change(struct user *user, const struct user_patch *patch, struct cm_str merged,
                         cm_time now);
