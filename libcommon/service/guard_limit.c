#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "errors.h"
#include "keys.h"
#include "service/guard_internal.h"
#include "store/ratelimit.h"
#include "sys/log.h"
#include "sys/metrics.h"

static struct cm_metric refused =
        CM_COUNTER("salus_limit_refused_total", "Requests beyond a limit");
static struct cm_metric uncounted = CM_COUNTER(
        "salus_limit_uncounted_total", "Requests let through because Redis could not count");

/* Somebody with one IPv6 network has 2^64 addresses: the network is what counts. */
static struct cm_str network_of(struct cm_arena *arena, struct cm_str address)
{
        char text[INET6_ADDRSTRLEN] = "";
        struct in6_addr parsed;

        if (address.len < sizeof(text))
                memcpy(text, address.data, address.len);
        if (inet_pton(AF_INET6, text, &parsed) != 1 || IN6_IS_ADDR_V4MAPPED(&parsed))
                return address;
        memset(parsed.s6_addr + 8, 0, 8);
        return cm_arena_printf(arena, "%s/64", inet_ntop(AF_INET6, &parsed, text, sizeof(text)));
}

static int64_t seconds_up(int64_t us)
{
        return (us + CM_SECOND - 1) / CM_SECOND;
}

static void set_number(struct cm_request *request, const char *name, int64_t value)
{
        cm_reply_header(request, name,
                        cm_arena_printf(cm_request_arena(request), "%lld", (long long)value));
}

static int too_many(struct cm_request *request, const struct cm_rate_decision *decision)
{
        const struct cm_problem problem = { .status = 429,
                                            .code = CM_CODE_RATE_LIMITED,
                                            .title = "Too many requests",
                                            .retry_after_s = (int)seconds_up(decision->reset_us) };

        cm_counter_add(&refused, 1);
        (void)cm_reply_problem(request, &problem);
        return 1;
}

static int limit(struct worker *worker, struct cm_request *request, const struct cm_route *route,
                 struct cm_str who)
{
        struct cm_str key =
                key_rate_limit(cm_request_arena(request), who, cm_str_from(route->operation));
        struct cm_rate_decision decision;
        int r = cm_rate_limit(worker->public.bus, key, route->limit, route->limit_window_us,
                              &decision);

        if (r == -CM_E_CANCELLED || r == -CM_E_DEADLINE)
                return r;
        if (r) {
                cm_counter_add(&uncounted, 1);
                return 0;
        }
        set_number(request, "RateLimit-Limit", decision.limit);
        set_number(request, "RateLimit-Remaining", decision.remaining);
        set_number(request, "RateLimit-Reset", seconds_up(decision.reset_us));
        return decision.allowed ? 0 : too_many(request, &decision);
}

int guard_limit_address(struct worker *worker, struct cm_request *request,
                        const struct cm_route *route)
{
        return limit(worker, request, route,
                     network_of(cm_request_arena(request), cm_request_peer(request)));
}

int guard_limit_user(struct worker *worker, struct cm_request *request,
                     const struct cm_route *route)
{
        char text[CM_UUID_TEXT_SIZE];

        return limit(worker, request, route,
                     cm_str_from(cm_uuid_format(&cm_request_claims(request)->sub, text)));
}
