#pragma once
/* For the tests of tokens: a key of ours, one that is not, and tokens of any text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/token_internal.h"

#define NOW    (INT64_C(1800000000) * CM_SECOND)
#define LEEWAY (30 * CM_SECOND)

static struct cm_signing_key *ours, *theirs;
static struct cm_key_set *keys;
static const struct cm_token_policy policy = { "https://salus.example", "salus", LEEWAY };

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"$KID\"}"
#define U1     "\"01890a5d-ac96-774b-bcce-b302099a8057\""
#define WHO    "\"iss\":\"https://salus.example\",\"aud\":\"salus\","
#define IDS    "\"sub\":" U1 ",\"sid\":" U1 ",\"tenant\":" U1 ",\"jti\":" U1 ","
#define WHAT   "\"type\":\"patient\",\"scope\":\"health:read\","
#define TIMES  "\"iat\":1799999990,\"exp\":1800000590"
#define CLAIMS "{" WHO IDS WHAT TIMES "}"

static inline int set_up(void **state CM_UNUSED)
{
        struct cm_buf jwks = { 0 };

        assert_int_equal(cm_signing_key_generate(&ours), 0);
        assert_int_equal(cm_signing_key_generate(&theirs), 0);
        cm_buf_add_str(&jwks, CM_STR("{\"keys\":["));
        cm_signing_key_jwk(ours, &jwks);
        cm_buf_add_str(&jwks, CM_STR("]}"));
        assert_int_equal(cm_key_set_parse(cm_buf_str(&jwks), &keys), 0);
        cm_buf_deinit(&jwks);
        return 0;
}

static inline int tear_down(void **state CM_UNUSED)
{
        cm_key_set_free(&keys);
        cm_signing_key_free(&ours);
        cm_signing_key_free(&theirs);
        return 0;
}

static inline size_t sign_der(const struct cm_signing_key *key, const EVP_MD *digest,
                              struct cm_str text, unsigned char der[80])
{
        size_t len = 80;
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        assert_int_equal(EVP_DigestSignInit(context, NULL, digest, NULL, cm_signing_key_pkey(key)),
                         1);
        assert_int_equal(
                EVP_DigestSign(context, der, &len, (const unsigned char *)text.data, text.len), 1);
        EVP_MD_CTX_free(context);
        return len;
}

/* r and s, 32 bytes each. */
static inline void sign_raw(const struct cm_signing_key *key, const EVP_MD *digest,
                            struct cm_str text, unsigned char raw[CM_ES256_SIZE])
{
        unsigned char der[80];
        const unsigned char *p = der;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)sign_der(key, digest, text, der));

        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
        ECDSA_SIG_free(sig);
}

/* Encodes a text of which $KID becomes our key's id. */
static inline void add_part(struct cm_buf *out, struct cm_str text)
{
        struct cm_buf filled = { 0 };
        const char *place = text.len ? memmem(text.data, text.len, "$KID", 4) : NULL;

        if (place) {
                cm_buf_add(&filled, text.data, (size_t)(place - text.data));
                cm_buf_add_str(&filled, cm_str_from(cm_signing_key_id(ours)));
                cm_buf_add(&filled, place + 4, text.len - (size_t)(place + 4 - text.data));
        } else {
                cm_buf_add_str(&filled, text);
        }
        cm_base64url_encode(filled.data ? filled.data : "", filled.len, out);
        cm_buf_deinit(&filled);
}

static inline void make_unsigned(struct cm_buf *token, struct cm_str header, struct cm_str payload)
{
        cm_buf_reset(token);
        add_part(token, header);
        cm_buf_add_char(token, '.');
        add_part(token, payload);
}

static inline void add_signature(struct cm_buf *token, const void *signature, size_t len)
{
        cm_buf_add_char(token, '.');
        cm_base64url_encode(signature, len, token);
}

/* Signed with our own key. */
static inline void make_signed(struct cm_buf *token, struct cm_str header, struct cm_str payload)
{
        unsigned char raw[CM_ES256_SIZE];

        make_unsigned(token, header, payload);
        sign_raw(ours, EVP_sha256(), cm_buf_str(token), raw);
        add_signature(token, raw, sizeof(raw));
}

static inline int verify(struct cm_str token)
{
        struct cm_claims claims;

        return cm_token_verify(keys, &policy, token, NOW, &claims);
}
