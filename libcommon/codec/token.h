#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"

/*
 * Access tokens: ES256 JWTs (RFC 7519, RFC 9068 `typ: at+jwt`), one algorithm, nothing negotiable.
 * A strict header check comes before the signature check: exactly alg, typ, kid. Claims on the
 * wire: iss, aud (one text each), sub, sid, tenant, jti (UUIDs), type ("patient", "doctor",
 * "admin", "institution", "client"), scope, iat, exp and perhaps nbf (whole seconds); others are
 * ignored. A token is at most 4 KiB and lives at most a day.
 */
struct cm_claims {
        struct cm_uuid sub; /* user; of a machine its client */
        struct cm_uuid sid; /* session; of a machine the secret that it showed */
        struct cm_uuid tenant;
        struct cm_uuid jti;
        int32_t type;    /* 1 patient, 2 doctor, 3 admin, 4 institution, 5 client */
        char scope[512]; /* blank-separated */
        cm_time issued_at;
        cm_time expires_at;
};

/* "patient"; absent names are NULL. */
const char *cm_claims_type_name(int32_t type);

enum cm_token_outcome {
        CM_TOKEN_MALFORMED = 1, /* not a token of ours at all */
        CM_TOKEN_UNKNOWN_KEY,
        CM_TOKEN_BAD_SIGNATURE,
        CM_TOKEN_EXPIRED,
        CM_TOKEN_NOT_YET,
        CM_TOKEN_WRONG_ISSUER,
        CM_TOKEN_WRONG_AUDIENCE,
        CM_TOKEN_REVOKED,
};
const char *cm_token_outcome_name(int outcome);

/* A set of public keys, from a JWK set. Immutable once made. -CM_E_MALFORMED unless each of its at
 * most 16 keys is P-256 with alg ES256, use sig, a kid of base64url digits that is there once, and
 * not private. */
struct cm_key_set;
int cm_key_set_parse(struct cm_str jwks_json, struct cm_key_set **keys_r) CM_MUST_CHECK;
void cm_key_set_free(struct cm_key_set **keys);

struct cm_token_policy {
        const char *issuer;
        const char *audience;
        int64_t leeway_us; /* of clocks, at most a minute */
};

/* 0, or an outcome in order: form, key, signature, then claims. Pure; costs about
 * 46 µs. */
int cm_token_verify(const struct cm_key_set *keys, const struct cm_token_policy *policy,
                    struct cm_str token, cm_time now, struct cm_claims *claims_r) CM_MUST_CHECK;

/* The signing side (auth). */
struct cm_signing_key;
int cm_signing_key_generate(struct cm_signing_key **key_r) CM_MUST_CHECK;
/* From PKCS #8 PEM. */
int cm_signing_key_parse(struct cm_str pem, struct cm_signing_key **key_r) CM_MUST_CHECK;
void cm_signing_key_free(struct cm_signing_key **key);
const char *cm_signing_key_id(const struct cm_signing_key *key); /* RFC 7638 thumbprint */
void cm_signing_key_pem(const struct cm_signing_key *key, struct cm_buf *pem);  /* secret */
void cm_signing_key_jwk(const struct cm_signing_key *key, struct cm_buf *json); /* public */
int cm_token_sign(const struct cm_signing_key *key, const struct cm_token_policy *policy,
                  const struct cm_claims *claims, struct cm_buf *token) CM_MUST_CHECK;

/*
 * Verified tokens, kept by digest until they expire or are revoked, so a token costs its signature
 * once a worker. Bounded: the least recently used goes. One thread.
 */
struct cm_token_cache;
struct cm_token_cache *cm_token_cache_new(size_t max_tokens);
void cm_token_cache_free(struct cm_token_cache **cache);
/* Like cm_token_verify, through the cache. CM_TOKEN_REVOKED for tokens and sessions dropped below.
 */
int cm_token_cache_verify(struct cm_token_cache *cache, const struct cm_key_set *keys,
                          const struct cm_token_policy *policy, struct cm_str token, cm_time now,
                          const struct cm_claims **claims_r) CM_MUST_CHECK;
/*
 * A revocation may have been told before this worker listened. So a token is looked up elsewhere
 * once and then confirmed; unconfirm makes that due again for all (some signals may have been
 * missed). `claims` is what the call above gave; like it, it is valid until the cache's next use.
 */
bool cm_token_cache_is_confirmed(const struct cm_token_cache *cache,
                                 const struct cm_claims *claims);
void cm_token_cache_confirm(struct cm_token_cache *cache, struct cm_str token);
void cm_token_cache_unconfirm(struct cm_token_cache *cache);
/* A token id or session id that is revoked until `until`. */
void cm_token_cache_revoke(struct cm_token_cache *cache, const struct cm_uuid *id, cm_time until);
void cm_token_cache_clear(struct cm_token_cache *cache); /* keys changed */
