#include "store/ratelimit.h"

#include <inttypes.h>

#include "base/error.h"

/*
 * Exact: a log of the allowed requests' times within the window, kept as a list, oldest first. A
 * list holds at most `limit` entries, so deciding costs the entries that have just left the window
 * (each leaves once), and memory is bounded by the limit. A counter per window, or two that are
 * weighted, would be smaller and let up to twice the limit pass, or refuse what should pass.
 */

static struct cm_redis_script script = {
        .name = "rate-limit",
        .text = "local t = redis.call('TIME')\n"
                "local now = t[1] * 1000000 + t[2]\n"
                "local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
                "local oldest = redis.call('LINDEX', KEYS[1], 0)\n"
                "while oldest and tonumber(oldest) <= now - window do\n"
                "  redis.call('LPOP', KEYS[1])\n"
                "  oldest = redis.call('LINDEX', KEYS[1], 0)\n"
                "end\n"
                "local used = redis.call('LLEN', KEYS[1])\n"
                "local allowed = 0\n"
                "if used < limit then\n"
                "  allowed = 1\n"
                "  redis.call('RPUSH', KEYS[1], string.format('%.0f', now))\n"
                "  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))\n"
                "  used = used + 1\n"
                "end\n"
                "local reset = 0\n"
                "if used >= limit then\n"
                "  reset = tonumber(oldest or now) + window - now\n"
                "end\n"
                "return { allowed, limit - used, reset }\n",
};

static int read_decision(const struct cm_redis_reply *reply, struct cm_rate_decision *decision_r)
{
        if (reply->kind != CM_REDIS_ARRAY || reply->count != 3)
                return -CM_E_PROTOCOL;
        decision_r->allowed = reply->items[0].integer == 1;
        decision_r->remaining = reply->items[1].integer > 0 ? reply->items[1].integer : 0;
        decision_r->reset_us = reply->items[2].integer;
        return 0;
}

int cm_rate_limit(struct cm_redis *redis, struct cm_str key, int64_t limit, int64_t window_us,
                  struct cm_rate_decision *decision_r)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;
        struct cm_str args[2];
        int r;

        cm_arena_init(&arena, 1024);
        args[0] = cm_arena_printf(&arena, "%" PRId64, limit);
        args[1] = cm_arena_printf(&arena, "%" PRId64, window_us);
        decision_r->limit = limit;
        r = cm_redis_script(redis, &arena, &script, &key, 1, args, 2, &reply);
        if (r == CM_REDIS_REFUSED)
                r = -CM_E_UNAVAILABLE;
        else if (r == 0)
                r = read_decision(&reply, decision_r);
        cm_arena_deinit(&arena);
        return r;
}
