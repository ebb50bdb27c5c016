#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "codec/digest.h"

/* Codes for the day when the authenticator app is lost: 50 random bits each. Pure but for chance.
 */
enum { RECOVERY_CODE_COUNT = 10 };

/* A new one, such as "7KMP2-XQ4RT": Crockford's base32, which has no I, L, O and U. */
struct cm_str recovery_code_make(struct cm_arena *arena);

/* What is stored of a code: HMAC-SHA-256 under `pepper`. Case, blanks and hyphens of what people
 * type do not matter. False when it cannot be a code of ours. */
bool recovery_code_digest(struct cm_str pepper, struct cm_str code,
                          uint8_t digest_r[CM_SHA256_SIZE]);
