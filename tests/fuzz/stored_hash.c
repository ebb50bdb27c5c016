/*
 * Stored forms of passwords, as an import brings them: whatever is taken keeps the bounds that it
 * was taken with, is long enough not to be guessed by its length, and does not fit what anybody
 * would try first.
 */
#include <stdlib.h>

#include "../../services/auth/passwords/stored_hash.h"
#include "base/assert.h"

enum { MAX_MEMORY = 256 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct stored_hash hash;
        struct cm_buf copy = { 0 };
        int r;

        cm_buf_add(&copy, data, size); /* where a byte more is seen by the sanitizer */
        r = stored_hash_parse(cm_buf_str(&copy), MAX_MEMORY, &hash);
        if (r) {
                CM_ASSERT(stored_hash_fault(r));
        } else {
                bool is_bcrypt = hash.scheme == HASH_OURS || hash.scheme == HASH_BCRYPT;

                CM_ASSERT(hash.memory <= MAX_MEMORY);
                CM_ASSERT(!is_bcrypt || (hash.bcrypt.len == 60 && hash.cost >= 4));
                CM_ASSERT(is_bcrypt || hash.scheme == HASH_NONE ||
                          (hash.key_len >= 16 && hash.key_len <= HASH_MAX_BYTES && hash.salt_len));
                if (hash.cost <= 4 && hash.iterations <= 20)
                        CM_ASSERT(!stored_hash_fits(&hash, CM_STR("")) &&
                                  !stored_hash_fits(&hash, CM_STR("\0")));
        }
        cm_buf_deinit(&copy);
        return 0;
}
