#pragma once
#include "base/attr.h"
#include "base/str.h"

/*
 * Sealed fields: XChaCha20-Poly1305 (libsodium) under a named key. The sealed form is
 * version, key id, nonce, ciphertext, base64url in one piece; `context` (table and column and row
 * id) is authenticated with it, so a sealed value cannot be moved to another row.
 */
struct cm_seal_keys;

/* "id:base64url-of-32-bytes[,id:…]"; the first seals, all open. */
int cm_seal_keys_parse(struct cm_str text, struct cm_seal_keys **keys_r) CM_MUST_CHECK;
void cm_seal_keys_free(struct cm_seal_keys **keys);

enum cm_seal_outcome { CM_SEAL_UNKNOWN_KEY = 1, CM_SEAL_BROKEN };

void cm_seal(const struct cm_seal_keys *keys, struct cm_str context, struct cm_str plain,
             struct cm_buf *sealed);
int cm_unseal(const struct cm_seal_keys *keys, struct cm_str context, struct cm_str sealed,
              struct cm_buf *plain) CM_MUST_CHECK;
