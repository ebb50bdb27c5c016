#include "flag_signals.h"

#include "base/error.h"
#include "flag_store.h"
#include "keys.h"
#include "sys/log.h"

static struct cm_redis_script put_script = {
        .name = "flags_put",
        .text = "local have = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')\n"
                "if have > tonumber(ARGV[1]) then return 0 end\n"
                "redis.call('HSET', KEYS[1], 'revision', ARGV[1], 'set', ARGV[2])\n"
                "return 1\n",
};

static int put(struct auth *auth, struct cm_arena *arena, const struct published_flags *flags)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct cm_str key = key_flags(arena, &flags->tenant), args[2];
        struct cm_redis_reply reply = { 0 };
        char tenant[CM_UUID_TEXT_SIZE];
        int r;

        cm_schema_encode(&flag_set_schema, &flags->set, &json);
        args[0] = cm_arena_int(arena, flags->revision);
        args[1] = cm_buf_str(&json);
        r = cm_redis_script(auth->worker->bus, arena, &put_script, &key, 1, args, 2, &reply);
        if (r > 0) {
                cm_log(CM_LOG_ERROR, "Redis refuses feature flags", CM_F_STR("reply", reply.text));
                return -CM_E_UNAVAILABLE;
        }
        if (r)
                return r;
        return cm_signal_send(auth->worker->signals, CM_STR("auth.flags"),
                              cm_str_from(cm_uuid_format(&flags->tenant, tenant)));
}

int flag_signals_send(struct auth *auth, struct cm_arena *arena, const struct cm_uuid *tenant)
{
        struct published_flags *sets = NULL;
        size_t count = 0;
        int r = flag_store_published(auth->worker->pg, arena, tenant, &sets, &count);

        for (size_t i = 0; !r && i < count; i++)
                r = put(auth, arena, &sets[i]);
        return r;
}
