#include <hiredis/hiredis.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "store/redis_internal.h"

/*
 * The hiredis reader builds our replies directly, in an arena of the connection that is emptied
 * after each reply: no allocation per element. When a reply is whole it is copied to its caller's
 * arena, which cannot be the target from the start, because the caller may have given up meanwhile.
 */

#define MAX_ITEMS 1000000

static struct cm_redis_reply *place(const redisReadTask *task)
{
        struct cm_redis *redis = task->privdata;
        struct cm_redis_reply *parent = task->parent ? task->parent->obj : NULL;

        return parent ? &parent->items[task->idx]
                      : CM_ARENA_NEW(&redis->parsed, struct cm_redis_reply);
}

static void *create_string(const redisReadTask *task, char *data, size_t len)
{
        struct cm_redis *redis = task->privdata;
        struct cm_redis_reply *reply = place(task);

        reply->kind = task->type == REDIS_REPLY_ERROR    ? CM_REDIS_ERROR
                      : task->type == REDIS_REPLY_STATUS ? CM_REDIS_STATUS
                                                         : CM_REDIS_TEXT;
        reply->text = cm_arena_str(&redis->parsed, (struct cm_str){ data, len });
        return reply;
}

static void *create_array(const redisReadTask *task, int elements)
{
        struct cm_redis *redis = task->privdata;
        struct cm_redis_reply *reply;

        if (elements > MAX_ITEMS)
                return NULL;
        reply = place(task);
        reply->kind = CM_REDIS_ARRAY;
        reply->count = elements > 0 ? (size_t)elements : 0;
        reply->items = cm_arena_array(&redis->parsed, reply->count, sizeof(*reply->items));
        return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
        struct cm_redis_reply *reply = place(task);

        reply->kind = CM_REDIS_INTEGER;
        reply->integer = value;
        return reply;
}

static void *create_nil(const redisReadTask *task)
{
        struct cm_redis_reply *reply = place(task);

        reply->kind = CM_REDIS_NIL;
        return reply;
}

static void free_object(void *object CM_UNUSED)
{
        /* The arena is emptied as a whole. */
}

static redisReplyObjectFunctions functions = {
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createNil = create_nil,
        .freeObject = free_object,
};

struct redisReader *redis_reader_new(struct cm_redis *redis)
{
        redisReader *reader = redisReaderCreateWithFunctions(&functions);

        CM_ASSERT(reader);
        reader->privdata = redis;
        return reader;
}

void redis_reply_copy(struct cm_arena *arena, const struct cm_redis_reply *from,
                      struct cm_redis_reply *to)
{
        *to = *from;
        to->text = cm_arena_str(arena, from->text);
        if (from->kind != CM_REDIS_ARRAY)
                return;
        to->items = cm_arena_array(arena, from->count, sizeof(*to->items));
        for (size_t i = 0; i < from->count; i++)
                redis_reply_copy(arena, &from->items[i], &to->items[i]);
}

static void add_count(struct cm_buf *out, char kind, size_t count)
{
        cm_buf_add_char(out, kind);
        cm_buf_add_int(out, (int64_t)count);
        cm_buf_add(out, "\r\n", 2);
}

void redis_encode(struct cm_buf *out, const struct cm_str *args, size_t count)
{
        add_count(out, '*', count);
        for (size_t i = 0; i < count; i++) {
                add_count(out, '$', args[i].len);
                cm_buf_add(out, args[i].data, args[i].len);
                cm_buf_add(out, "\r\n", 2);
        }
}
