#pragma once
#include "auth.h"
#include "schemas.h"

/* What the other services hear of an account: who it is, and, sealed for those that may reach the
 * person, its address. In the arena. */
void user_facts_ref(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                    struct user_ref *ref_r);

/* user.created and user.updated of an account as it is now, as parameters of cm_outbox_insert. */
void user_facts_created(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                        struct cm_pg_params *params);
void user_facts_updated(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                        struct cm_pg_params *params);
