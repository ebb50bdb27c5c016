#include "login_limit.h"

#include "base/error.h"
#include "base/uuid.h"
#include "codec/digest.h"
#include "keys.h"
#include "sys/log.h"

/*
 * Each counter is a sorted set of the attempts of the window by their time: at most `limit`
 * members, so small, and exact at every moment, where a fixed window lets twice the limit through
 * at its edge. Time is the Redis server's.
 */
static struct cm_redis_script take_script = {
        .name = "login_limit_take",
        .text = "local t = redis.call('TIME')\n"
                "local now = t[1] * 1000000 + t[2]\n"
                "local window = tonumber(ARGV[2])\n"
                "local wait = 0\n"
                "for i, key in ipairs(KEYS) do\n"
                "  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)\n"
                "  local limit = tonumber(ARGV[2 + i])\n"
                "  local excess = redis.call('ZCARD', key) - limit\n"
                "  if excess >= 0 then\n"
                "    local freeing = redis.call('ZRANGE', key, excess, excess, 'WITHSCORES')\n"
                "    wait = math.max(wait, freeing[2] and freeing[2] + window - now or window)\n"
                "  end\n"
                "end\n"
                "if wait > 0 then return wait end\n"
                "for _, key in ipairs(KEYS) do\n"
                "  redis.call('ZADD', key, now, ARGV[1])\n"
                "  redis.call('PEXPIRE', key, math.ceil(window / 1000))\n"
                "end\n"
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

int login_limit_take(struct cm_redis *redis, struct cm_arena *arena,
                     const struct login_limit *limit, struct cm_str email_key,
                     struct cm_str network, struct login_attempt *attempt_r, int64_t *wait_us_r)
{
        const struct cm_str keys[] = {
                key_auth_login_account(arena, digest_of(arena, limit->secret, email_key)),
                key_auth_login_network(arena, network),
        };
        const struct cm_str args[] = {
                fresh_id(arena),
                number(arena, limit->window_us),
                number(arena, limit->per_account),
                number(arena, limit->per_network),
        };
        struct cm_redis_reply reply = { 0 };
        int r;

        *attempt_r = (struct login_attempt){ keys[0], keys[1], args[0] };
        r = cm_redis_script(redis, arena, &take_script, keys, CM_COUNT(keys), args, CM_COUNT(args),
                            &reply);
        if (r == CM_REDIS_REFUSED || (!r && reply.kind != CM_REDIS_INTEGER)) {
                cm_log(CM_LOG_ERROR, "failed logins cannot be counted",
                       CM_F_STR("reply", reply.text));
                return -CM_E_UNAVAILABLE;
        }
        if (r) /* counted or not, nobody was let in: nothing uncertain about that */
                return r == -CM_E_UNCERTAIN ? -CM_E_UNAVAILABLE : r;
        *wait_us_r = reply.integer;
        return reply.integer ? LOGIN_LIMIT_REACHED : 0;
}

void login_limit_give_back(struct cm_redis *redis, struct cm_arena *arena,
                           const struct login_attempt *attempt)
{
        const struct cm_str account[] = { CM_STR("ZREM"), attempt->account_key, attempt->id };
        const struct cm_str network[] = { CM_STR("ZREM"), attempt->network_key, attempt->id };
        const struct cm_redis_command_line commands[] = { { account, 3 }, { network, 3 } };
        struct cm_redis_reply replies[2] = { 0 };
        int r = cm_redis_flight(redis, arena, commands, CM_COUNT(commands), replies);

        if (r < 0)
                cm_log(CM_LOG_WARN, "a good login stays counted as failed", CM_F_ERROR(r));
}
