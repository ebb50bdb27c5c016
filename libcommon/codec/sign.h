#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Signatures of our own records: Ed25519 (RFC 8032). */
#define CM_SIGN_PUBLIC_SIZE 32
#define CM_SIGNATURE_SIZE   64

struct cm_sign_key {
        uint8_t public[CM_SIGN_PUBLIC_SIZE];
        uint8_t secret[64];
};

/* The key that belongs to a secret of the configuration and a purpose. Wipe it after use. */
void cm_sign_key_derive(struct cm_sign_key *key_r, struct cm_str secret, struct cm_str purpose);

void cm_sign(const struct cm_sign_key *key, const void *data, size_t len,
             uint8_t signature_r[CM_SIGNATURE_SIZE]);
bool cm_sign_holds(const uint8_t public[CM_SIGN_PUBLIC_SIZE], const void *data, size_t len,
                   const uint8_t signature[CM_SIGNATURE_SIZE]);
