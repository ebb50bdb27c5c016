#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "codec/seal.h"
#include "codec/token.h"
#include "key_rules.h"

/*
 * The keys of access tokens as one worker holds them: the active one for signing, and the public
 * halves of all that verifiers must know.
 */
struct signing_keys;

/* `seal_keys` opens the private halves. -CM_E_CONFIG when it is malformed. */
int signing_keys_new(const char *seal_keys, struct signing_keys **keys_r) CM_MUST_CHECK;
void signing_keys_free(struct signing_keys **keys);

/* Takes over what the table says. 0: nothing is new; SIGNING_KEYS_CHANGED; -CM_E_CONFIG when the
 * seal keys do not open the active key, which is logged; then all stays as it was. */
enum { SIGNING_KEYS_CHANGED = 1 };
int signing_keys_adopt(struct signing_keys *keys, struct cm_arena *arena,
                       const struct key_list *list) CM_MUST_CHECK;

/* NULL when the table was not looked at for `at_most_us`: the key may have been retired meanwhile.
 */
const struct cm_signing_key *signing_keys_active(const struct signing_keys *keys,
                                                 int64_t at_most_us);
/* The JWK set, and a tag that changes when it does. */
struct cm_str signing_keys_set(const struct signing_keys *keys);
struct cm_str signing_keys_tag(const struct signing_keys *keys);

/* A fresh key with its private half sealed, in the arena. */
int signing_keys_make(const struct signing_keys *keys, struct cm_arena *arena,
                      struct stored_key *key_r) CM_MUST_CHECK;
/* The JWK set of a list. -CM_E_DATABASE when a row is no JWK. */
int signing_keys_write_set(struct cm_arena *arena, const struct key_list *list,
                           struct cm_buf *set) CM_MUST_CHECK;
