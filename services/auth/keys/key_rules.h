#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "base/time.h"

/*
 * The life of a signing key: announced, so that whoever verifies has it; active, signing; retired,
 * published until the last of its tokens has ended; ended. Withdrawn is what an operator does to a
 * key that leaked: its tokens are refused from then on. Pure.
 */

/* As in the table. */
enum key_state { KEY_ANNOUNCED = 1, KEY_ACTIVE, KEY_RETIRED, KEY_WITHDRAWN, KEY_ENDED };
const char *key_state_name(int state);

struct stored_key {
        struct cm_str id;
        int state;
        struct cm_str sealed; /* the private half; absent once it does not sign any more */
        struct cm_str jwk;
        cm_time created_at;
        cm_time announced_at;    /* when the verifiers could first have it; 0: not yet */
        cm_time activated_at;    /* 0: never */
        cm_time published_until; /* of a retired one */
};

/* Keys, oldest first, and the database's clock, which decides. */
struct key_list {
        struct stored_key *keys;
        size_t count;
        cm_time now;
};

struct key_schedule {
        int64_t period_us;   /* a key signs for so long */
        int64_t announce_us; /* and was known for so long before */
        int64_t grace_us;    /* and is published for so long after: more than a token's life */
};

/* So many may be published at a time; a set has room for one more than that (codec/token.h), which
 * is for the key that follows a withdrawn one. */
#define KEYS_PUBLISHED_MAX 15

enum key_step {
        KEY_STEP_NONE,
        KEY_STEP_MAKE,     /* a key that signs at once: there is none, so nobody has to be told */
        KEY_STEP_ANNOUNCE, /* a new key */
        KEY_STEP_ACTIVATE, /* *which_r, in place of the active one */
        KEY_STEP_END,      /* *which_r */
};
const char *key_step_name(int step);

/* What is due. `told`: whoever verifies can have had all of these keys, and can be told of changes
 * now; no key goes into use otherwise. */
enum key_step key_rules_next(const struct key_list *list, const struct key_schedule *schedule,
                             bool told, const struct stored_key **which_r);
/* NULL when there is none. */
const struct stored_key *key_rules_find(const struct key_list *list, int state);
bool key_rules_has_room(const struct key_list *list);
