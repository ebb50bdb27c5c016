#pragma once
#include <stdbool.h>

#include "schemas.h"
#include "service/service.h"

/*
 * Feature flags as auth keeps them for each tenant (docs/administration.md), read over Redis by any
 * service. A worker keeps the set of a tenant until the signal that it has changed, at most a
 * minute. When Redis is gone the last known set stays in use.
 */

/* Whether the flag is on for this person. `otherwise` holds where the tenant has no such flag, or
 * nothing is known of its flags. Suspends when the set is not at hand. */
bool cm_flag(struct cm_worker *worker, const struct cm_uuid *tenant, const struct cm_uuid *user,
             const char *key, bool otherwise);

/* All flags of a tenant; valid until the next wait. Suspends. 0, or an error while nothing is
 * known. */
int cm_flags_of(struct cm_worker *worker, const struct cm_uuid *tenant,
                const struct flag_set **set_r) CM_MUST_CHECK;

/* Whether a flag is on for somebody: named, or within the share by a stable hash of both. Pure. */
bool cm_flag_is_on(const struct flag_set_item *flag, const struct cm_uuid *user);
