#pragma once
#include <stdbool.h>
#include <stddef.h>
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

struct login_source {
        struct cm_str email_key;    /* the canonical address, known or not */
        struct cm_str network;      /* session_rules_network() */
        struct cm_str device_token; /* a good one (device_token.h); absent: none */
};

struct login_attempt {
        struct cm_str counters[2]; /* keys of Redis */
        size_t count;
        struct cm_str told; /* the key that says whether the owner was told; absent: not asked */
        struct cm_str id;
        bool is_last; /* counted, none is left, and the owner was not told today */
};

enum login_limit_outcome { LOGIN_LIMIT_REACHED = 1 };

/*
 * Counts one attempt, in one script: for the account and the network, or for a known device alone.
 * Addresses and tokens go into keys as keyed digests. Suspends, at most a quarter of a second. 0;
 * LOGIN_LIMIT_REACHED, not counted, with the time until one more is allowed; or an error, and then
 * nobody may be let in.
 */
int login_limit_take(struct cm_redis *redis, struct cm_arena *arena,
                     const struct login_limit *limit, const struct login_source *source,
                     struct login_attempt *attempt_r, int64_t *wait_us_r) CM_MUST_CHECK;

/* The attempt was no failure. When Redis is gone it stays counted, and its time ends with the
 * window. */
void login_limit_give_back(struct cm_redis *redis, struct cm_arena *arena,
                           const struct login_attempt *attempt);

/* Brings the fiber's deadline near, for counting: Redis answers soon or not at all. Returns the one
 * before, to be set again. */
int64_t login_limit_hurry(void);
