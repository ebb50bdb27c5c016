#include "store/redis.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/redis_internal.h"
#include "sys/log.h"

#define PARSED_BLOCK 16384
#define CALL_ARGS    32

int cm_redis_new(struct cm_loop *loop, const struct cm_redis_config *config,
                 struct cm_redis **redis_r)
{
        struct redis_address address;
        struct cm_redis *redis;
        const char *why;
        int r = redis_address_parse(config->url, &address, &why);

        if (r) {
                cm_log(CM_LOG_ERROR, "redis address", CM_F_TEXT("fault", why));
                return r;
        }
        redis = CM_NEW(struct cm_redis);
        redis->loop = loop;
        redis->address = address;
        redis->config = *config;
        cm_arena_init(&redis->parsed, PARSED_BLOCK);
        cm_list_init(&redis->flights);
        cm_list_init(&redis->hooks);
        cm_list_init(&redis->loss_hooks);
        cm_list_init(&redis->subscriptions);
        redis_link_start(redis);
        *redis_r = redis;
        return 0;
}

static void hooks_free(struct cm_list *hooks)
{
        struct cm_list *node;

        while ((node = cm_list_pop(hooks)))
                cm_free(CM_CONTAINER(node, struct redis_hook, node));
}

void cm_redis_free(struct cm_redis **redis)
{
        struct cm_redis *it = *redis;
        struct cm_list *node;

        if (!it)
                return;
        redis_link_close(it);
        redis_flights_fail(it);
        cm_timer_free(&it->ping);
        hooks_free(&it->hooks);
        hooks_free(&it->loss_hooks);
        while ((node = cm_list_pop(&it->subscriptions))) {
                struct redis_subscription *old =
                        CM_CONTAINER(node, struct redis_subscription, node);

                cm_free(old->channel);
                cm_free(old);
        }
        cm_arena_deinit(&it->parsed);
        cm_buf_deinit(&it->out);
        redis_address_deinit(&it->address);
        *redis = NULL;
        it->freed = true;
        if (!it->flush_deferred)
                cm_free(it);
}

bool cm_redis_is_ready(const struct cm_redis *redis)
{
        return redis->state == REDIS_READY;
}

static void hook_add(struct cm_list *hooks, cm_loop_fn *fn, void *arg)
{
        struct redis_hook *hook = CM_NEW(struct redis_hook);

        hook->fn = fn;
        hook->arg = arg;
        cm_list_append(hooks, &hook->node);
}

void redis_hooks_call(struct cm_list *hooks)
{
        CM_LIST_EACH_SAFE (node, hooks) {
                struct redis_hook *hook = CM_CONTAINER(node, struct redis_hook, node);

                hook->fn(hook->arg);
        }
}

void cm_redis_on_connect(struct cm_redis *redis, cm_loop_fn *fn, void *arg)
{
        hook_add(&redis->hooks, fn, arg);
}

void cm_redis_on_loss(struct cm_redis *redis, cm_loop_fn *fn, void *arg)
{
        hook_add(&redis->loss_hooks, fn, arg);
}

/* ---- flights */

static void flight_end(struct cm_redis *redis, struct redis_flight *flight, int result)
{
        cm_list_remove(&flight->node);
        redis->waiting -= flight->count;
        if (flight->call) {
                flight->call->flight = NULL;
                cm_wait_done(&flight->call->wait, result);
        }
        cm_buf_deinit(&flight->bytes);
        cm_free(flight);
}

void redis_flights_fail(struct cm_redis *redis)
{
        CM_LIST_EACH_SAFE (node, &redis->flights) {
                struct redis_flight *flight = CM_CONTAINER(node, struct redis_flight, node);

                flight_end(redis, flight, flight->sent ? -CM_E_UNCERTAIN : -CM_E_UNAVAILABLE);
        }
}

void redis_flights_send(struct cm_redis *redis)
{
        CM_LIST_EACH (node, &redis->flights) {
                struct redis_flight *flight = CM_CONTAINER(node, struct redis_flight, node);

                cm_buf_add_str(&redis->out, cm_buf_str(&flight->bytes));
                cm_buf_deinit(&flight->bytes);
                flight->sent = true;
                redis_link_watch(redis);
        }
        redis_link_flush_soon(redis);
}

void redis_flight_answered(struct cm_redis *redis, const struct cm_redis_reply *reply)
{
        struct redis_flight *flight;

        if (cm_list_is_empty(&redis->flights)) {
                redis_link_drop(redis, reply->kind == CM_REDIS_ERROR
                                               ? reply->text.data
                                               : "a reply without a question");
                return;
        }
        flight = CM_CONTAINER(redis->flights.next, struct redis_flight, node);
        flight->refused |= reply->kind == CM_REDIS_ERROR;
        if (flight->call)
                redis_reply_copy(flight->call->arena, reply,
                                 &flight->call->replies[flight->received]);
        if (++flight->received == flight->count)
                flight_end(redis, flight, flight->refused ? CM_REDIS_REFUSED : 0);
}

