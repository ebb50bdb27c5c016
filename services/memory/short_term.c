#include "short_term.h"

#include "base/error.h"
#include "keys.h"
#include "sys/log.h"
#include "sys/metrics.h"

static struct cm_metric hits_metric =
        CM_COUNTER("salus_memory_short_term_hits_total", "Short-term lists read from Redis");
static struct cm_metric misses_metric = CM_COUNTER("salus_memory_short_term_misses_total",
                                                   "Short-term lists made anew from the database");

/*
 * The first entry is the generation, or "<generation> lost" when nothing is known but that what was
 * there up to then must not come back; the others are memories.
 *
 * Adding works only on a list that shows the generation just before. KEYS: list; ARGV: generation,
 * memory, entries, life in ms.
 */
static struct cm_redis_script add_script = {
        .name = "short_term_add",
        .text = "local head = redis.call('LINDEX', KEYS[1], 0)\n"
                "if not head or tonumber(head) ~= tonumber(ARGV[1]) - 1 then return 0 end\n"
                "redis.call('LPOP', KEYS[1])\n"
                "redis.call('LPUSH', KEYS[1], ARGV[2], ARGV[1])\n"
                "redis.call('LTRIM', KEYS[1], 0, ARGV[3])\n"
                "redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
                "return 1\n",
};

/* ARGV: generation, life. */
static struct cm_redis_script drop_script = {
        .name = "short_term_drop",
        .text = "local head = redis.call('LINDEX', KEYS[1], 0)\n"
                "if head and tonumber(string.match(head, '%d+')) > tonumber(ARGV[1]) then return 0 "
                "end\n"
                "redis.call('DEL', KEYS[1])\n"
                "redis.call('RPUSH', KEYS[1], ARGV[1] .. ' lost')\n"
                "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                "return 1\n",
};

/* Not over what is newer. ARGV: generation, life, memories. */
static struct cm_redis_script fill_script = {
        .name = "short_term_fill",
        .text = "local head = redis.call('LINDEX', KEYS[1], 0)\n"
                "if head and tonumber(string.match(head, '%d+')) > tonumber(ARGV[1]) then return 0 "
                "end\n"
                "redis.call('DEL', KEYS[1])\n"
                "redis.call('RPUSH', KEYS[1], ARGV[1], unpack(ARGV, 3))\n"
                "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                "return 1\n",
};

enum { MAX_ENTRIES = 50 };

static struct cm_str number(struct cm_arena *arena, int64_t value)
{
        return cm_arena_printf(arena, "%lld", (long long)value);
}

static struct cm_str life(struct cm_arena *arena)
{
        return number(arena, KEY_USER_MEMORIES_LIFE_US / CM_MILLISECOND);
}

static struct memory_brief brief_of(const struct memory_service *service,
                                    const struct memory *memory)
{
        struct memory_brief brief = {
                .id = memory->id,
                .version = memory->version,
                .content = memory->content,
                .memory_type = memory->memory_type,
                .created_at = memory->created_at,
        };

        if (memory->storage_type == MEMORY_STORAGE_TYPE_SHORT_TERM) {
                brief.has_expires_at = CM_PRESENT;
                brief.expires_at =
                        memory->updated_at + service->settings->memory_short_term_life_us;
        }
        return brief;
}

static struct cm_str entry_of(const struct memory_service *service, const struct memory *memory,
                              struct cm_arena *arena)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct memory_brief brief = brief_of(service, memory);

        cm_schema_encode(&memory_brief_schema, &brief, &json);
        return cm_arena_str(arena, cm_buf_str(&json));
}

static void run(struct memory_service *service, struct cm_arena *arena,
                struct cm_redis_script *script, const struct cm_uuid *user,
                const struct cm_str *args, size_t count)
{
        struct cm_str key = key_user_memories(arena, user);
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_script(service->bus, arena, script, &key, 1, args, count, &reply);

        if (r)
                cm_log(CM_LOG_INFO, "the short-term list was not written", CM_F_ERROR(r));
}

void short_term_add(struct memory_service *service, struct cm_arena *arena,
                    const struct memory *memory, int64_t generation)
{
        const struct cm_str args[] = {
                number(arena, generation),
                entry_of(service, memory, arena),
                number(arena, service->settings->memory_short_term),
                life(arena),
        };

        run(service, arena, &add_script, &memory->user_id, args, CM_COUNT(args));
}

