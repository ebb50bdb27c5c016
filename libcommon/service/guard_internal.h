#pragma once
#include "service/guard.h"

/* Between the files of the guard. */

/* Tells the service that a request is refused, if it wants to know: cm_service.refused. Suspends.
 */
void guard_tell_refused(struct cm_request *request, const char *reason);

/* ---- guard_keys.c: which keys, which tokens, what is revoked */

/* 0, a cm_token_outcome, or -CM_E_UNAVAILABLE while there are no keys. `claims_r` is valid until
 * the next wait. */
int guard_keys_verify(struct guard *guard, struct cm_str token, cm_time now,
                      const struct cm_claims **claims_r) CM_MUST_CHECK;
/* Reads the keys again, at most once in 30 s. 0; GUARD_KEYS_NOT_DUE; -CM_E_UNAVAILABLE when they
 * could not be read, now or at the last attempt. Suspends. */
enum { GUARD_KEYS_NOT_DUE = 1 };
int guard_keys_reload_for_unknown(struct guard *guard) CM_MUST_CHECK;
bool guard_is_confirmed(const struct guard *guard, const struct cm_claims *claims);
/* Looks whether the token or its session was revoked before we listened. 0, CM_TOKEN_REVOKED, or an
 * error of the fiber's wait. Without Redis the token stands, and the next request looks again: it
 * lives minutes, and a Redis that is gone must not sign everybody out. Suspends. */
int guard_confirm(struct guard *guard, struct cm_str token, const struct cm_claims *claims,
                  struct cm_arena *arena) CM_MUST_CHECK;

/* ---- guard_limit.c. 0, or positive after the reply 429; sets RateLimit headers. Suspends. A limit
 * that cannot be counted because Redis is gone lets the request pass. */
int guard_limit_address(struct worker *worker, struct cm_request *request,
                        const struct cm_route *route) CM_MUST_CHECK;
int guard_limit_user(struct worker *worker, struct cm_request *request,
                     const struct cm_route *route) CM_MUST_CHECK;
/* Drops what the worker holds of limits, when it ends or holds too many. */
void guard_limit_forget(struct worker *worker);
