#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "store/redis_internal.h"
#include "sys/log.h"
#include "sys/work.h"

/*
 * The connection: resolve, connect, greet, ready; and after a loss the next attempt, later each
 * time, at a random moment so that a fleet does not come back all at once. hiredis opens the socket
 * and parses; reading, writing and the order of things are ours, because its asynchronous half
 * asserts on what a server may send and cannot tell pings from messages on a subscriber.
 *
 * Whatever goes wrong ends in redis_link_drop(): commands that were sent become uncertain, the
 * others unavailable, and the next attempt is set.
 */

#define BACKOFF_FIRST_US     (50 * CM_MILLISECOND)
#define BACKOFF_MAX_US       (2 * CM_SECOND)
#define CONNECT_TIMEOUT_US   (3 * CM_SECOND)
#define DEAD_PEER_TIMEOUT_MS 20000
#define KEEPALIVE_IDLE_S     10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_PROBES     3
#define SILENCE_US           (10 * CM_SECOND)
#define READ_SIZE            65536
#define READS_A_TURN         16

static void on_timer(void *arg);
static void on_ready(void *arg, int events);

/* ---- going down */

static void close_socket(struct cm_redis *redis)
{
        cm_watch_free(&redis->watch);
        if (redis->reader)
                redisReaderFree(redis->reader);
        redis->reader = NULL;
        if (redis->context)
                redisFree(redis->context);
        redis->context = NULL;
        cm_arena_reset(&redis->parsed);
        cm_buf_reset(&redis->out);
        redis->out_sent = 0;
        redis->greetings_left = 0;
        redis->is_watched = false;
        redis_subscriber_close(redis);
}

static int64_t next_delay_us(struct cm_redis *redis)
{
        int64_t max = redis->config.backoff_max_us ? redis->config.backoff_max_us : BACKOFF_MAX_US;
        int64_t delay = BACKOFF_FIRST_US << (redis->attempts < 16 ? redis->attempts : 16);
        uint32_t random;

        cm_random(&random, sizeof(random));
        if (delay > max)
                delay = max;
        return delay / 2 + (int64_t)(random % (uint64_t)(delay / 2 + 1));
}

void redis_link_drop(struct cm_redis *redis, const char *reason)
{
        bool first = redis->attempts == 0, was_ready = redis->state == REDIS_READY;

        cm_log(first ? CM_LOG_WARN : CM_LOG_DEBUG, "redis connection lost",
               CM_F_TEXT("reason", reason),
               CM_F_TEXT("host", redis->address.host ? redis->address.host : redis->address.path),
               CM_F_INT("attempt", redis->attempts));
        close_socket(redis);
        redis->state = REDIS_DOWN;
        cm_timer_start(redis->timer, next_delay_us(redis));
        redis->attempts++;
        redis_flights_fail(redis);
        if (was_ready)
                redis_hooks_call(&redis->loss_hooks);
}

/* ---- reading and writing */

static void flush(struct cm_redis *redis)
{
        while (redis->out_sent < redis->out.len) {
                ssize_t n = send(redis->context->fd, redis->out.data + redis->out_sent,
                                 redis->out.len - redis->out_sent, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
                        cm_watch_set(redis->watch, CM_READABLE | CM_WRITABLE);
                        return;
                }
                if (n < 0) {
                        redis_link_drop(redis, strerror(errno));
                        return;
                }
                redis->out_sent += (size_t)n;
        }
        cm_buf_reset(&redis->out);
        redis->out_sent = 0;
        cm_watch_set(redis->watch, CM_READABLE);
}

static void flush_deferred(void *arg)
{
        struct cm_redis *redis = arg;

        redis->flush_deferred = false;
        if (redis->freed)
                cm_free(redis);
        else if (redis->state >= REDIS_GREETING)
                flush(redis);
}

void redis_link_flush_soon(struct cm_redis *redis)
{
        if (redis->flush_deferred)
                return;
        redis->flush_deferred = true;
        cm_loop_defer(redis->loop, flush_deferred, redis);
}

static void greeted(struct cm_redis *redis, const struct cm_redis_reply *reply)
{
        if (reply->kind == CM_REDIS_ERROR) {
                redis_link_drop(redis, reply->text.data);
                return;
        }
        if (--redis->greetings_left)
                return;
        redis->state = REDIS_READY;
        redis->attempts = 0;
        cm_timer_stop(redis->timer);
        redis_hooks_call(&redis->hooks);
        redis_subscribe_all(redis);
        redis_flights_send(redis);
}

