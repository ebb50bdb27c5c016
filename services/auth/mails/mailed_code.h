#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "store/pg.h"

/*
 * Codes that people get by mail: 256 random bits, good once, for some time and for one purpose. The
 * database has a keyed digest of each.
 */
enum mailed_code_purpose { CODE_VERIFY_EMAIL = 1, CODE_RESET_PASSWORD, CODE_INVITATION };

#define MAILED_CODE_DIGEST_SIZE 32

struct mailed_code {
        struct cm_str text; /* as it is mailed; in the arena */
        uint8_t digest[MAILED_CODE_DIGEST_SIZE];
};

/* A fresh one. `secret` is the pepper. */
void mailed_code_make(struct cm_str secret, enum mailed_code_purpose purpose,
                      struct cm_arena *arena, struct mailed_code *code_r);
/* The digest of whatever somebody sent. */
void mailed_code_digest(struct cm_str secret, enum mailed_code_purpose purpose, struct cm_str text,
                        uint8_t digest_r[MAILED_CODE_DIGEST_SIZE]);
/* What a code for an account is bound to: it is void when the address or the password is another.
 */
void mailed_code_bind(struct cm_str email_key, struct cm_str password_hash,
                      uint8_t bound_r[MAILED_CODE_DIGEST_SIZE]);

/* For a flight: keeps a code, and clears some that are over. */
extern const struct cm_pg_statement mailed_code_insert;
void mailed_code_insert_params(const struct mailed_code *code, enum mailed_code_purpose purpose,
                               const struct cm_uuid *subject, const uint8_t *bound, int64_t life_us,
                               struct cm_pg_params *params);

enum mailed_code_outcome { CODE_INVALID = 1 };

/* Whom a code that is still good belongs to. Suspends. 0, CODE_INVALID or an error. */
int mailed_code_look(struct cm_pg *pg, enum mailed_code_purpose purpose, const uint8_t *digest,
                     struct cm_uuid *subject_r) CM_MUST_CHECK;
/* Uses it up, inside a transaction of the service's role: of many that try, one succeeds. */
int mailed_code_use(struct cm_pg_tx *tx, enum mailed_code_purpose purpose, const uint8_t *digest,
                    struct cm_uuid *subject_r,
                    uint8_t bound_r[MAILED_CODE_DIGEST_SIZE]) CM_MUST_CHECK;
/* All codes of an account for a purpose are void. */
int mailed_code_void(struct cm_pg_tx *tx, enum mailed_code_purpose purpose,
                     const struct cm_uuid *subject) CM_MUST_CHECK;
