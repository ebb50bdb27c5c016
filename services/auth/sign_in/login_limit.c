#include "login_limit.h"

#include "base/error.h"
#include "base/uuid.h"
#include "codec/digest.h"
#include "keys.h"
#include "sys/fiber.h"
#include "sys/log.h"

/* Whoever cannot be counted so soon is not let in. */
#define COUNT_TIMEOUT_US (250 * CM_MILLISECOND)

/*
 * Each counter is a sorted set of the attempts of the window by their time: at most `limit`
 * members, so small, and exact at every moment, where a fixed window lets twice the limit through
 * at its edge. Time is the Redis server's. The key behind the counters says whether the account's
 * owner was told today.
 */
static struct cm_redis_script take_script = {
        .name = "login_limit_take",
        .text = "local t = redis.call('TIME')\n"
                "local now = t[1] * 1000000 + t[2]\n"
                "local window, counters = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
                "local wait = 0\n"
                "for i = 1, counters do\n"
                "  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - window)\n"
                "  local excess = redis.call('ZCARD', KEYS[i]) - tonumber(ARGV[3 + i])\n"
                "  if excess >= 0 then\n"
                "    local freeing = redis.call('ZRANGE', KEYS[i], excess, excess, 'WITHSCORES')\n"
                "    wait = math.max(wait, freeing[2] and freeing[2] + window - now or window)\n"
                "  end\n"
                "end\n"
                "if wait > 0 then return wait end\n"
                "for i = 1, counters do\n"
                "  redis.call('ZADD', KEYS[i], now, ARGV[1])\n"
                "  redis.call('PEXPIRE', KEYS[i], math.ceil(window / 1000))\n"
                "end\n"
                "local told = KEYS[counters + 1]\n"
                "if told and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4])\n"
                "  and redis.call('SET', told, '1', 'NX', 'EX', 86400) then return -1 end\n"
                "return 0\n",
};

static struct cm_str digest_of(struct cm_arena *arena, struct cm_str secret, struct cm_str text)
{
        uint8_t digest[CM_SHA256_SIZE];
        char hex[2 * sizeof(digest) + 1];

        cm_hmac_sha256(secret, text.data, text.len, digest);
        cm_hex_encode(digest, sizeof(digest), hex);
        return cm_arena_str(arena, cm_str_from(hex));
}

static struct cm_str fresh_id(struct cm_arena *arena)
{
        struct cm_uuid id;
        char text[CM_UUID_TEXT_SIZE];

        cm_random(id.bytes, sizeof(id.bytes));
        return cm_arena_str(arena, cm_str_from(cm_uuid_format(&id, text)));
}

static struct cm_str number(struct cm_arena *arena, int64_t value)
{
        return cm_arena_printf(arena, "%lld", (long long)value);
}

/* A device that is known has a counter of its own, and nothing else counts for it. */
static void choose_counters(struct cm_arena *arena, const struct login_limit *limit,
                            const struct login_source *source, struct login_attempt *attempt)
{
        struct cm_str account = digest_of(arena, limit->secret, source->email_key);

        if (source->device_token.data) {
                attempt->counters[0] = key_auth_login_device(
                        arena, digest_of(arena, limit->secret, source->device_token));
                attempt->count = 1;
                return;
        }
        attempt->counters[0] = key_auth_login_account(arena, account);
        attempt->counters[1] = key_auth_login_network(arena, source->network);
        attempt->count = 2;
        attempt->told = key_auth_login_warned(arena, account);
}

static int run(struct cm_redis *redis, struct cm_arena *arena, const struct login_limit *limit,
               const struct login_attempt *attempt, struct cm_redis_reply *reply_r)
{
        const struct cm_str keys[] = { attempt->counters[0],
                                       attempt->count > 1 ? attempt->counters[1] : CM_STR_NONE,
                                       attempt->told };
        const struct cm_str args[] = {
                attempt->id,
                number(arena, limit->window_us),
                number(arena, (int64_t)attempt->count),
                number(arena, limit->per_account),
                number(arena, limit->per_network),
        };
        int64_t before = login_limit_hurry();
        int r = cm_redis_script(redis, arena, &take_script, keys,
                                attempt->count + (attempt->told.data ? 1 : 0), args, CM_COUNT(args),
                                reply_r);

        (void)cm_fiber_set_deadline(before);
        return r;
}

int64_t login_limit_hurry(void)
{
        int64_t soon = cm_monotonic_us() + COUNT_TIMEOUT_US, before = cm_fiber_deadline_us();

        return cm_fiber_set_deadline(before < soon ? before : soon);
}

int login_limit_take(struct cm_redis *redis, struct cm_arena *arena,
                     const struct login_limit *limit, const struct login_source *source,
                     struct login_attempt *attempt_r, int64_t *wait_us_r)
{
        struct cm_redis_reply reply = { 0 };
        int r;

        *attempt_r = (struct login_attempt){ .id = fresh_id(arena) };
        choose_counters(arena, limit, source, attempt_r);
        r = run(redis, arena, limit, attempt_r, &reply);
        if (r == CM_REDIS_REFUSED || (!r && reply.kind != CM_REDIS_INTEGER)) {
                cm_log(CM_LOG_ERROR, "failed logins cannot be counted",
                       CM_F_STR("reply", reply.text));
                return -CM_E_UNAVAILABLE;
        }
        if (r) /* counted or not, nobody was let in: nothing uncertain about that */
                return r == -CM_E_UNCERTAIN || r == -CM_E_DEADLINE ? -CM_E_UNAVAILABLE : r;
        if (reply.integer > 0)
                *wait_us_r = reply.integer;
        attempt_r->is_last = reply.integer < 0;
        return reply.integer > 0 ? LOGIN_LIMIT_REACHED : 0;
}

void login_limit_give_back(struct cm_redis *redis, struct cm_arena *arena,
                           const struct login_attempt *attempt)
{
        const struct cm_str told[] = { CM_STR("DEL"), attempt->told };
        struct cm_str lines[2][3];
        struct cm_redis_command_line commands[3];
        struct cm_redis_reply replies[3] = { 0 };
        size_t count = 0;
        int r;

        for (size_t i = 0; i < attempt->count; i++) {
                lines[i][0] = CM_STR("ZREM");
                lines[i][1] = attempt->counters[i];
                lines[i][2] = attempt->id;
                commands[count++] = (struct cm_redis_command_line){ lines[i], 3 };
        }
        if (attempt->is_last)
                commands[count++] = (struct cm_redis_command_line){ told, 2 };
        r = cm_redis_flight(redis, arena, commands, count, replies);
        if (r < 0)
                cm_log(CM_LOG_WARN, "a good login stays counted as failed", CM_F_ERROR(r));
}
