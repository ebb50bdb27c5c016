#include "base/error.h"
#include "base/mem.h"
#include "store/redis_internal.h"

/*
 * A subscriber hears messages and nothing else, so a dead connection looks like silence: it pings,
 * and two pings without an answer mean that the server is gone. Each subscription that the
 * server confirms may follow a time in which messages were lost, so its owner is told to look
 * again.
 */

#define PING_INTERVAL_US (15 * CM_SECOND)
#define PINGS_UNANSWERED 2

static int64_t interval_us(const struct cm_redis *redis)
{
        return redis->config.ping_us ? redis->config.ping_us : PING_INTERVAL_US;
}

static void on_ping(void *arg)
{
        struct cm_redis *redis = arg;

        if (redis->pings_unanswered == PINGS_UNANSWERED) {
                redis_link_drop(redis, "subscriber's pings unanswered");
                return;
        }
        redis->pings_unanswered++;
        redis_encode(&redis->out, (struct cm_str[]){ CM_STR("PING") }, 1);
        redis_link_flush_soon(redis);
        cm_timer_start(redis->ping, interval_us(redis));
}

static void subscribe(struct cm_redis *redis, const struct redis_subscription *subscription)
{
        struct cm_str channel = cm_str_from(subscription->channel);

        redis_encode(&redis->out, (struct cm_str[]){ CM_STR("SUBSCRIBE"), channel }, 2);
        redis_link_flush_soon(redis);
}

void redis_subscribe_all(struct cm_redis *redis)
{
        if (cm_list_is_empty(&redis->subscriptions))
                return;
        CM_LIST_EACH (node, &redis->subscriptions)
                subscribe(redis, CM_CONTAINER(node, struct redis_subscription, node));
        if (!redis->ping)
                redis->ping = cm_timer_new(redis->loop, on_ping, redis);
        cm_timer_start(redis->ping, interval_us(redis));
}

static void tell(struct cm_redis *redis, struct cm_str channel, struct cm_str message)
{
        CM_LIST_EACH_SAFE (node, &redis->subscriptions) {
                struct redis_subscription *it = CM_CONTAINER(node, struct redis_subscription, node);

                if (cm_str_equal(cm_str_from(it->channel), channel))
                        it->fn(it->arg, channel, message);
        }
}

void redis_subscriber_heard(struct cm_redis *redis, const struct cm_redis_reply *reply)
{
        struct cm_str kind;

        if (reply->kind != CM_REDIS_ARRAY || reply->count < 2) {
                redis_link_drop(redis, reply->kind == CM_REDIS_ERROR
                                               ? reply->text.data
                                               : "no message of a subscriber");
                return;
        }
        redis->pings_unanswered = 0;
        kind = reply->items[0].text;
        if (cm_str_equal(kind, CM_STR("message")) && reply->count == 3)
                tell(redis, reply->items[1].text, reply->items[2].text);
        else if (cm_str_equal(kind, CM_STR("subscribe")))
                tell(redis, reply->items[1].text, CM_STR_NONE);
}

void redis_subscriber_close(struct cm_redis *redis)
{
        redis->pings_unanswered = 0;
        if (redis->ping)
                cm_timer_stop(redis->ping);
}

int cm_redis_subscribe(struct cm_redis *redis, struct cm_str channel, cm_redis_message_fn *fn,
                       void *arg)
{
        struct redis_subscription *it;
        bool first = cm_list_is_empty(&redis->subscriptions);

        if (redis->waiting)
                return -CM_E_INTERNAL;
        it = CM_NEW(struct redis_subscription);
        it->channel = cm_alloc(channel.len + 1);
        __builtin_memcpy(it->channel, channel.data, channel.len);
        it->fn = fn;
        it->arg = arg;
        cm_list_append(&redis->subscriptions, &it->node);
        if (redis->state != REDIS_READY)
                return 0;
        if (first)
                redis_subscribe_all(redis);
        else
                subscribe(redis, it);
        return 0;
}
