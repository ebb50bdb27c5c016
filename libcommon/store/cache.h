#pragma once
#include "store/redis.h"

/*
 * Cache-aside with single flight: of several fibers that miss the same key at once, one loads and
 * the others get its answer. A cache that is gone is a miss. Keys and lives come from keys.yaml.
 */
struct cm_cache;
struct cm_cache *cm_cache_new(struct cm_redis *redis);
void cm_cache_free(struct cm_cache **cache);

/* Loads the value into `value` (in the arena); positive outcomes (not found) are not cached. */
typedef int cm_cache_load_fn(void *arg, struct cm_arena *arena, struct cm_str *value_r);
int cm_cache_get(struct cm_cache *cache, struct cm_str key, int64_t life_us, struct cm_arena *arena,
                 cm_cache_load_fn *load, void *arg, struct cm_str *value_r) CM_MUST_CHECK;
/* A load that was under way when the key was dropped is not stored. Best effort when Redis is gone:
 * the entry then ends with its life. */
int cm_cache_drop(struct cm_cache *cache, struct cm_str key);
/* The same for many keys in one flight. */
int cm_cache_drop_all(struct cm_cache *cache, const struct cm_str *keys, size_t count);
