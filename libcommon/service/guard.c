#include "service/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "errors.h"
#include "events.h"
#include "http/request_internal.h"
#include "http/websocket.h"
#include "service/guard_internal.h"
#include "service/tokens.h"
#include "service/user_refs.h"
#include "sys/log.h"
#include "sys/metrics.h"

static const struct cm_metric refusals =
        CM_COUNTER("salus_guard_refused_total", "Requests refused before their handler, by reason");

static int refuse(struct cm_request *request, const struct cm_problem *problem, const char *reason,
                  struct cm_str challenge)
{
        char labels[64];

        (void)snprintf(labels, sizeof(labels), "reason=\"%s\"", reason);
        cm_counter_add(cm_metric_labeled(&refusals, labels), 1);
        if (challenge.data)
                cm_reply_header(request, "WWW-Authenticate", challenge);
        (void)cm_reply_problem(request, problem);
        return 1;
}

void guard_tell_refused(struct cm_request *request, const char *reason)
{
        struct worker *worker = worker_here();

        /* Before the worker's object is there, nobody hears. */
        if (worker->public.service->refused && worker->public.object)
                worker->public.service->refused(request, reason);
}

static int unavailable(struct cm_request *request, const char *reason)
{
        const struct cm_problem problem = { .status = 503,
                                            .code = CM_CODE_UNAVAILABLE,
                                            .title = "Not available at the moment",
                                            .retry_after_s = 1 };

        return refuse(request, &problem, reason, CM_STR_NONE);
}

static int unauthorized(struct cm_request *request, int outcome)
{
        struct cm_problem problem = { .status = 401,
                                      .code = CM_CODE_UNAUTHORIZED,
                                      .title = "A valid access token is needed" };

        if (outcome == CM_TOKEN_EXPIRED) {
                problem.code = CM_CODE_TOKEN_EXPIRED;
                problem.title = "The access token has expired";
        } else {
                cm_log(CM_LOG_INFO, "token refused",
                       CM_F_TEXT("reason", cm_token_outcome_name(outcome)));
        }
        if (outcome == CM_TOKEN_REVOKED) {
                problem.code = CM_CODE_TOKEN_REVOKED;
                problem.title = "The access token was revoked";
        }
        if (outcome != CM_TOKEN_EXPIRED)
                guard_tell_refused(request, cm_token_outcome_name(outcome));
        return refuse(request, &problem, cm_token_outcome_name(outcome),
                      CM_STR("Bearer error=\"invalid_token\""));
}

static int without_token(struct cm_request *request)
{
        const struct cm_problem problem = { .status = 401,
                                            .code = CM_CODE_UNAUTHORIZED,
                                            .title = "A valid access token is needed" };

        return refuse(request, &problem, "no_token", CM_STR("Bearer"));
}

static int forbidden(struct cm_request *request, const char *code, const char *reason,
                     struct cm_str challenge)
{
        const struct cm_problem problem = { .status = 403, .code = code, .title = "Not allowed" };

        cm_log(CM_LOG_INFO, "access refused", CM_F_TEXT("reason", reason));
        guard_tell_refused(request, reason);
        return refuse(request, &problem, reason, challenge);
}

/* ---- the token */

/* "Bearer" in any case, one or more blanks, the token. */
struct cm_str cm_bearer_token(struct cm_request *request)
{
        struct cm_str header = cm_request_header(request, "authorization");
        const struct cm_str scheme = CM_STR("bearer ");

        if (!header.data || header.len <= scheme.len ||
            !cm_str_equal_nocase((struct cm_str){ header.data, scheme.len }, scheme))
                return CM_STR_NONE;
        return cm_str_trim((struct cm_str){ header.data + scheme.len, header.len - scheme.len });
}

/* Browsers cannot set Authorization for a WebSocket: there the token may be a subprotocol. */
static struct cm_str subprotocol_token(struct cm_request *request)
{
        struct cm_str rest = cm_request_header(request, "sec-websocket-protocol"), one;

        while (cm_request_route(request)->websocket && cm_str_split(&rest, ',', &one)) {
                const struct cm_str prefix = CM_STR(CM_WEBSOCKET_BEARER);

                one = cm_str_trim(one);
                if (cm_str_starts(one, prefix))
                        return (struct cm_str){ one.data + prefix.len, one.len - prefix.len };
        }
        return CM_STR_NONE;
}

/* A key that we do not know may be new: the set is read again, though not for everybody who asks.
 * Without a set that is surely the newest nobody knows whether the token is good. */
