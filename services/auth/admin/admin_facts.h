#pragma once
#include "auth.h"
#include "auth_api.h"
#include "http/request.h"
#include "store/pg.h"

/* What the other services hear of an account that somebody administers, written in the transaction
 * of the act; and what an admin hears whose right has ended meanwhile. */
int admin_facts_created(const struct auth *auth, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct account *account) CM_MUST_CHECK;
int admin_facts_updated(const struct auth *auth, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct account *account) CM_MUST_CHECK;

/* 403: the token says admin, the account does not any more. */
int admin_no_longer(struct cm_request *request);
