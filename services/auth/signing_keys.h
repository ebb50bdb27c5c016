#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"
#include "codec/token.h"
#include "store/pg.h"

/*
 * The keys of access tokens as one worker holds them: the active one for signing, and the public
 * halves of all that verifiers must know.
 */
struct signing_keys;

/*
 * Loads the keys; the first instance on an empty database makes one, under a lock. `seal_keys`
 * opens the private halves. Suspends. -CM_E_CONFIG when the seal keys are malformed or do not open
 * the active key.
 */
int signing_keys_load(struct cm_pg *pg, const char *seal_keys,
                      struct signing_keys **keys_r) CM_MUST_CHECK;
void signing_keys_free(struct signing_keys **keys);

const struct cm_signing_key *signing_keys_active(const struct signing_keys *keys);
/* The JWK set, and a tag that changes when it does. */
struct cm_str signing_keys_set(const struct signing_keys *keys);
struct cm_str signing_keys_tag(const struct signing_keys *keys);
