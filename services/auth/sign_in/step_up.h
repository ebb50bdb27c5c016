#pragma once
#include "http/request.h"
#include "second_factor_store.h"

/*
 * Proving again who one is: before what is sensitive, and at the second step of a sign-in. Attempts
 * are counted before anything is looked at; passwords for the session, which is a known device, so
 * that nobody who locks the account keeps its owner from proving who they are. Both suspend. 0 when
 * the proof holds; positive when not, and then the request has been answered and the attempt
 * audited; or an error.
 */

/* The password of the request's user. */
int step_up_password(struct cm_request *request, struct cm_str password) CM_MUST_CHECK;

/* A one-time or recovery code of `user_id`, which has yet to be spent in the transaction of what it
 * is for. `enrolling`: a code of the secret that is not in use yet, and no recovery code. */
int step_up_code(struct cm_request *request, const struct cm_uuid *user_id, struct cm_str code,
                 bool enrolling, struct fitting_code *fitting_r) CM_MUST_CHECK;

/* The answer to a wrong proof, always the same; audited with its reason. 1 or an error. */
int step_up_refuse(struct cm_request *request, const struct cm_uuid *user_id, const char *action,
                   const char *reason) CM_MUST_CHECK;

/* The secret of TOTP as it is stored: sealed for this account only. */
struct cm_str step_up_seal_context(struct cm_arena *arena, const struct cm_uuid *user_id);
