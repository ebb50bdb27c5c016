#pragma once
#include "store/redis.h"

/*
 * An exact limit, decided in one Redis script: at most `limit` within any `window_us`; requests
 * beyond it are refused and not counted. Time is the Redis server's.
 */
struct cm_rate_decision {
        bool allowed;
        int64_t granted; /* of what was wanted; less near the limit */
        int64_t limit;
        int64_t remaining;
        int64_t reset_us; /* until at least one more is allowed */
};
int cm_rate_limit(struct cm_redis *redis, struct cm_str key, int64_t limit, int64_t window_us,
                  struct cm_rate_decision *decision_r) CM_MUST_CHECK;
/* The same for `want` requests at once, counted now whenever they come. */
int cm_rate_limit_take(struct cm_redis *redis, struct cm_str key, int64_t limit, int64_t window_us,
                       int64_t want, struct cm_rate_decision *decision_r) CM_MUST_CHECK;
