#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

/*
 * Key derivation from passwords as other systems have done it, to check what they stored. They
 * block for as long as their parameters say, and take the memory that these say: the caller bounds
 * both. Ours is bcrypt, see services/auth/passwords/passwords.c.
 */
enum cm_kdf_digest { CM_KDF_SHA1 = 1, CM_KDF_SHA256, CM_KDF_SHA512 };

/* RFC 8018. `iterations` and `len` are at least 1. 0 or -CM_E_INTERNAL. */
int cm_pbkdf2(enum cm_kdf_digest digest, struct cm_str password, struct cm_str salt,
              int32_t iterations, uint8_t *out, size_t len) CM_MUST_CHECK;

/* RFC 7914: takes 128 * n * r bytes, of which `max_memory` is the bound. `n` is a power of 2. 0 or
 * -CM_E_INTERNAL, also when the parameters are none. */
struct cm_scrypt {
        uint64_t n;
        uint32_t r, p;
        uint64_t max_memory;
};
int cm_scrypt(const struct cm_scrypt *cost, struct cm_str password, struct cm_str salt,
              uint8_t *out, size_t len) CM_MUST_CHECK;

/* Whether `encoded` ("$argon2id$v=19$m=…,t=…,p=…$salt$hash", argon2i too; NUL-terminated) is of
 * this password. False as well when it is malformed or memory was short. */
bool cm_argon2_fits(const char *encoded, struct cm_str password);
