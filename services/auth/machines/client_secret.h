#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/uuid.h"
#include "codec/digest.h"

/* The secrets of machines, how they show them, and what they may ask for. Pure. */

#define CLIENT_SECRET_SIZE 48 /* with the NUL */

/* A fresh random secret as its machine gets it: `sc_` and 43 base64url digits. Returns `out`. */
const char *client_secret_make(char out[CLIENT_SECRET_SIZE]);
/* What the database keeps: nobody without the pepper can compute it. */
void client_secret_digest(struct cm_str pepper, struct cm_str secret,
                          uint8_t digest_r[CM_SHA256_SIZE]);

/* `Authorization: Basic …` as RFC 6749 section 2.3.1 has it: both halves are form-encoded inside.
 * False when it is not that. Both in the arena. */
bool client_basic_parse(struct cm_arena *arena, struct cm_str header, struct cm_str *id_r,
                        struct cm_str *secret_r);

/* The blank-separated scopes of a token: all of `scopes` (enum client_scope) when `wanted` is
 * absent, else those of `wanted`, in the order of the contract; absent when one of them is not
 * there. */
struct cm_str client_scope_text(struct cm_arena *arena, const int32_t *scopes, size_t count,
                                struct cm_str wanted);
