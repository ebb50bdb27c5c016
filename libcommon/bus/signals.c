#include "bus/signals.h"

#include "base/error.h"
#include "base/list.h"
#include "base/mem.h"
#include "keys.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* Number and message leave in one script, so numbers arrive in their order. */
static struct cm_redis_script send_script = {
        .name = "signal",
        .text = "local n = redis.call('INCR', KEYS[1])\n"
                "redis.call('PUBLISH', ARGV[1], n .. ' ' .. ARGV[2])\n"
                "return n\n",
};

static struct cm_metric sent = CM_COUNTER("salus_signals_sent_total", "Live signals sent");
static struct cm_metric heard = CM_COUNTER("salus_signals_heard_total", "Live signals heard");
static struct cm_metric reloads =
        CM_COUNTER("salus_signals_reloads_total",
                   "Times a listener loaded its state anew, having missed some");

struct listener {
        struct cm_list node;
        int64_t last; /* number of the last signal; 0: none since the connection was made */
        cm_signal_fn *fn;
        void *arg;
};

struct cm_signals {
        struct cm_signals_config config;
        struct cm_list listeners;
};

int cm_signal_send(struct cm_signals *signals, struct cm_str name, struct cm_str words)
{
        struct cm_redis_reply reply = { 0 };
        struct cm_arena arena;
        struct cm_str key, args[2];
        int r;

        cm_arena_init(&arena, 512);
        key = key_signal_count(&arena, name);
        args[0] = key_signal(&arena, name);
        args[1] = words;
        r = cm_redis_script(signals->config.redis, &arena, &send_script, &key, 1, args, 2, &reply);
        if (r == 0)
                cm_counter_add(&sent, 1);
        else if (r > 0)
                cm_log(CM_LOG_ERROR, "signal refused", CM_F_STR("name", name),
                       CM_F_STR("reply", reply.text));
        cm_arena_deinit(&arena);
        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

static void look_again(struct listener *listener)
{
        cm_counter_add(&reloads, 1);
        listener->fn(listener->arg, CM_STR_NONE);
}

static void on_message(void *arg, struct cm_str channel CM_UNUSED, struct cm_str message)
{
        struct listener *listener = arg;
        struct cm_str words = message, first;
        int64_t before = listener->last, number;

        if (!message.data) {
                listener->last = 0;
                look_again(listener);
                return;
        }
        cm_counter_add(&heard, 1);
        if (!cm_str_split(&words, ' ', &first) || !words.data || !cm_str_to_int(first, &number) ||
            number < 1) {
                look_again(listener); /* whatever it was, it was for us */
                return;
        }
        listener->last = number;
        if (before && number != before + 1)
                look_again(listener);
        else
                listener->fn(listener->arg, words);
}

int cm_signals_listen(struct cm_signals *signals, struct cm_str name, cm_signal_fn *fn, void *arg)
{
        struct listener *listener = CM_NEW(struct listener);
        struct cm_arena arena;
        int r;

        listener->fn = fn;
        listener->arg = arg;
        cm_list_append(&signals->listeners, &listener->node);
        cm_arena_init(&arena, 256);
        r = cm_redis_subscribe(signals->config.subscriber, key_signal(&arena, name), on_message,
                               listener);
        cm_arena_deinit(&arena);
        return r;
}

struct cm_signals *cm_signals_new(const struct cm_signals_config *config)
{
        struct cm_signals *signals = CM_NEW(struct cm_signals);

        signals->config = *config;
        cm_list_init(&signals->listeners);
        return signals;
}

void cm_signals_free(struct cm_signals **signals)
{
        struct cm_list *node;

        if (!*signals)
                return;
        while ((node = cm_list_pop(&(*signals)->listeners)))
                cm_free(CM_CONTAINER(node, struct listener, node));
        cm_free(*signals);
        *signals = NULL;
}
