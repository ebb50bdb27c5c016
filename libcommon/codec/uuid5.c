#include "codec/uuid5.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/assert.h"

enum { SHA1_SIZE = 20 };

struct cm_uuid cm_uuid5(const struct cm_uuid *space, struct cm_str name)
{
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        uint8_t digest[SHA1_SIZE];
        struct cm_uuid uuid;

        CM_ASSERT(context && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1);
        CM_ASSERT(EVP_DigestUpdate(context, space->bytes, sizeof(space->bytes)) == 1);
        CM_ASSERT(EVP_DigestUpdate(context, name.data, name.len) == 1);
        CM_ASSERT(EVP_DigestFinal_ex(context, digest, NULL) == 1);
        EVP_MD_CTX_free(context);
        memcpy(uuid.bytes, digest, sizeof(uuid.bytes));
        uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x50);
        uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
        return uuid;
}
