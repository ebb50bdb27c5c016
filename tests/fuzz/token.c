#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/assert.h"
#include "codec/token_internal.h"

/*
 * An access token. The first byte chooses: 's' and then "header NUL payload" is signed with our
 * key, so that the claims are reached; anything else is the text of a token. What is accepted must
 * be what its claims say: not after its end, not for another issuer or audience, and the same from
 * the cache.
 */
#define NOW    (INT64_C(1800000000) * CM_SECOND)
#define LEEWAY (30 * CM_SECOND)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfPhlXXn4m/VOk4il\n"
                          "oJvN6KNrxQ82+lZ3XnCukBbsx+yhRANCAAS8h1MvmVpHdcfG2PrUHaxktKw+6FmM\n"
                          "xc0u5TKdLVRdx3OWd7VRb4Z5b/ij5dS4+Q8LGhA74dz8aLAEVDXjc0Ka\n"
                          "-----END PRIVATE KEY-----\n";

static struct cm_signing_key *key;
static struct cm_key_set *keys;
static const struct cm_token_policy policy = { "salus", "salus", LEEWAY };

int LLVMFuzzerInitialize(int *argc CM_UNUSED, char ***argv CM_UNUSED)
{
        struct cm_buf set = { 0 };

        CM_ASSERT(cm_signing_key_parse(cm_str_from(pem), &key) == 0);
        cm_buf_add_str(&set, CM_STR("{\"keys\":["));
        cm_signing_key_jwk(key, &set);
        cm_buf_add_str(&set, CM_STR("]}"));
        CM_ASSERT(cm_key_set_parse(cm_buf_str(&set), &keys) == 0);
        cm_buf_deinit(&set);
        return 0;
}

static void sign(struct cm_buf *token)
{
        unsigned char der[80], raw[CM_ES256_SIZE];
        const unsigned char *p = der;
        size_t len = sizeof(der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        ECDSA_SIG *sig;

        CM_ASSERT(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, cm_signing_key_pkey(key)) ==
                  1);
        CM_ASSERT(EVP_DigestSign(context, der, &len, (const unsigned char *)token->data,
                                 token->len) == 1);
        EVP_MD_CTX_free(context);
        sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
        ECDSA_SIG_free(sig);
        cm_buf_add_char(token, '.');
        cm_base64url_encode(raw, sizeof(raw), token);
}

/* A header that is empty stands for a good one. */
static void make(const char *text, size_t size, struct cm_buf *token)
{
        const char *end = size ? memchr(text, 0, size) : NULL;
        size_t header_len = end ? (size_t)(end - text) : 0;
        size_t skip = end ? header_len + 1 : 0;
        struct cm_buf header = { 0 };

        if (header_len)
                cm_buf_add(&header, text, header_len);
        else
                cm_buf_printf(&header, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                              cm_signing_key_id(key));
        cm_base64url_encode(header.data, header.len, token);
        cm_buf_add_char(token, '.');
        cm_base64url_encode(text + skip, size - skip, token);
        sign(token);
        cm_buf_deinit(&header);
}

static void check_accepted(struct cm_str token, const struct cm_claims *claims)
{
        const struct cm_token_policy issuer = { "Salus", "salus", LEEWAY };
        const struct cm_token_policy audience = { "salus", "salus ", LEEWAY };
        struct cm_claims again;

        CM_ASSERT(claims->issued_at <= NOW + LEEWAY && claims->expires_at > NOW - LEEWAY);
        CM_ASSERT(claims->expires_at > claims->issued_at && cm_claims_type_name(claims->type));
        for (const char *c = claims->scope; *c; c++)
                CM_ASSERT(*c >= ' ' && *c <= '~');
        CM_ASSERT(cm_token_verify(keys, &policy, token, claims->expires_at + LEEWAY, &again) ==
                  CM_TOKEN_EXPIRED);
        CM_ASSERT(cm_token_verify(keys, &issuer, token, NOW, &again) == CM_TOKEN_WRONG_ISSUER);
        CM_ASSERT(cm_token_verify(keys, &audience, token, NOW, &again) == CM_TOKEN_WRONG_AUDIENCE);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        struct cm_token_cache *cache;
        const struct cm_claims *cached;
        struct cm_buf token = { 0 };
        struct cm_claims claims;
        int r;

        if (size && bytes[0] == 's')
                make((const char *)bytes + 1, size - 1, &token);
        else
                cm_buf_add(&token, bytes, size);
        r = cm_token_verify(keys, &policy, cm_buf_str(&token), NOW, &claims);
        CM_ASSERT(r >= 0 && strcmp(cm_token_outcome_name(r), "unknown") != 0);
        if (r == 0) {
                check_accepted(cm_buf_str(&token), &claims);
                cache = cm_token_cache_new(2);
                for (int i = 0; i < 2; i++)
                        CM_ASSERT(cm_token_cache_verify(cache, keys, &policy, cm_buf_str(&token),
                                                        NOW, &cached) == 0);
                cm_token_cache_free(&cache);
        }
        cm_buf_deinit(&token);
        return 0;
}
