#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "store/redis.h"

/*
 * Failed logins, counted exactly: an attempt is counted for its account and its network before the
 * password is checked, and given back when it turns out not to be a failure. So of any number of
 * parallel guesses, over any number of instances, no more than the limit are checked in a window.
 */
struct login_limit {
        int64_t per_account;
        int64_t per_network;
        int64_t window_us;
        struct cm_str secret; /* keeps the digests of addresses in Redis from being guessed */
};

struct login_attempt {
        struct cm_str account_key; /* of Redis */
        struct cm_str network_key;
        struct cm_str id;
};

enum login_limit_outcome { LOGIN_LIMIT_REACHED = 1 };

/*
 * Counts one attempt, in one script. `email_key` (the canonical address, known or not) goes into
 * the key as a keyed digest. Suspends. 0; LOGIN_LIMIT_REACHED, not counted, with the time until one
 * more is allowed; or an error, and then nobody may be let in.
 */
int login_limit_take(struct cm_redis *redis, struct cm_arena *arena,
                     const struct login_limit *limit, struct cm_str email_key,
                     struct cm_str network, struct login_attempt *attempt_r,
                     int64_t *wait_us_r) CM_MUST_CHECK;

/* The attempt was no failure. When Redis is gone it stays counted, and its time ends with the
 * window. */
void login_limit_give_back(struct cm_redis *redis, struct cm_arena *arena,
                           const struct login_attempt *attempt);
