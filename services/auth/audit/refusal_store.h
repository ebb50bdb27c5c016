#pragma once
#include "base/attr.h"
#include "refusal_tally.h"
#include "store/pg.h"

/* A row of the audit log for a refused request; `reason` instead of its own. Suspends. */
int refusal_store_write(struct cm_pg *pg, const struct refusal *refusal,
                        const char *reason) CM_MUST_CHECK;
