#include "store/ratelimit.h"

#include <inttypes.h>

#include "base/error.h"

/*
 * Exact: a log of what was allowed within the window, "time number" per decision, kept as a list,
 * oldest first. A counter per window, or two that are weighted, would be smaller and let up to
 * twice the limit pass, or refuse what should pass. Memory is bounded by the number of decisions
 * within a window, so who has a large limit takes several at once.
 */

static struct cm_redis_script script = {
        .name = "rate-limit",
        .text = "local t = redis.call('TIME')\n"
                "local now = t[1] * 1000000 + t[2]\n"
                "local limit, window, want = tonumber(ARGV[1]), tonumber(ARGV[2]), "
                "tonumber(ARGV[3])\n"
                "local used, expired, oldest = 0, 0, now\n"
                "for _, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do\n"
                "  local at, number = string.match(entry, '(%d+) (%d+)')\n"
                "  if tonumber(at) <= now - window then\n"
                "    expired = expired + 1\n"
                "  else\n"
                "    if used == 0 then oldest = tonumber(at) end\n"
                "    used = used + tonumber(number)\n"
                "  end\n"
                "end\n"
                "if expired > 0 then redis.call('LTRIM', KEYS[1], expired, -1) end\n"
                "local granted = math.max(math.min(want, limit - used), 0)\n"
                "if granted > 0 then\n"
                "  redis.call('RPUSH', KEYS[1], string.format('%.0f %d', now, granted))\n"
                "  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))\n"
                "  used = used + granted\n"
                "end\n"
                "return { granted, limit - used, used >= limit and oldest + window - now or 0 }\n",
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
