#include "store/cache.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "sys/fiber.h"
#include "sys/metrics.h"

/*
 * One load per key and process at a time: the fiber that misses first loads, the others wait for
 * it. A key that is dropped while its load is under way marks the load as stale; its value still
 * goes to those who asked before, but is not stored. Between processes the same race is closed by
 * what a drop leaves in the entry's place for a while: a mark, which a load that began before has
 * not seen.
 */

#define MARK           "\1dropped:" /* no value begins like this */
#define MARK_LIFE_MS   "10000"
#define REDIS_LIMIT_US (250 * CM_MILLISECOND)

struct load {
        struct cm_cond done;
        struct cm_buf key;
        size_t users; /* the loader and those who wait */
        bool ended;
        bool stale;
        int result;
        struct cm_buf value;
};

struct cm_cache {
        struct cm_redis *redis;
        struct cm_map *loads;
};

static struct cm_metric lookups_hit =
        CM_COUNTER("salus_cache_hits_total", "Cache look-ups answered");
static struct cm_metric lookups_missed =
        CM_COUNTER("salus_cache_misses_total", "Cache look-ups that had to load");

struct cm_cache *cm_cache_new(struct cm_redis *redis)
{
        struct cm_cache *cache = CM_NEW(struct cm_cache);

        cache->redis = redis;
        cache->loads = cm_map_new();
        return cache;
}

void cm_cache_free(struct cm_cache **cache)
{
        if (!*cache)
                return;
        CM_ASSERT(cm_map_count((*cache)->loads) == 0);
        cm_map_free(&(*cache)->loads, NULL);
        cm_free(*cache);
        *cache = NULL;
}

/* A cache that answers late is no cache: each call to it gets a part of the fiber's time only. */
static int64_t limit_time(void)
{
        int64_t mine = cm_monotonic_us() + REDIS_LIMIT_US;
        int64_t before = cm_fiber_deadline_us();

        return cm_fiber_set_deadline(mine < before ? mine : before);
}

/* ---- Redis: the entry, or the mark of the last drop */

static struct cm_redis_script store_script = {
        .name = "cache-store",
        .text = "local there = redis.call('GET', KEYS[1])\n"
                "if there and there ~= ARGV[1] then return 0 end\n"
                "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
                "return 1\n",
};

static struct cm_redis_script drop_script = {
        .name = "cache-drop",
        .text = "for _, key in ipairs(KEYS) do\n"
                "  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])\n"
                "end\n"
                "return #KEYS\n",
};

/* 0: found; 1: missed, and what is there instead of a value. */
static int fetch(struct cm_cache *cache, struct cm_arena *arena, struct cm_str key,
                 struct cm_str *value_r, struct cm_str *mark_r)
{
        const struct cm_str args[] = { CM_STR("GET"), key };
        struct cm_redis_reply reply;
        int64_t before = limit_time();
        int r = cm_redis_command(cache->redis, arena, args, CM_COUNT(args), &reply);

        cm_fiber_set_deadline(before);
        *mark_r = CM_STR("");
        if (r || reply.kind != CM_REDIS_TEXT)
                return 1;
        if (cm_str_starts(reply.text, CM_STR(MARK))) {
                *mark_r = reply.text;
                return 1;
        }
        *value_r = reply.text;
        return 0;
}

static void store(struct cm_cache *cache, struct cm_arena *arena, struct cm_str key,
                  struct cm_str value, struct cm_str mark, int64_t life_us)
{
        const struct cm_str args[] = { mark, value,
                                       cm_arena_printf(arena, "%" PRId64, life_us / 1000) };
        struct cm_redis_reply reply;
        int64_t before = limit_time();

        /* An entry that could not be stored is a miss the next time, nothing more. */
        (void)!cm_redis_script(cache->redis, arena, &store_script, &key, 1, args, 3, &reply);
        cm_fiber_set_deadline(before);
}

/* ---- single flight */

