#include "codec/kdf.h"

#include <openssl/evp.h>
#include <sodium.h>

#include "base/error.h"

static const EVP_MD *digest_of(enum cm_kdf_digest digest)
{
        switch (digest) {
        case CM_KDF_SHA1:
                return EVP_sha1();
        case CM_KDF_SHA256:
                return EVP_sha256();
        default:
                return EVP_sha512();
        }
}

int cm_pbkdf2(enum cm_kdf_digest digest, struct cm_str password, struct cm_str salt,
              int32_t iterations, uint8_t *out, size_t len)
{
        return PKCS5_PBKDF2_HMAC(password.data, (int)password.len, (const uint8_t *)salt.data,
                                 (int)salt.len, iterations, digest_of(digest), (int)len, out) == 1
                       ? 0
                       : -CM_E_INTERNAL;
}

int cm_scrypt(const struct cm_scrypt *cost, struct cm_str password, struct cm_str salt,
              uint8_t *out, size_t len)
{
        /* OpenSSL counts its small buffers (128 * r * p) as well. */
        uint64_t bound = cost->max_memory + 128 * (uint64_t)cost->r * (cost->p + 2);

        return EVP_PBE_scrypt(password.data, password.len, (const uint8_t *)salt.data, salt.len,
                              cost->n, cost->r, cost->p, bound, out, len) == 1
                       ? 0
                       : -CM_E_INTERNAL;
}

bool cm_argon2_fits(const char *encoded, struct cm_str password)
{
        return crypto_pwhash_str_verify(encoded, password.data, password.len) == 0;
}