static struct redis_flight *flight_new(struct cm_redis *redis, struct redis_call *call,
                                       const struct cm_redis_command_line *commands, size_t count)
{
        struct redis_flight *flight = CM_NEW(struct redis_flight);
        struct cm_buf *out;

        flight->call = call;
        flight->count = count;
        flight->sent = redis->state == REDIS_READY;
        out = flight->sent ? &redis->out : &flight->bytes;
        for (size_t i = 0; i < count; i++)
                redis_encode(out, commands[i].args, commands[i].count);
        cm_list_append(&redis->flights, &flight->node);
        redis->waiting += count;
        if (flight->sent) {
                redis_link_watch(redis);
                redis_link_flush_soon(redis);
        }
        return flight;
}

/* The wait ended before the answer: what was not sent never will be. */
static int give_up(struct cm_redis *redis, struct redis_flight *flight, int result)
{
        bool sent = flight->sent;

        flight->call = NULL;
        if (!sent)
                flight_end(redis, flight, result);
        return sent && result == -CM_E_DEADLINE ? -CM_E_UNCERTAIN : result;
}

int cm_redis_flight(struct cm_redis *redis, struct cm_arena *arena,
                    const struct cm_redis_command_line *commands, size_t count,
                    struct cm_redis_reply *replies_r)
{
        struct redis_call call = { .arena = arena, .replies = replies_r };
        int r;

        CM_ASSERT(cm_list_is_empty(&redis->subscriptions));
        if (!count)
                return 0;
        if (redis->state == REDIS_DOWN)
                return -CM_E_UNAVAILABLE;
        if (redis->config.max_waiting && redis->waiting + count > redis->config.max_waiting)
                return -CM_E_OVERLOAD;
        cm_wait_init(&call.wait);
        call.flight = flight_new(redis, &call, commands, count);
        r = cm_wait_for(&call.wait);
        return call.flight ? give_up(redis, call.flight, r) : r;
}

int cm_redis_command(struct cm_redis *redis, struct cm_arena *arena, const struct cm_str *args,
                     size_t count, struct cm_redis_reply *reply_r)
{
        const struct cm_redis_command_line command = { args, count };

        return cm_redis_flight(redis, arena, &command, 1, reply_r);
}

int cm_redis_call(struct cm_redis *redis, struct cm_arena *arena, struct cm_redis_reply *reply_r,
                  ...)
{
        struct cm_str args[CALL_ARGS];
        size_t count = 0;
        va_list list;

        va_start(list, reply_r);
        for (;;) {
                struct cm_str arg = va_arg(list, struct cm_str);

                if (!arg.data)
                        break;
                CM_ASSERT(count < CALL_ARGS);
                args[count++] = arg;
        }
        va_end(list);
        return cm_redis_command(redis, arena, args, count, reply_r);
}

/* ---- scripts */

static pthread_mutex_t script_lock = PTHREAD_MUTEX_INITIALIZER;

static void script_know(struct cm_redis_script *script)
{
        unsigned char digest[SHA_DIGEST_LENGTH];

        if (__atomic_load_n(&script->known, __ATOMIC_ACQUIRE))
                return;
        SHA1((const unsigned char *)script->text, strlen(script->text), digest);
        pthread_mutex_lock(&script_lock);
        if (!script->known)
                cm_hex_encode(digest, sizeof(digest), script->sha1);
        __atomic_store_n(&script->known, 1, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&script_lock);
}

int cm_redis_script(struct cm_redis *redis, struct cm_arena *arena, struct cm_redis_script *script,
                    const struct cm_str *keys, size_t key_count, const struct cm_str *args,
                    size_t arg_count, struct cm_redis_reply *reply_r)
{
        struct cm_str *line = cm_arena_array(arena, 3 + key_count + arg_count, sizeof(*line));
        size_t count = 3;
        int r;

        script_know(script);
        line[0] = CM_STR("EVALSHA");
        line[1] = cm_str_from(script->sha1);
        line[2] = cm_arena_printf(arena, "%zu", key_count);
        for (size_t i = 0; i < key_count; i++)
                line[count++] = keys[i];
        for (size_t i = 0; i < arg_count; i++)
                line[count++] = args[i];
        r = cm_redis_command(redis, arena, line, count, reply_r);
        if (r != CM_REDIS_REFUSED || !cm_str_starts(reply_r->text, CM_STR("NOSCRIPT")))
                return r;
        line[0] = CM_STR("EVAL");
        line[1] = cm_str_from(script->text);
        return cm_redis_command(redis, arena, line, count, reply_r);
}