static void load_leave(struct load *load)
{
        if (--load->users)
                return;
        cm_buf_deinit(&load->key);
        cm_buf_deinit(&load->value);
        cm_free(load);
}

static struct load *load_begin(struct cm_cache *cache, struct cm_str key)
{
        struct load *load = CM_NEW(struct load);

        cm_cond_init(&load->done);
        cm_buf_add_str(&load->key, key);
        load->users = 1;
        cm_map_put(cache->loads, key, load);
        return load;
}

/* From now on the key has no load under way; a drop may have put another one in its place. */
static void load_forget(struct cm_cache *cache, struct load *load)
{
        struct cm_str key = cm_buf_str(&load->key);

        if (cm_map_get(cache->loads, key) == load)
                cm_map_remove(cache->loads, key);
}

static int load_run(struct cm_cache *cache, struct load *load, int64_t life_us,
                    struct cm_arena *arena, cm_cache_load_fn *fn, void *arg, struct cm_str *value_r)
{
        struct cm_str mark;
        int r = fetch(cache, arena, cm_buf_str(&load->key), value_r, &mark);

        cm_counter_add(r ? &lookups_missed : &lookups_hit, 1);
        if (r) {
                r = fn(arg, arena, value_r);
                if (r == 0 && !load->stale)
                        store(cache, arena, cm_buf_str(&load->key), *value_r, mark, life_us);
        }
        load->result = r;
        if (r == 0)
                cm_buf_add_str(&load->value, *value_r);
        load->ended = true;
        load_forget(cache, load);
        cm_cond_broadcast(&load->done);
        return r;
}

static int load_join(struct load *load, struct cm_arena *arena, struct cm_str *value_r)
{
        int r = 0;

        load->users++;
        while (!load->ended && !r)
                r = cm_cond_wait(&load->done);
        if (load->ended) {
                r = load->result;
                if (r == 0)
                        *value_r = cm_arena_str(arena, load->value.data ? cm_buf_str(&load->value)
                                                                        : CM_STR(""));
        }
        load_leave(load);
        return r;
}

int cm_cache_get(struct cm_cache *cache, struct cm_str key, int64_t life_us, struct cm_arena *arena,
                 cm_cache_load_fn *load_fn, void *arg, struct cm_str *value_r)
{
        struct load *load = cm_map_get(cache->loads, key);
        int r;

        if (load) {
                r = load_join(load, arena, value_r);
                /* The loader's own deadline or cancellation says nothing about this caller. */
                if (r != -CM_E_DEADLINE && r != -CM_E_CANCELLED)
                        return r;
                if (cm_monotonic_us() >= cm_fiber_deadline_us())
                        return r;
                return load_fn(arg, arena, value_r);
        }
        load = load_begin(cache, key);
        r = load_run(cache, load, life_us, arena, load_fn, arg, value_r);
        load_leave(load);
        return r;
}

int cm_cache_drop_all(struct cm_cache *cache, const struct cm_str *keys, size_t count)
{
        struct cm_redis_reply reply;
        struct cm_arena arena;
        struct cm_str args[2];
        uint64_t random;
        int64_t before;
        int r;

        for (size_t i = 0; i < count; i++) {
                struct load *load = cm_map_remove(cache->loads, keys[i]);

                if (load)
                        load->stale = true;
        }
        cm_arena_init(&arena, 4096);
        cm_random(&random, sizeof(random));
        args[0] = cm_arena_printf(&arena, MARK "%" PRIx64, random);
        args[1] = CM_STR(MARK_LIFE_MS);
        before = limit_time();
        r = cm_redis_script(cache->redis, &arena, &drop_script, keys, count, args, CM_COUNT(args),
                            &reply);
        cm_fiber_set_deadline(before);
        cm_arena_deinit(&arena);
        return r == CM_REDIS_REFUSED ? -CM_E_UNAVAILABLE : r;
}

int cm_cache_drop(struct cm_cache *cache, struct cm_str key)
{
        return cm_cache_drop_all(cache, &key, 1);
}
