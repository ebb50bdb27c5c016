#pragma once
#include "store/redis.h"

/* An exact limit, decided in one Redis script: sliding window counter over `window_us`; requests
 * beyond `limit` are refused and not counted. Time is the Redis server's. */
struct cm_rate_decision {
        bool allowed;
        int64_t limit;
        int64_t remaining;
        int64_t reset_us; /* until at least one more is allowed */
};
int cm_rate_limit(struct cm_redis *redis, struct cm_str key, int64_t limit, int64_t window_us,
                  struct cm_rate_decision *decision_r) CM_MUST_CHECK;
