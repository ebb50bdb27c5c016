#pragma once
#include "http/request.h"

/*
 * What a person must be told of their account because somebody else may be at it. The one place
 * where that leaves the service: who adds a way to reach people adds it here.
 */

/* A used refresh token came again and its session has been ended: once for each session, by the
 * use that found out. May suspend. */
void security_notice_token_stolen(struct cm_request *request, const struct cm_uuid *user_id,
                                  const struct cm_uuid *session_id);