/* A server that is still loading, or has become a replica, is no server for us. */
static bool is_unfit(const struct cm_redis_reply *reply)
{
        return reply->kind == CM_REDIS_ERROR && (cm_str_starts(reply->text, CM_STR("LOADING")) ||
                                                 cm_str_starts(reply->text, CM_STR("READONLY")) ||
                                                 cm_str_starts(reply->text, CM_STR("MASTERDOWN")));
}

static void dispatch(struct cm_redis *redis, const struct cm_redis_reply *reply)
{
        if (is_unfit(reply))
                redis_link_drop(redis, reply->text.data);
        else if (redis->state == REDIS_GREETING)
                greeted(redis, reply);
        else if (!cm_list_is_empty(&redis->subscriptions))
                redis_subscriber_heard(redis, reply);
        else
                redis_flight_answered(redis, reply);
}

/* Hands on all replies that are whole. False when the connection was dropped. */
static bool take_replies(struct cm_redis *redis)
{
        for (;;) {
                void *reply = NULL;

                if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
                        redis_link_drop(redis, redis->reader->errstr);
                        return false;
                }
                if (!reply)
                        return true;
                dispatch(redis, reply);
                if (!redis->reader)
                        return false;
                cm_arena_reset(&redis->parsed);
        }
}

static void receive(struct cm_redis *redis)
{
        char bytes[READ_SIZE];

        for (int i = 0; i < READS_A_TURN; i++) {
                ssize_t n = recv(redis->context->fd, bytes, sizeof(bytes), 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                        return;
                if (n <= 0) {
                        redis_link_drop(redis, n ? strerror(errno) : "closed by the server");
                        return;
                }
                redis->heard_us = cm_monotonic_us();
                redisReaderFeed(redis->reader, bytes, (size_t)n);
                if (!take_replies(redis) || (size_t)n < sizeof(bytes))
                        return;
        }
}

/* ---- coming up */

static void greet_with(struct cm_redis *redis, const struct cm_str *args, size_t count)
{
        redis_encode(&redis->out, args, count);
        redis->greetings_left++;
}

/* The PING is refused while the server is loading its data, which AUTH is not. */
static void greet(struct cm_redis *redis)
{
        const struct redis_address *address = &redis->address;
        struct cm_str user = cm_str_from(address->user), password = cm_str_from(address->password);
        char db[12];

        redis->state = REDIS_GREETING;
        redis->reader = redis_reader_new(redis);
        if (user.len)
                greet_with(redis, (struct cm_str[]){ CM_STR("AUTH"), user, password }, 3);
        else if (password.len)
                greet_with(redis, (struct cm_str[]){ CM_STR("AUTH"), password }, 2);
        snprintf(db, sizeof(db), "%d", address->db);
        if (address->db)
                greet_with(redis, (struct cm_str[]){ CM_STR("SELECT"), cm_str_from(db) }, 2);
        greet_with(redis, (struct cm_str[]){ CM_STR("PING") }, 1);
        flush(redis);
}

static void connected(struct cm_redis *redis)
{
        socklen_t size = sizeof(int);
        int error = 0;

        getsockopt(redis->context->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
                redis_link_drop(redis, strerror(error));
        else
                greet(redis);
}

static void on_ready(void *arg, int events)
{
        struct cm_redis *redis = arg;

        if (redis->state == REDIS_CONNECTING) {
                connected(redis);
                return;
        }
        if (events & CM_READABLE)
                receive(redis);
        if ((events & CM_WRITABLE) && redis->context)
                flush(redis);
}

/* Finds a peer that is gone without a word within half a minute, idle or not. */
static void watch_over_peer(int fd)
{
        int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S;
        int probes = KEEPALIVE_PROBES, timeout = DEAD_PEER_TIMEOUT_MS;

        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static void connect_to(struct cm_redis *redis, const char *host)
{
        const char *path = redis->address.path;

        redis->state = REDIS_CONNECTING;
        redis->context = path ? redisConnectUnixNonBlock(path)
                              : redisConnectNonBlock(host, redis->address.port);
        CM_ASSERT(redis->context);
        if (redis->context->err) {
                redis_link_drop(redis, redis->context->errstr);
                return;
        }
        if (!path)
                watch_over_peer(redis->context->fd);
        cm_timer_start(redis->timer, redis->config.connect_timeout_us
                                             ? redis->config.connect_timeout_us
                                             : CONNECT_TIMEOUT_US);
        redis->watch = cm_watch_new(redis->loop, redis->context->fd, on_ready, redis);
        cm_watch_set(redis->watch, CM_WRITABLE);
}

/* ---- names: looked up on a thread of its own, which ends with the answer */

struct redis_resolve {
        struct cm_redis *redis; /* NULL: it was freed meanwhile */
        char *host;
        char address[INET6_ADDRSTRLEN];
};

static int resolve_blocking(void *arg)
{
        struct redis_resolve *resolve = arg;
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        struct addrinfo *found;
        int r = getaddrinfo(resolve->host, NULL, &hints, &found);

        if (r)
                return -CM_E_UNAVAILABLE;
        r = getnameinfo(found->ai_addr, found->ai_addrlen, resolve->address,
                        sizeof(resolve->address), NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(found);
        return r ? -CM_E_UNAVAILABLE : 0;
}

static void resolve_fiber(void *arg)
{
        struct redis_resolve *resolve = arg;
        struct cm_work_lane *lane;
        int r = cm_work_lane_new("redis-resolve", 1, 1, &lane);

        if (!r) {
                r = cm_work_run(lane, resolve_blocking, resolve);
                cm_work_lane_free(&lane);
        }
        if (resolve->redis) {
                resolve->redis->resolving = NULL;
                if (r)
                        redis_link_drop(resolve->redis, "name not found");
                else
                        connect_to(resolve->redis, resolve->address);
        }
        cm_free(resolve->host);
        cm_free(resolve);
}

static void resolve(struct cm_redis *redis)
{
        struct redis_resolve *job = CM_NEW(struct redis_resolve);

        job->redis = redis;
        job->host = cm_strdup(redis->address.host);
        redis->state = REDIS_RESOLVING;
        redis->resolving = job;
        if (cm_fiber_start("redis-resolve", resolve_fiber, job, CM_NEVER) == 0)
                return;
        redis->resolving = NULL;
        cm_free(job->host);
        cm_free(job);
        redis_link_drop(redis, "no fiber for the name look-up");
}

static bool is_numeric(const char *host)
{
        struct in6_addr address;

        return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

void redis_link_start(struct cm_redis *redis)
{
        if (!redis->timer)
                redis->timer = cm_timer_new(redis->loop, on_timer, redis);
        if (redis->address.host && !is_numeric(redis->address.host))
                resolve(redis);
        else
                connect_to(redis, redis->address.host);
}

/* ---- a server that says nothing: the kernel at the other end is alive, its process is not, or
 * what is between has lost the connection without a word */

static int64_t silence_us(const struct cm_redis *redis)
{
        return redis->config.silence_us ? redis->config.silence_us : SILENCE_US;
}

void redis_link_watch(struct cm_redis *redis)
{
        if (redis->is_watched)
                return;
        redis->is_watched = true;
        redis->heard_us = cm_monotonic_us();
        cm_timer_start(redis->timer, silence_us(redis));
}

static void check_silence(struct cm_redis *redis)
{
        int64_t left_us = redis->heard_us + silence_us(redis) - cm_monotonic_us();

        redis->is_watched = !cm_list_is_empty(&redis->flights);
        if (redis->is_watched && left_us <= 0)
                redis_link_drop(redis, "no answer");
        else if (redis->is_watched)
                cm_timer_start(redis->timer, left_us);
}

static void on_timer(void *arg)
{
        struct cm_redis *redis = arg;

        if (redis->state == REDIS_DOWN)
                redis_link_start(redis);
        else if (redis->state == REDIS_READY)
                check_silence(redis);
        else
                redis_link_drop(redis, "no answer while connecting");
}

void redis_link_close(struct cm_redis *redis)
{
        if (redis->resolving)
                redis->resolving->redis = NULL;
        close_socket(redis);
        redis->state = REDIS_DOWN;
        cm_timer_free(&redis->timer);
}
