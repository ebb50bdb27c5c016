#include "store/lock.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/time.h"

/*
 * The lock is a key with the holder's name and a lease; the fence is a counter beside it that lives
 * on, so that the next holder's token is larger whatever happened to the lock. Both are decided in
 * one script. A holder that asks again while it holds gets its lease and a new token.
 */

static struct cm_redis_script take_script = {
        .name = "lock-take",
        .text = "local holder = redis.call('GET', KEYS[1])\n"
                "if holder and holder ~= ARGV[1] then return 0 end\n"
                "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
                "return redis.call('INCR', KEYS[2])\n",
};

static struct cm_redis_script extend_script = {
        .name = "lock-extend",
        .text = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                "return 1\n",
};

static struct cm_redis_script release_script = {
        .name = "lock-release",
        .text = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                "redis.call('DEL', KEYS[1])\n"
                "return 1\n",
};

/* Runs a script that answers 0 when the lock is somebody else's. */
static int run(struct cm_redis *redis, struct cm_redis_script *script, struct cm_str name,
               struct cm_str holder, int64_t lease_us, int64_t *answer_r)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;
        struct cm_str keys[2], args[2];
        int r;

        cm_arena_init(&arena, 1024);
        keys[0] = name;
        keys[1] = cm_arena_printf(&arena, "%.*s:fence", CM_STR_ARG(name));
        args[0] = holder;
        args[1] = cm_arena_printf(&arena, "%" PRId64, lease_us / 1000);
        r = cm_redis_script(redis, &arena, script, keys, 2, args, 2, &reply);
        if (r == CM_REDIS_REFUSED)
                r = -CM_E_UNAVAILABLE;
        else if (r == 0 && reply.kind != CM_REDIS_INTEGER)
                r = -CM_E_PROTOCOL;
        else if (r == 0 && reply.integer == 0)
                r = CM_LOCK_HELD;
        else if (r == 0)
                *answer_r = reply.integer;
        cm_arena_deinit(&arena);
        return r;
}

int cm_lock_take(struct cm_redis *redis, struct cm_str name, struct cm_str holder, int64_t lease_us,
                 int64_t *fence_r)
{
        return run(redis, &take_script, name, holder, lease_us, fence_r);
}

int cm_lock_extend(struct cm_redis *redis, struct cm_str name, struct cm_str holder,
                   int64_t lease_us)
{
        int64_t one;

        return run(redis, &extend_script, name, holder, lease_us, &one);
}

int cm_lock_release(struct cm_redis *redis, struct cm_str name, struct cm_str holder)
{
        int64_t one;

        return run(redis, &release_script, name, holder, CM_SECOND, &one);
}
