#pragma once
#include "http/request.h"

/*
 * For routes that look at tokens themselves, as the guard does for those with a scope. In a
 * worker's thread only.
 */

/* Signature, claims, revocation (which may ask Redis). 0; an enum cm_token_outcome;
 * -CM_E_UNAVAILABLE while there are no keys. Suspends. */
int cm_token_check(struct cm_request *request, struct cm_str token,
                   struct cm_claims *claims_r) CM_MUST_CHECK;
bool cm_claims_allow(const struct cm_claims *claims, const char *scope);

/* Of "Authorization: Bearer …"; absent when there is none. */
struct cm_str cm_bearer_token(struct cm_request *request);
/* Replies 401 with the guard's words; outcome 0: there was no token. */
int cm_token_refuse(struct cm_request *request, int outcome);
/* Replies 403: the token has not this scope. */
int cm_scope_refuse(struct cm_request *request, const char *scope);
