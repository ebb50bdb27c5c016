#include "route_limit.h"

#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "codec/digest.h"
#include "keys.h"
#include "refusals.h"
#include "sessions/session_rules.h"
#include "store/ratelimit.h"
#include "sys/fiber.h"
#include "sys/metrics.h"

static struct cm_metric refused =
        CM_COUNTER("salus_auth_limited_total", "Requests of open routes beyond their limit");

static int count(struct cm_request *request, struct cm_str who, const char *operation,
                 int64_t limit, struct cm_rate_decision *decision_r)
{
        struct auth *auth = cm_request_service(request);
        struct cm_str key = key_rate_limit(cm_request_arena(request), who, cm_str_from(operation));
        int64_t before = login_limit_hurry();
        int r = cm_rate_limit(auth->worker->bus, key, limit, CM_HOUR, decision_r);

        (void)cm_fiber_set_deadline(before);
        return r == -CM_E_UNCERTAIN || r == -CM_E_DEADLINE ? -CM_E_UNAVAILABLE : r;
}

static void count_refusal(const char *by)
{
        cm_counter_add(cm_metric_labeled(&refused, by), 1);
}

int route_limit_network(struct cm_request *request, const char *operation, int64_t limit)
{
        struct cm_str network =
                session_rules_network(cm_request_arena(request), cm_request_peer(request));
        struct cm_rate_decision decision = { 0 };
        int r = count(request, network, operation, limit, &decision);

        if (r || decision.allowed)
                return r;
        count_refusal("by=\"network\"");
        refused_request_note(request, &(const struct refused_request){ .reason = "limit" });
        r = refuse_too_many(request, "Too many requests from this network", decision.reset_us);
        return r ? r : 1;
}

int route_limit_address(struct cm_request *request, const char *operation, struct cm_str email_key,
                        int64_t limit, bool *allowed_r)
{
        const struct auth *auth = cm_request_service(request);
        struct cm_rate_decision decision = { 0 };
        uint8_t digest[CM_SHA256_SIZE];
        char hex[2 * sizeof(digest) + 1];
        int r;

        cm_hmac_sha256(auth->login_limit.secret, email_key.data, email_key.len, digest);
        cm_hex_encode(digest, sizeof(digest), hex);
        r = count(request, cm_str_from(hex), operation, limit, &decision);
        *allowed_r = decision.allowed;
        if (!r && !decision.allowed)
                count_refusal("by=\"address\"");
        return r;
}
