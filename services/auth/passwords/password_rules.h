#pragma once
#include "base/arena.h"
#include "common_passwords.h"

/* Which passwords nobody may choose. Asked wherever one is chosen: at registration, change and
 * reset. Length is the contract's business (NewPassword of proto/schemas). Pure. */

struct password_owner {
        struct cm_str email;
        struct cm_str display_name; /* may be absent */
};

enum password_flaw {
        PASSWORD_IS_EMAIL = 1, /* the address, or what stands before the @ (ASVS 6.2.11) */
        PASSWORD_IS_NAME,
        PASSWORD_IS_COMMON, /* ASVS 6.2.4 */
};

/* 0 or a flaw. Case, and how accents are encoded, make no difference here. `common` NULL: no list.
 */
int password_rules_check(struct cm_arena *arena, const struct common_passwords *common,
                         struct cm_str password, const struct password_owner *owner);

/* What to say of a flaw, at the pointer of the password. */
const char *password_rules_detail(int flaw);