void short_term_drop(struct memory_service *service, struct cm_arena *arena,
                     const struct cm_uuid *user, int64_t generation)
{
        const struct cm_str args[] = { number(arena, generation), life(arena) };

        run(service, arena, &drop_script, user, args, CM_COUNT(args));
}

int short_term_remove(struct memory_service *service, struct cm_arena *arena,
                      const struct cm_uuid *user)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(service->bus, arena, &reply, CM_STR("DEL"),
                              key_user_memories(arena, user), CM_STR_NONE);

        return r > 0 ? -CM_E_UNAVAILABLE : r;
}

static void fill(struct memory_service *service, struct cm_arena *arena, const struct cm_uuid *user,
                 const struct memory_list *list, int64_t generation)
{
        struct cm_str args[MAX_ENTRIES + 2] = { number(arena, generation), life(arena) };

        for (size_t i = 0; i < list->count; i++)
                args[i + 2] = entry_of(service, &list->items[i], arena);
        run(service, arena, &fill_script, user, args, list->count + 2);
}

cm_time short_term_since(const struct memory_service *service, cm_time now)
{
        return now - service->settings->memory_short_term_life_us;
}

/* False when the list is not there, not of that generation, or not readable. */
static bool read_list(const struct cm_redis_reply *reply, struct cm_arena *arena,
                      int64_t generation, cm_time now, struct memory_recent *recent_r)
{
        int64_t shown;
        size_t count = 0;

        if (reply->kind != CM_REDIS_ARRAY || reply->count == 0 ||
            !cm_str_to_int(reply->items[0].text, &shown) || shown != generation)
                return false;
        recent_r->items.items = cm_arena_array(arena, reply->count, sizeof(*recent_r->items.items));
        for (size_t i = 1; i < reply->count; i++) {
                struct memory_brief *brief = &recent_r->items.items[count];
                struct cm_faults faults = { .count = 0 };

                if (cm_schema_decode(&memory_brief_schema, reply->items[i].text, arena, brief,
                                     &faults))
                        return false;
                count += brief->has_expires_at != CM_PRESENT || brief->expires_at > now;
        }
        recent_r->items.count = count;
        return true;
}

static int ask_redis(struct memory_service *service, struct cm_arena *arena,
                     const struct cm_uuid *user, struct cm_redis_reply *reply_r)
{
        struct cm_str key = key_user_memories(arena, user);
        const struct cm_str range[] = { CM_STR("LRANGE"), key, CM_STR("0"), CM_STR("-1") };
        const struct cm_str expire[] = { CM_STR("PEXPIRE"), key, life(arena) };
        const struct cm_redis_command_line commands[] = { { range, 4 }, { expire, 3 } };
        struct cm_redis_reply replies[2] = { 0 };
        int r = cm_redis_flight(service->bus, arena, commands, 2, replies);

        *reply_r = replies[0];
        return r;
}

static int read_database(struct memory_service *service, struct cm_arena *arena,
                         const struct cm_uuid *user, cm_time now, struct memory_list *list_r)
{
        const struct memory_list_query query = {
                .user = *user,
                .current = true,
                .short_term_since = short_term_since(service, now),
                .limit = (int32_t)service->settings->memory_short_term,
        };

        return memory_store_list(service->pg, arena, &query, list_r);
}

int short_term_read(struct memory_service *service, struct cm_arena *arena,
                    const struct cm_uuid *user, cm_time now, struct memory_recent *recent_r)
{
        struct cm_redis_reply reply = { 0 };
        struct memory_list list;
        int64_t generation;
        int from_redis = ask_redis(service, arena, user, &reply);
        int r = memory_store_generation(service->pg, user, &generation);

        if (r)
                return r;
        if (from_redis == 0 && read_list(&reply, arena, generation, now, recent_r)) {
                cm_counter_add(&hits_metric, 1);
                return 0;
        }
        cm_counter_add(&misses_metric, 1);
        r = read_database(service, arena, user, now, &list);
        if (r)
                return r;
        recent_r->items.count = list.count;
        recent_r->items.items =
                cm_arena_array(arena, list.count + 1, sizeof(*recent_r->items.items));
        for (size_t i = 0; i < list.count; i++)
                recent_r->items.items[i] = brief_of(service, &list.items[i]);
        if (from_redis == 0)
                fill(service, arena, user, &list, generation);
        return 0;
}
