#pragma once
#include "auth.h"
#include "schemas.h"

/* What the other services hear of an account: who it is, and, sealed for those that may reach the
 * person, its address. In the arena. */
void user_facts_ref(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                    struct user_ref *ref_r);
