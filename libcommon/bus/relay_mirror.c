#include "bus/relay_internal.h"
#include "keys.h"
#include "schemas.h"

/*
 * Topics for apps that listen to Redis: that a fact happened and to whom, without what it says, on
 * s1:topic:<type without its version>. After the facts are in the stream, so whoever hears of one
 * finds it there; whatever goes wrong here goes wrong silently, because a topic is a hint.
 */
#define FLIGHT 256

static struct cm_str topic_of(struct cm_arena *arena, struct cm_str type)
{
        struct cm_str name = type;

        while (name.len > 0 && name.data[name.len - 1] != '.')
                name.len--;
        name.len -= name.len > 0;
        return key_topic(arena, name);
}

static struct cm_redis_command_line publish(struct cm_arena *arena, const struct cm_event *event)
{
        const struct topic_message message = { .id = event->id,
                                               .type = event->type,
                                               .source = event->source,
                                               .time = event->time,
                                               .subject = event->subject };
        struct cm_str *args = cm_arena_array(arena, 3, sizeof(*args));
        struct cm_buf json = { 0 };

        cm_schema_encode(&topic_message_schema, &message, &json);
        args[0] = CM_STR("PUBLISH");
        args[1] = topic_of(arena, event->type);
        args[2] = cm_arena_str(arena, cm_buf_str(&json));
        cm_buf_deinit(&json);
        return (struct cm_redis_command_line){ args, 3 };
}

void relay_mirror(struct cm_relay *relay, const struct relay_batch *batch)
{
        struct cm_redis_command_line commands[FLIGHT];
        struct cm_redis_reply *replies = cm_arena_array(&relay->arena, FLIGHT, sizeof(*replies));

        for (size_t done = 0; done < batch->count;) {
                size_t count = batch->count - done < FLIGHT ? batch->count - done : FLIGHT;

                for (size_t i = 0; i < count; i++)
                        commands[i] = publish(&relay->arena, &batch->events[done + i]);
                if (cm_redis_flight(relay->config.redis, &relay->arena, commands, count, replies) <
                    0)
                        return;
                done += count;
        }
}
