#include "vitals_cache.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "keys.h"
#include "sys/fiber.h"

enum { DROPS_AT_A_TIME = 32 };

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

struct drop {
        struct cm_cache *cache;
        struct cm_uuid user_id;
};

static void drop_one(void *arg)
{
        struct drop *drop = arg;
        struct cm_arena arena;

        cm_arena_init(&arena, 256);
        (void)cm_cache_drop(drop->cache, key_health_cache(&arena, &drop->user_id));
        cm_arena_deinit(&arena);
}

/* Takes up to `room` persons that wait. */
static size_t take(struct vitals_cache *vitals, struct drop *drops, size_t room)
{
        size_t position = 0, count = 0;
        struct cm_str key;
        void *value;

        while (count < room && cm_map_next(vitals->waiting, &position, &key, &value)) {
                drops[count].cache = vitals->cache;
                memcpy(&drops[count++].user_id, value, sizeof(struct cm_uuid));
        }
        for (size_t i = 0; i < count; i++) {
                struct cm_str id = { (const char *)drops[i].user_id.bytes,
                                     sizeof(drops[i].user_id.bytes) };

                cm_free(cm_map_remove(vitals->waiting, id));
        }
        return count;
}

static void drop_waiting(void *arg)
{
        struct vitals_cache *vitals = arg;
        struct drop drops[DROPS_AT_A_TIME];

        (void)cm_fiber_set_deadline(CM_NEVER); /* not that of the request that was first */
        while (cm_map_count(vitals->waiting) > 0) {
                size_t count = take(vitals, drops, DROPS_AT_A_TIME);
                struct cm_group group;

                cm_group_init(&group);
                for (size_t i = 0; i < count; i++)
                        if (cm_group_start(&group, "cache drop", drop_one, &drops[i]) < 0)
                                drop_one(&drops[i]);
                (void)cm_group_join(&group);
        }
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
