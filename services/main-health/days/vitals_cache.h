#pragma once
#include "base/uuid.h"
#include "store/cache.h"

/*
 * How what is cached of a person's vitals (health:cache) is dropped when they change. A drop is not
 * waited for: a worker drops at most a few dozen at a time, and a person whose drop is waiting
 * already is not put in twice, so that a burst of facts costs few drops. It follows the change
 * within milliseconds; when Redis is gone the entry ends with its life.
 */
struct vitals_cache;

struct vitals_cache *vitals_cache_new(struct cm_cache *cache);
/* In a fiber: waits for the drops that are under way. */
void vitals_cache_free(struct vitals_cache **vitals);

/* In a fiber; does not suspend. */
void vitals_cache_changed(struct vitals_cache *vitals, const struct cm_uuid *user_id);
