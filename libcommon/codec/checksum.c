#include "codec/checksum.h"

#include <openssl/evp.h>

#include "base/assert.h"
#include "base/mem.h"

struct cm_checksum {
        EVP_MD_CTX *context;
};

/* OpenSSL's digests fail for want of memory or of a provider only: nothing that could go on. */
struct cm_checksum *cm_checksum_new(enum cm_checksum_kind kind)
{
        struct cm_checksum *checksum = CM_NEW(struct cm_checksum);
        const EVP_MD *algorithm = kind == CM_CHECKSUM_SHA1 ? EVP_sha1() : EVP_sha256();

        checksum->context = EVP_MD_CTX_new();
        CM_ASSERT(checksum->context && EVP_DigestInit_ex(checksum->context, algorithm, NULL) == 1);
        return checksum;
}

void cm_checksum_free(struct cm_checksum **checksum)
{
        if (!*checksum)
                return;
        EVP_MD_CTX_free((*checksum)->context);
        cm_free(*checksum);
        *checksum = NULL;
}

void cm_checksum_add(struct cm_checksum *checksum, struct cm_str bytes)
{
        CM_ASSERT(EVP_DigestUpdate(checksum->context, bytes.data, bytes.len) == 1);
}

size_t cm_checksum_finish(struct cm_checksum *checksum, uint8_t digest_r[CM_CHECKSUM_MAX_SIZE])
{
        unsigned size = 0;

        CM_ASSERT(EVP_DigestFinal_ex(checksum->context, digest_r, &size) == 1);
        CM_ASSERT(size <= CM_CHECKSUM_MAX_SIZE);
        return size;
}
