#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* SHA-256, for comparing texts and keys of requests; not for passwords. */
#define CM_SHA256_SIZE 32

void cm_sha256(const void *data, size_t len, uint8_t digest_r[CM_SHA256_SIZE]);
/* HMAC-SHA-256 (RFC 2104) under a key of any length: what nobody without the key can compute or
 * guess. */
void cm_hmac_sha256(struct cm_str key, const void *data, size_t len,
                    uint8_t digest_r[CM_SHA256_SIZE]);

/* HMAC-SHA-1, for one-time codes (RFC 4226), which know no other. */
#define CM_SHA1_SIZE 20
void cm_hmac_sha1(struct cm_str key, const void *data, size_t len, uint8_t digest_r[CM_SHA1_SIZE]);

/* BLAKE2b-256 (RFC 7693): for long lists of things, several times faster. */
#define CM_BLAKE2B_SIZE 32
void cm_blake2b(const void *data, size_t len, uint8_t digest_r[CM_BLAKE2B_SIZE]);
