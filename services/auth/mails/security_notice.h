#pragma once
#include "auth_api.h"
#include "base/attr.h"
#include "http/request.h"
#include "store/pg.h"

/*
 * What a person must be told of their account because somebody else may be at it. The one place
 * where that leaves the service: who adds a way to reach people adds it here.
 */

/* A used refresh token came again and its session is ended in this transaction: once for each
 * session, by the use that found out. Suspends. */
int security_notice_token_stolen(struct cm_request *request, struct cm_pg_tx *tx,
                                 const struct user *owner,
                                 const struct cm_uuid *session_id) CM_MUST_CHECK;
