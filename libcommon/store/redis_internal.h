#pragma once
#include "base/list.h"
#include "store/redis.h"
#include "sys/fiber.h"

/* What the files of the Redis adapter share. Nobody else includes this. */

enum redis_state {
        REDIS_DOWN, /* waits for the next attempt: commands fail at once */
        REDIS_RESOLVING,
        REDIS_CONNECTING,
        REDIS_GREETING, /* AUTH, SELECT, PING are on their way */
        REDIS_READY,
};

struct redis_address {
        char *host; /* or NULL with a path */
        int port;
        char *path;
        char *user;
        char *password;
        int db;
};

/* 0, or -CM_E_CONFIG with the reason (static text) in *why_r. */
int redis_address_parse(const char *url, struct redis_address *address_r,
                        const char **why_r) CM_MUST_CHECK;
void redis_address_deinit(struct redis_address *address);

/* Commands that leave together. Lives until each of them is answered, longer than its caller when
 * that one's wait ends early. */
struct redis_flight {
        struct cm_list node;
        struct redis_call *call; /* NULL: nobody waits any more */
        size_t count;
        size_t received;
        bool refused; /* one of the replies is an error */
        bool sent;
        struct cm_buf bytes; /* kept here until the connection is ready */
};

struct redis_call {
        struct cm_wait wait;
        struct redis_flight *flight;
        struct cm_arena *arena;
        struct cm_redis_reply *replies;
};

struct redis_hook {
        struct cm_list node;
        cm_loop_fn *fn;
        void *arg;
};

struct redis_subscription {
        struct cm_list node;
        char *channel;
        cm_redis_message_fn *fn;
        void *arg;
};

struct cm_redis {
        struct cm_loop *loop;
        struct redis_address address;
        struct cm_redis_config config;
        enum redis_state state;
        struct redisContext *context;
        struct redisReader *reader;
        struct cm_arena parsed; /* the reply that the reader is building */
        struct cm_watch *watch;
        struct cm_timer *timer; /* the next attempt, the limit of the present one, or of silence */
        bool is_watched;        /* answers are waited for, and the timer runs */
        int64_t heard_us;       /* when the server last sent something that was waited for */
        unsigned attempts;      /* since it was ready */
        size_t greetings_left;
        struct redis_resolve *resolving;

        struct cm_buf out;
        size_t out_sent;
        bool flush_deferred;
        bool freed;

        struct cm_list flights; /* in the order of their replies */
        size_t waiting;         /* commands in them */
        struct cm_list hooks;
        struct cm_list loss_hooks;

        struct cm_list subscriptions;
        struct cm_timer *ping;
        int pings_unanswered;
};

/* redis_link.c: the connection */
void redis_link_start(struct cm_redis *redis);
void redis_link_drop(struct cm_redis *redis, const char *reason);
void redis_link_close(struct cm_redis *redis);
/* Answers are waited for from now on: a silent server is given up. */
void redis_link_watch(struct cm_redis *redis);
/* Sends what is in redis->out once this turn's commands are all there. */
void redis_link_flush_soon(struct cm_redis *redis);

/* redis_reply.c: from the wire to struct cm_redis_reply */
struct redisReader *redis_reader_new(struct cm_redis *redis);
void redis_reply_copy(struct cm_arena *arena, const struct cm_redis_reply *from,
                      struct cm_redis_reply *to);
void redis_encode(struct cm_buf *out, const struct cm_str *args, size_t count);

/* redis.c */
void redis_flights_send(struct cm_redis *redis);
void redis_flights_fail(struct cm_redis *redis);
void redis_hooks_call(struct cm_list *hooks);
void redis_flight_answered(struct cm_redis *redis, const struct cm_redis_reply *reply);

/* redis_subscribe.c */
void redis_subscribe_all(struct cm_redis *redis);
void redis_subscriber_heard(struct cm_redis *redis, const struct cm_redis_reply *reply);
void redis_subscriber_close(struct cm_redis *redis);
