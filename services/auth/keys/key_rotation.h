#pragma once
#include "bus/signals.h"
#include "signing_keys.h"
#include "store/pg.h"
#include "store/redis.h"

/*
 * Steps in the lives of signing keys, each one transaction under a lock that all instances and
 * commands share, with its audit row. What a step changes is durable before anybody hears of it; a
 * process that dies between two steps leaves a state from which any other goes on. All suspend.
 */
struct key_rotation {
        struct cm_pg *pg;
        struct cm_redis *bus;
        struct cm_signals *signals;
        const struct signing_keys *keys;
        struct key_schedule schedule;
};

/* Does what is due, if it still is. `told` as for key_rules_next(). */
int key_rotation_step(const struct key_rotation *rotation, struct cm_arena *arena,
                      bool told) CM_MUST_CHECK;

/* Redis gets the set of the moment, and all services and workers a signal. */
int key_rotation_publish(const struct key_rotation *rotation, struct cm_arena *arena) CM_MUST_CHECK;

enum key_rotation_outcome {
        KEY_ROTATION_UNDER_WAY = 1, /* a key is announced already */
        KEY_ROTATION_FULL,          /* too many are published: the retired ones must end first */
        KEY_ROTATION_UNKNOWN,       /* no published key of that id */
};

/* Announces a new key, or tells which one is announced: its id, in the arena. */
int key_rotation_begin(const struct key_rotation *rotation, struct cm_arena *arena,
                       struct cm_str *id_r) CM_MUST_CHECK;
/* Withdraws a key for good. When it was the active one another one signs at once, and its id is in
 * *next_r, which is absent otherwise. */
int key_rotation_withdraw(const struct key_rotation *rotation, struct cm_arena *arena,
                          struct cm_str id, struct cm_str *next_r) CM_MUST_CHECK;
