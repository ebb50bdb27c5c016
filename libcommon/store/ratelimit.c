#include "store/ratelimit.h"

#include <inttypes.h>

#include "base/error.h"

/*
 * Exact: a log of what was allowed within the window, "time number total" per decision, kept as a
 * list, oldest first; the total is that of the list since it began, so that what its ends say is
 * what is in use, and a decision costs the same behind any number of others. A counter per window,
 * or two that are weighted, would be smaller and let up to twice the limit pass, or refuse what
 * should pass. What is no entry, such as one of an older release, is as old as can be. Memory is
 * bounded by the number of decisions within a window, so who has a large
 * limit takes several at once.
 */

static struct cm_redis_script script = {
        .name = "rate-limit",
        .text = "local t = redis.call('TIME')\n"
                "local now = t[1] * 1000000 + t[2]\n"
                "local limit, window, want = tonumber(ARGV[1]), tonumber(ARGV[2]), "
                "tonumber(ARGV[3])\n"
                "local function at_end(index)\n"
                "  local entry = redis.call('LINDEX', KEYS[1], index)\n"
                "  if not entry then return end\n"
                "  local at, number, total = string.match(entry, '^(%d+) (%d+) (%d+)$')\n"
                "  return tonumber(at or 0), tonumber(number), tonumber(total)\n"
                "end\n"
                "local oldest, number, before = at_end(0)\n"
                "while oldest and oldest <= now - window do\n"
                "  redis.call('LPOP', KEYS[1])\n"
                "  oldest, number, before = at_end(0)\n"
                "end\n"
                "local used, total = 0, 0\n"
                "if oldest then\n"
                "  total = select(3, at_end(-1))\n"
                "  used = total - before + number\n"
                "end\n"
                "local granted = math.max(math.min(want, limit - used), 0)\n"
                "if granted > 0 then\n"
                "  redis.call('RPUSH', KEYS[1],\n"
                "             string.format('%.0f %d %.0f', now, granted, total + granted))\n"
                "  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))\n"
                "  used = used + granted\n"
                "end\n"
                "return { granted, limit - used,\n"
                "         used >= limit and (oldest or now) + window - now or 0 }\n",
};

static int read_decision(const struct cm_redis_reply *reply, struct cm_rate_decision *decision_r)
{
        if (reply->kind != CM_REDIS_ARRAY || reply->count != 3)
                return -CM_E_PROTOCOL;
        decision_r->granted = reply->items[0].integer;
        decision_r->allowed = decision_r->granted > 0;
        decision_r->remaining = reply->items[1].integer > 0 ? reply->items[1].integer : 0;
        decision_r->reset_us = reply->items[2].integer;
        return 0;
}

int cm_rate_limit(struct cm_redis *redis, struct cm_str key, int64_t limit, int64_t window_us,
                  struct cm_rate_decision *decision_r)
{
        return cm_rate_limit_take(redis, key, limit, window_us, 1, decision_r);
}

int cm_rate_limit_take(struct cm_redis *redis, struct cm_str key, int64_t limit, int64_t window_us,
                       int64_t want, struct cm_rate_decision *decision_r)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;
        struct cm_str args[3];
        int r;

        cm_arena_init(&arena, 1024);
        args[0] = cm_arena_printf(&arena, "%" PRId64, limit);
        args[1] = cm_arena_printf(&arena, "%" PRId64, window_us);
        args[2] = cm_arena_printf(&arena, "%" PRId64, want);
        decision_r->limit = limit;
        r = cm_redis_script(redis, &arena, &script, &key, 1, args, CM_COUNT(args), &reply);
        if (r == CM_REDIS_REFUSED)
                r = -CM_E_UNAVAILABLE;
        else if (r == 0)
                r = read_decision(&reply, decision_r);
        cm_arena_deinit(&arena);
        return r;
}
