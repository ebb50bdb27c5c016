#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "sys/loop.h"

/*
 * Redis over hiredis. One cm_redis is one connection of one loop that reconnects by itself with
 * back-off and jitter. A worker has several: commands (bus), commands (cache), blocking reads, and
 * pub/sub. Commands of several fibers are pipelined; each ends at its fiber's deadline.
 *
 * -CM_E_UNAVAILABLE: not sent. -CM_E_UNCERTAIN: sent, answer lost.
 */
struct cm_redis;

struct cm_redis_config {
        const char *url; /* redis://[user:password@]host:port[/db] or unix:///path */
        int64_t connect_timeout_us;
        int64_t backoff_max_us;
        int64_t ping_us;    /* between the pings of a subscriber; 0: 15 s */
        int64_t silence_us; /* a server that owes answers and sends nothing for so long is gone; it
                               is more than any command blocks. 0: 10 s */
        size_t max_waiting; /* commands without an answer; then -CM_E_OVERLOAD */
};

int cm_redis_new(struct cm_loop *loop, const struct cm_redis_config *config,
                 struct cm_redis **redis_r) CM_MUST_CHECK;
void cm_redis_free(struct cm_redis **redis);
bool cm_redis_is_ready(const struct cm_redis *redis);
/* Calls fn after each (re)connection, before waiting commands are sent. */
void cm_redis_on_connect(struct cm_redis *redis, cm_loop_fn *fn, void *arg);
/* Calls fn when a connection that was ready is gone, after its commands have failed. It may not
 * free the object. */
void cm_redis_on_loss(struct cm_redis *redis, cm_loop_fn *fn, void *arg);

enum cm_redis_kind {
        CM_REDIS_NIL,
        CM_REDIS_TEXT,
        CM_REDIS_INTEGER,
        CM_REDIS_STATUS,
        CM_REDIS_ARRAY,
        CM_REDIS_ERROR
};
struct cm_redis_reply {
        enum cm_redis_kind kind;
        struct cm_str text; /* also the error's or status' words */
        int64_t integer;
        struct cm_redis_reply *items;
        size_t count;
};

enum cm_redis_outcome { CM_REDIS_REFUSED = 1 /* an error reply: in reply_r->text */ };

/* One command; arguments may hold any bytes. The reply is copied into the arena. Suspends. */
int cm_redis_command(struct cm_redis *redis, struct cm_arena *arena, const struct cm_str *args,
                     size_t count, struct cm_redis_reply *reply_r) CM_MUST_CHECK;
/* Convenience over literal and text arguments, ended by CM_STR_NONE:
 * cm_redis_call(redis, arena, &reply, CM_STR("GET"), key, CM_STR_NONE) */
int cm_redis_call(struct cm_redis *redis, struct cm_arena *arena, struct cm_redis_reply *reply_r,
                  ...) CM_MUST_CHECK;
/* Several commands in one flight; replies[i] belongs to commands[i]. Errors as for one. */
struct cm_redis_command_line {
        const struct cm_str *args;
        size_t count;
};
int cm_redis_flight(struct cm_redis *redis, struct cm_arena *arena,
                    const struct cm_redis_command_line *commands, size_t count,
                    struct cm_redis_reply *replies_r) CM_MUST_CHECK;

/* A Lua script, static; EVALSHA with EVAL when the server does not know it yet. */
struct cm_redis_script {
        const char *name;
        const char *text;
        char sha1[41]; /* computed at first use, by whichever thread is first */
        int known;
};
int cm_redis_script(struct cm_redis *redis, struct cm_arena *arena, struct cm_redis_script *script,
                    const struct cm_str *keys, size_t key_count, const struct cm_str *args,
                    size_t arg_count, struct cm_redis_reply *reply_r) CM_MUST_CHECK;

/*
 * Live signals: hints that may be lost. fn gets each message, and (with message absent) each time
 * some may have been missed: after every (re)connection. The connection pings and treats a silent
 * server as gone. A connection that subscribes takes no commands.
 */
typedef void cm_redis_message_fn(void *arg, struct cm_str channel, struct cm_str message);
int cm_redis_subscribe(struct cm_redis *redis, struct cm_str channel, cm_redis_message_fn *fn,
                       void *arg) CM_MUST_CHECK;