static int verify(struct guard *guard, struct cm_str token, cm_time now,
                  const struct cm_claims **claims_r)
{
        int r = guard_keys_verify(guard, token, now, claims_r);

        if (r != CM_TOKEN_UNKNOWN_KEY)
                return r;
        r = guard_keys_reload_for_unknown(guard);
        if (r)
                return r < 0 ? r : CM_TOKEN_UNKNOWN_KEY;
        return guard_keys_verify(guard, token, now, claims_r);
}

static int check_token(struct guard *guard, struct cm_str token, cm_time now,
                       struct cm_arena *arena, struct cm_claims *claims_r)
{
        const struct cm_claims *claims;
        bool confirmed;
        int r = verify(guard, token, now, &claims);

        if (r)
                return r;
        confirmed = guard_is_confirmed(guard, claims);
        *claims_r = *claims; /* `claims` may go with the next wait */
        return confirmed ? 0 : guard_confirm(guard, token, claims_r, arena);
}

/* Sets the request's claims. 0, positive after a reply, or an error. */
static int authenticate(struct guard *guard, struct cm_request *request)
{
        struct cm_str token = cm_bearer_token(request);
        struct cm_claims claims;
        int r;

        if (!token.data)
                token = subprotocol_token(request);
        if (!token.data)
                return without_token(request);
        r = check_token(guard, token, cm_request_now(request), cm_request_arena(request), &claims);
        if (r == -CM_E_UNAVAILABLE)
                return unavailable(request, "no_keys");
        if (r)
                return r > 0 ? unauthorized(request, r) : r;
        cm_request_set_claims(request, &claims);
        return 0;
}

/* ---- for routes that look at tokens themselves */

int cm_token_check(struct cm_request *request, struct cm_str token, struct cm_claims *claims_r)
{
        return check_token(worker_here()->guard, token, cm_request_now(request),
                           cm_request_arena(request), claims_r);
}

int cm_token_refuse(struct cm_request *request, int outcome)
{
        int r = outcome ? unauthorized(request, outcome) : without_token(request);

        return r > 0 ? 0 : r;
}

int cm_scope_refuse(struct cm_request *request, const char *scope)
{
        int r = forbidden(request, CM_CODE_FORBIDDEN, "scope",
                          cm_arena_printf(cm_request_arena(request),
                                          "Bearer error=\"insufficient_scope\", scope=\"%s\"",
                                          scope));

        return r > 0 ? 0 : r;
}

/* ---- what it allows */

bool cm_claims_allow(const struct cm_claims *claims, const char *wanted)
{
        struct cm_str rest = cm_str_from(claims->scope), scope;

        while (cm_str_split(&rest, ' ', &scope))
                if (cm_str_equal(scope, cm_str_from(wanted)))
                        return true;
        return false;
}

static int check_scope(struct cm_request *request, const char *scope)
{
        if (cm_claims_allow(cm_request_claims(request), scope))
                return 0;
        return cm_scope_refuse(request, scope) ? -CM_E_INTERNAL : 1;
}

/* An account that is unknown here was created a moment ago; its event is on the way. */
static int check_account(struct worker *worker, struct cm_request *request)
{
        struct cm_user_ref ref;
        int r;

        if (!worker->public.service->user_refs)
                return 0;
        r = cm_user_ref_get(&worker->public, &cm_request_claims(request)->sub, &ref);
        if (r)
                return r == CM_USER_REF_UNKNOWN ? 0 : r;
        if (ref.status == USER_STATUS_ACTIVE)
                return 0;
        return forbidden(request, CM_CODE_ACCOUNT_INACTIVE, "account", CM_STR_NONE);
}

static bool limited_by(const struct cm_route *route, const char *what)
{
        return route->limit_by && strcmp(route->limit_by, what) == 0;
}

int guard_request(struct cm_request *request, const struct cm_route *route, void *arg)
{
        struct worker *worker = arg;
        int r = 0;

        if (status_has_route(route))
                return 0;
        if (!atomic_load_explicit(&worker->started, memory_order_relaxed))
                return unavailable(request, "starting");
        if (limited_by(route, "address"))
                r = guard_limit_address(worker, request, route);
        if (r || !route->scope)
                return r;
        r = authenticate(worker->guard, request);
        if (!r)
                r = check_scope(request, route->scope);
        if (!r)
                r = check_account(worker, request);
        if (!r && limited_by(route, "user"))
                r = guard_limit_user(worker, request, route);
        return r;
}
