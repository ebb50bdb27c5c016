#pragma once
#include "auth_api.h"
#include "base/arena.h"
#include "base/attr.h"
#include "store/pg.h"

/* The user_service_profiles table, always one person's rows. All suspend; 0 or an error. */

/* In the arena; `service_type` 0: all. */
int service_profile_store_list(struct cm_pg *pg, struct cm_arena *arena,
                               const struct cm_uuid *user_id, int32_t service_type,
                               struct service_profile_list *list_r) CM_MUST_CHECK;
int service_profile_store_put(struct cm_pg *pg, struct cm_arena *arena,
                              const struct cm_uuid *user_id, int32_t service_type,
                              const struct service_profile_input *in,
                              struct service_profile *profile_r) CM_MUST_CHECK;
int service_profile_store_delete(struct cm_pg *pg, const struct cm_uuid *user_id,
                                 int32_t service_type) CM_MUST_CHECK;
