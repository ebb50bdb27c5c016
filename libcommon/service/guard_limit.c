#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "errors.h"
#include "keys.h"
#include "service/guard_internal.h"
#include "store/ratelimit.h"
#include "sys/log.h"
#include "sys/metrics.h"

#define COUNT_TIMEOUT_US (250 * CM_MILLISECOND)

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
        cm_reply_header(request, name, cm_arena_int(cm_request_arena(request), value));
}

static int too_many(struct cm_request *request, const struct cm_rate_decision *decision)
{
        const struct cm_problem problem = { .status = 429,
                                            .code = CM_CODE_RATE_LIMITED,
                                            .title = "Too many requests",
                                            .retry_after_s = (int)seconds_up(decision->reset_us) };

        cm_counter_add(&refused, 1);
        guard_tell_refused(request, "limit");
        (void)cm_reply_problem(request, &problem);
        return 1;
}

/*
 * Counting each request of a large limit in Redis would cost more than many of the requests do. So
 * a worker takes several at a time for who asks often, and spends them itself: twice as many each
 * time they are gone within a second, up to a fiftieth of the limit. What was taken is counted at
 * once, so no more than the limit ever passes; what is left over lapses after a second, so at most
 * that fiftieth is withheld, and from nobody who asks rarely.
 */
#define COUNTED_SINGLY 100
#define LEASE_US       CM_SECOND
#define MAX_LEASES     10000

struct lease {
        int64_t left;
        int64_t size;
        int64_t until_us;
        struct cm_rate_decision decision; /* as of when it was taken */
};

void guard_limit_forget(struct worker *worker)
{
        cm_map_free(&worker->leases, cm_free);
}

static struct lease *lease_of(struct worker *worker, struct cm_str key)
{
        struct lease *lease;

        if (worker->leases && cm_map_count(worker->leases) >= MAX_LEASES)
                guard_limit_forget(worker);
        if (!worker->leases)
                worker->leases = cm_map_new();
        lease = cm_map_get(worker->leases, key);
        if (lease)
                return lease;
        lease = CM_NEW(struct lease);
        cm_map_put(worker->leases, key, lease);
        return lease;
}

static int64_t next_size(const struct lease *lease, int64_t limit, int64_t now_us)
{
        int64_t most = limit / 50;

        if (now_us >= lease->until_us)
                return 1;
        return lease->size * 2 < most ? lease->size * 2 : most;
}

/* Spends one of the lease, or takes a new one. Another request of the same person may take one as
 * well while this waits: the lease is looked up again afterwards, and theirs is added. */
static int spend(struct worker *worker, const struct cm_route *route, struct cm_str key,
                 struct cm_rate_decision *decision_r)
{
        struct lease *lease = lease_of(worker, key);
        int64_t now_us = cm_monotonic_us(), size;
        int r;

        if (lease->left > 0 && now_us < lease->until_us) {
                lease->left--;
                *decision_r = lease->decision;
                decision_r->remaining += lease->left;
                return 0;
        }
        size = next_size(lease, route->limit, now_us);
        r = cm_rate_limit_take(worker->public.bus, key, route->limit, route->limit_window_us, size,
                               decision_r);
        if (r || !decision_r->allowed)
                return r;
        lease = lease_of(worker, key);
        lease->left = (now_us < lease->until_us ? lease->left : 0) + decision_r->granted - 1;
        lease->size = size;
        lease->until_us = now_us + LEASE_US;
        lease->decision = *decision_r;
        decision_r->remaining += lease->left;
        return 0;
}

static int count(struct worker *worker, const struct cm_route *route, struct cm_str key,
                 struct cm_rate_decision *decision_r)
{
        if (route->limit >= COUNTED_SINGLY)
                return spend(worker, route, key, decision_r);
        return cm_rate_limit(worker->public.bus, key, route->limit, route->limit_window_us,
                             decision_r);
}

/* Redis that does not answer may not hold requests up. */
static int count_in_time(struct worker *worker, const struct cm_route *route, struct cm_str key,
                         struct cm_rate_decision *decision_r)
{
        int64_t limit_us = cm_monotonic_us() + COUNT_TIMEOUT_US, before = cm_fiber_deadline_us();
        int r;

        (void)cm_fiber_set_deadline(limit_us < before ? limit_us : before);
        r = count(worker, route, key, decision_r);
        (void)cm_fiber_set_deadline(before);
        return r;
}

static int limit(struct worker *worker, struct cm_request *request, const struct cm_route *route,
                 struct cm_str who)
{
        struct cm_str key =
                key_rate_limit(cm_request_arena(request), who, cm_str_from(route->operation));
        struct cm_rate_decision decision;
        int r = count_in_time(worker, route, key, &decision);

        if (r == -CM_E_CANCELLED)
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
