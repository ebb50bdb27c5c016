#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * Passwords: bcrypt over a keyed hash, on threads of their own with a bounded queue, so that
 * hashing delays nothing else and holds no database connection. What was stored by other systems is
 * checked as they did it and becomes ours at the first right password (stored_hash.h). A worker has
 * one `struct passwords`.
 */
struct passwords;

#define PASSWORDS_MAX_PEPPERS 8

struct passwords_config {
        /* Kept outside of the database; copied. The first makes new hashes, all check. */
        struct cm_str peppers[PASSWORDS_MAX_PEPPERS];
        size_t pepper_count;
        int cost;           /* of bcrypt, 4 to 31 */
        int64_t max_memory; /* of one check of an imported hash, in bytes */
        size_t threads;
        size_t max_queued; /* beyond it -CM_E_OVERLOAD, at once */
};

int passwords_new(const struct passwords_config *config,
                  struct passwords **passwords_r) CM_MUST_CHECK;
void passwords_free(struct passwords **passwords);

/* The form to store, in the arena. Suspends for the time of one hash. */
int passwords_hash(struct passwords *passwords, struct cm_arena *arena, struct cm_str password,
                   struct cm_str *hash_r) CM_MUST_CHECK;

/*
 * A place among those that are hashed or wait for it, kept for who has other things to do first:
 * who finds none (false) hears so before anything is done. Leave it right before the hash; leaving
 * once more does nothing.
 */
struct hash_place {
        struct passwords *of;
};
bool passwords_keep_place(struct passwords *passwords, struct hash_place *place_r);
void hash_place_leave(struct hash_place *place); /* for CM_CLEANUP */

enum password_outcome {
        PASSWORD_WRONG = 1,
        /* It is the right one, but its stored form is not what would be made now (imported, another
         * cost, another pepper): store it anew. */
        PASSWORD_OUTDATED,
};

/*
 * Checks a password (NUL-terminated) against its stored form. Suspends for the time of one hash. An
 * absent `hash` (no such account) takes the same time and is PASSWORD_WRONG, and so does a wrong
 * password of any bcrypt hash that is cheaper, and whatever cannot be checked (logged).
 */
int passwords_check(struct passwords *passwords, struct cm_str password,
                    struct cm_str hash) CM_MUST_CHECK;

/* From now on each check seems to take at least so long: for the time in which there are accounts
 * with hashes of other schemes, whose check takes another time than ours. */
void passwords_pad(struct passwords *passwords, int64_t at_least_us);

/* The blocking halves, for the lane and for tests. False when bcrypt refuses the cost. */
bool password_make(const struct passwords *passwords, struct cm_str password, struct cm_buf *hash);
int password_compare(const struct passwords *passwords, struct cm_str password, struct cm_str hash);
