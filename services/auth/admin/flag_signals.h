#pragma once
#include "auth.h"

/*
 * Feature flags as all services read them (libcommon/service/flags.h): the set of a tenant in
 * Redis, never an older one over a newer one, and a signal. Suspends. NULL: of all tenants. 0 or an
 * error.
 */
int flag_signals_send(struct auth *auth, struct cm_arena *arena,
                      const struct cm_uuid *tenant) CM_MUST_CHECK;
