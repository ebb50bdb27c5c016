#include "codec/sign.h"

#include <sodium.h>

#include "base/mem.h"
#include "codec/digest.h"

void cm_sign_key_derive(struct cm_sign_key *key_r, struct cm_str secret, struct cm_str purpose)
{
        uint8_t seed[CM_SHA256_SIZE];

        cm_hmac_sha256(secret, purpose.data, purpose.len, seed);
        (void)crypto_sign_seed_keypair(key_r->public, key_r->secret, seed);
        cm_wipe(seed, sizeof(seed));
}

void cm_sign(const struct cm_sign_key *key, const void *data, size_t len,
             uint8_t signature_r[CM_SIGNATURE_SIZE])
{
        (void)crypto_sign_detached(signature_r, NULL, data, len, key->secret);
}

bool cm_sign_holds(const uint8_t public[CM_SIGN_PUBLIC_SIZE], const void *data, size_t len,
                   const uint8_t signature[CM_SIGNATURE_SIZE])
{
        return crypto_sign_verify_detached(signature, data, len, public) == 0;
}
