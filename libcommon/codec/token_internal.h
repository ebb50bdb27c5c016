#pragma once
#include <openssl/evp.h>

#include "codec/token.h"

/* Between token.c and token_key.c only. */

enum { CM_ES256_SIZE = 64 }; /* r and s, 32 bytes each */

/* The key of that id, or NULL. It belongs to the set. */
EVP_PKEY *cm_key_set_find(const struct cm_key_set *keys, struct cm_str id);
EVP_PKEY *cm_signing_key_pkey(const struct cm_signing_key *key);
