#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/*
 * Passwords: bcrypt over a keyed hash, on threads of their own with a bounded queue, so that
 * hashing delays nothing else and holds no database connection. A worker has one `struct
 * passwords`.
 */
struct passwords;

struct passwords_config {
        struct cm_str pepper; /* kept outside of the database; copied */
        int cost;             /* of bcrypt, 4 to 31 */
        size_t threads;
        size_t max_queued; /* beyond it -CM_E_OVERLOAD, at once */
};

int passwords_new(const struct passwords_config *config,
                  struct passwords **passwords_r) CM_MUST_CHECK;
void passwords_free(struct passwords **passwords);

/* The form to store, in the arena. Suspends for the time of one hash. */
int passwords_hash(struct passwords *passwords, struct cm_arena *arena, struct cm_str password,
                   struct cm_str *hash_r) CM_MUST_CHECK;

enum password_outcome {
        PASSWORD_WRONG = 1,
        PASSWORD_OUTDATED, /* it is the right one, but the cost has changed: store it anew */
};

/*
 * Checks a password against its stored form. Suspends for the time of one hash. An absent `hash`
 * (no such account) takes the same time and is PASSWORD_WRONG.
 */
int passwords_check(struct passwords *passwords, struct cm_str password,
                    struct cm_str hash) CM_MUST_CHECK;

/* The blocking halves, for the lane and for tests. False when bcrypt refuses the setting. */
bool password_make(struct cm_str pepper, int cost, struct cm_str password, struct cm_buf *hash);
int password_compare(struct cm_str pepper, int cost, struct cm_str password, struct cm_str hash);
