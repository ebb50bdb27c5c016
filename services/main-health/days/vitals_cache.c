#include "vitals_cache.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "keys.h"
#include "sys/fiber.h"

enum { DROPS_AT_A_TIME = 128 };

struct vitals_cache {
        struct cm_cache *cache;
        struct cm_map *waiting; /* user id -> the id again */
        bool dropping;
};

struct vitals_cache *vitals_cache_new(struct cm_cache *cache)
{
        struct vitals_cache *vitals = CM_NEW(struct vitals_cache);

        vitals->cache = cache;
        vitals->waiting = cm_map_new();
        return vitals;
}

void vitals_cache_free(struct vitals_cache **vitals)
{
        if (!*vitals)
                return;
        while ((*vitals)->dropping && cm_fiber_sleep(CM_MILLISECOND) == 0)
                ;
        cm_map_free(&(*vitals)->waiting, cm_free);
        cm_free(*vitals);
        *vitals = NULL;
}

/* Takes the keys of up to `room` persons that wait. */
static size_t take(struct vitals_cache *vitals, struct cm_arena *arena, struct cm_str *keys,
                   size_t room)
{
        struct cm_uuid *ids = cm_arena_array(arena, room, sizeof(*ids));
        size_t position = 0, count = 0;
        struct cm_str key;
        void *value;

        while (count < room && cm_map_next(vitals->waiting, &position, &key, &value))
                memcpy(&ids[count++], value, sizeof(struct cm_uuid));
        for (size_t i = 0; i < count; i++) {
                struct cm_str id = { (const char *)ids[i].bytes, sizeof(ids[i].bytes) };

                cm_free(cm_map_remove(vitals->waiting, id));
                keys[i] = key_health_cache(arena, &ids[i]);
        }
        return count;
}

static void drop_waiting(void *arg)
{
        struct vitals_cache *vitals = arg;
        struct cm_arena arena;

        (void)cm_fiber_set_deadline(CM_NEVER); /* not that of the request that was first */
        cm_arena_init(&arena, 4096);
        while (cm_map_count(vitals->waiting) > 0) {
                struct cm_str keys[DROPS_AT_A_TIME];
                size_t count = take(vitals, &arena, keys, DROPS_AT_A_TIME);

                (void)cm_cache_drop_all(vitals->cache, keys, count);
                cm_arena_reset(&arena);
        }
        cm_arena_deinit(&arena);
        vitals->dropping = false;
}

void vitals_cache_changed(struct vitals_cache *vitals, const struct cm_uuid *user_id)
{
        struct cm_str key = { (const char *)user_id->bytes, sizeof(user_id->bytes) };
        struct cm_uuid *id;

        if (!cm_map_get(vitals->waiting, key)) {
                id = CM_NEW(struct cm_uuid);
                *id = *user_id;
                cm_map_put(vitals->waiting, key, id);
        }
        if (vitals->dropping)
                return;
        vitals->dropping = cm_fiber_start("cache drops", drop_waiting, vitals, CM_NEVER) == 0;
}
