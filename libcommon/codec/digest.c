#include "codec/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"

void cm_sha256(const void *data, size_t len, uint8_t digest_r[CM_SHA256_SIZE])
{
        (void)crypto_hash_sha256(digest_r, data, len);
}

void cm_hmac_sha256(struct cm_str key, const void *data, size_t len,
                    uint8_t digest_r[CM_SHA256_SIZE])
{
        crypto_auth_hmacsha256_state state;

        crypto_auth_hmacsha256_init(&state, (const uint8_t *)key.data, key.len);
        crypto_auth_hmacsha256_update(&state, data, len);
        crypto_auth_hmacsha256_final(&state, digest_r);
        cm_wipe(&state, sizeof(state));
}

void cm_hmac_sha1(struct cm_str key, const void *data, size_t len, uint8_t digest_r[CM_SHA1_SIZE])
{
        CM_ASSERT(HMAC(EVP_sha1(), key.data, (int)key.len, data, len, digest_r, NULL));
}
