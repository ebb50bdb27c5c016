#include "codec/digest.h"

#include <sodium.h>

void cm_sha256(const void *data, size_t len, uint8_t digest_r[CM_SHA256_SIZE])
{
        (void)crypto_hash_sha256(digest_r, data, len);
}
