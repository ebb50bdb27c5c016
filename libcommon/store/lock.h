#pragma once
#include "store/redis.h"

/*
 * A distributed lock with a lease and a fencing token that only grows: whoever acts under the lock
 * passes the token on, and the resource refuses a smaller one. The lock alone proves nothing.
 */
enum cm_lock_outcome { CM_LOCK_HELD = 1 };
int cm_lock_take(struct cm_redis *redis, struct cm_str name, struct cm_str holder, int64_t lease_us,
                 int64_t *fence_r) CM_MUST_CHECK;
int cm_lock_extend(struct cm_redis *redis, struct cm_str name, struct cm_str holder,
                   int64_t lease_us) CM_MUST_CHECK;
int cm_lock_release(struct cm_redis *redis, struct cm_str name, struct cm_str holder) CM_MUST_CHECK;
