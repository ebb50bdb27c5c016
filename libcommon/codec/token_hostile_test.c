#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/token_internal.h"

/*
 * Tokens that somebody would like us to accept. Unless a row is about the signature, its token is
 * signed with our own key: what refuses it is the rule in question and nothing else.
 */
#define NOW    (INT64_C(1800000000) * CM_SECOND)
#define LEEWAY (30 * CM_SECOND)

static struct cm_signing_key *ours;
static struct cm_key_set *keys;
static const struct cm_token_policy policy = { "https://salus.example", "salus", LEEWAY };

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"$KID\"}"
#define U1     "\"01890a5d-ac96-774b-bcce-b302099a8057\""
#define WHO    "\"iss\":\"https://salus.example\",\"aud\":\"salus\","
#define IDS    "\"sub\":" U1 ",\"sid\":" U1 ",\"tenant\":" U1 ",\"jti\":" U1 ","
#define WHAT   "\"type\":\"patient\",\"scope\":\"health:read\","
#define TIMES  "\"iat\":1799999990,\"exp\":1800000590"
#define CLAIMS "{" WHO IDS WHAT TIMES "}"

static int set_up(void **state CM_UNUSED)
{
        struct cm_buf jwks = { 0 };

        assert_int_equal(cm_signing_key_generate(&ours), 0);
        cm_buf_add_str(&jwks, CM_STR("{\"keys\":["));
        cm_signing_key_jwk(ours, &jwks);
        cm_buf_add_str(&jwks, CM_STR("]}"));
        assert_int_equal(cm_key_set_parse(cm_buf_str(&jwks), &keys), 0);
        cm_buf_deinit(&jwks);
        return 0;
}

static int tear_down(void **state CM_UNUSED)
{
        cm_key_set_free(&keys);
        cm_signing_key_free(&ours);
        return 0;
}

static void raw_signature(const char *text, size_t len, unsigned char raw[CM_ES256_SIZE])
{
        unsigned char der[80];
        const unsigned char *p = der;
        size_t der_len = sizeof(der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        ECDSA_SIG *sig;

        assert_int_equal(
                EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, cm_signing_key_pkey(ours)),
                1);
        assert_int_equal(EVP_DigestSign(context, der, &der_len, (const unsigned char *)text, len),
                         1);
        EVP_MD_CTX_free(context);
        sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
        ECDSA_SIG_free(sig);
}

/* Encodes a text of which $KID becomes our key's id. */
static void add_part(struct cm_buf *out, struct cm_str text)
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
        cm_base64url_encode(filled.data, filled.len, out);
        cm_buf_deinit(&filled);
}

static void make_unsigned(struct cm_buf *token, struct cm_str header, struct cm_str payload)
{
        cm_buf_reset(token);
        add_part(token, header);
        cm_buf_add_char(token, '.');
        add_part(token, payload);
}

static void make(struct cm_buf *token, struct cm_str header, struct cm_str payload)
{
        unsigned char raw[CM_ES256_SIZE];

        make_unsigned(token, header, payload);
        raw_signature(token->data, token->len, raw);
        cm_buf_add_char(token, '.');
        cm_base64url_encode(raw, sizeof(raw), token);
}

static int verify(const struct cm_buf *token)
{
        struct cm_claims claims;

        return cm_token_verify(keys, &policy, cm_buf_str(token), NOW, &claims);
}

struct row {
        const char *name;
        struct cm_str text;
        int want;
};

static void assert_outcome(const char *name, int got, int want)
{
        if (got != want)
                fail_msg("%s: %s instead of %s", name, cm_token_outcome_name(got),
                         cm_token_outcome_name(want));
}

#define BAD        CM_TOKEN_MALFORMED
#define H(members) CM_STR("{" members "}")
#define REST       ",\"typ\":\"at+jwt\",\"kid\":\"$KID\""

static void headers(void **state CM_UNUSED)
{
        static const struct row rows[] = {
                { "ours", CM_STR(HEADER), 0 },
                { "ours in another order",
                  H("\"kid\":\"$KID\",\"typ\":\"at+jwt\",\"alg\":\"ES256\""), 0 },
                { "alg none", H("\"alg\":\"none\"" REST), BAD },
                { "alg None", H("\"alg\":\"None\"" REST), BAD },
                { "alg NONE", H("\"alg\":\"NONE\"" REST), BAD },
                { "alg nOnE", H("\"alg\":\"nOnE\"" REST), BAD },
                { "alg empty", H("\"alg\":\"\"" REST), BAD },
                { "alg missing", H("\"typ\":\"at+jwt\",\"kid\":\"$KID\""), BAD },
                { "alg null", H("\"alg\":null" REST), BAD },
                { "alg number", H("\"alg\":256" REST), BAD },
                { "alg list", H("\"alg\":[\"ES256\"]" REST), BAD },
                { "alg with a blank", H("\"alg\":\"ES256 \"" REST), BAD },
                { "alg in lower case", H("\"alg\":\"es256\"" REST), BAD },
                { "alg HS256", H("\"alg\":\"HS256\"" REST), BAD },
                { "alg ES256K", H("\"alg\":\"ES256K\"" REST), BAD },
                { "alg ES384", H("\"alg\":\"ES384\"" REST), BAD },
                { "alg RS256", H("\"alg\":\"RS256\"" REST), BAD },
                { "alg PS256", H("\"alg\":\"PS256\"" REST), BAD },
                { "alg with NUL", H("\"alg\":\"ES256\\u0000\"" REST), BAD },
                { "alg twice", H("\"alg\":\"none\",\"alg\":\"ES256\"" REST), BAD },
                { "typ missing", H("\"alg\":\"ES256\",\"kid\":\"$KID\""), BAD },
                { "typ JWT", H("\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"$KID\""), BAD },
                { "typ refresh", H("\"alg\":\"ES256\",\"typ\":\"rt+jwt\",\"kid\":\"$KID\""), BAD },
                { "typ in upper case", H("\"alg\":\"ES256\",\"typ\":\"AT+JWT\",\"kid\":\"$KID\""),
                  BAD },
                { "typ number", H("\"alg\":\"ES256\",\"typ\":1,\"kid\":\"$KID\""), BAD },
                { "kid missing", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\""), BAD },
                { "kid number", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":1"), BAD },
                { "kid object", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":{}"), BAD },
                { "kid null", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":null"), BAD },
                { "kid twice", H("\"alg\":\"ES256\"" REST ",\"kid\":\"$KID\""), BAD },
                { "kid with NUL", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"$KID\\u0000\""),
                  BAD },
                { "kid empty", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\""),
                  CM_TOKEN_UNKNOWN_KEY },
                { "kid unknown", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"other\""),
                  CM_TOKEN_UNKNOWN_KEY },
                { "kid is a path",
                  H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"../../dev/null\""),
                  CM_TOKEN_UNKNOWN_KEY },
                { "kid is an absolute path",
                  H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"/etc/passwd\""),
                  CM_TOKEN_UNKNOWN_KEY },
                { "kid is SQL", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"' OR 1=1--\""),
                  CM_TOKEN_UNKNOWN_KEY },
                { "kid cut", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"$KID \""),
                  CM_TOKEN_UNKNOWN_KEY },
                { "jwk", H("\"alg\":\"ES256\"" REST ",\"jwk\":{\"kty\":\"EC\"}"), BAD },
                { "jku", H("\"alg\":\"ES256\"" REST ",\"jku\":\"https://evil.example\""), BAD },
                { "x5u", H("\"alg\":\"ES256\"" REST ",\"x5u\":\"https://evil.example\""), BAD },
                { "x5c", H("\"alg\":\"ES256\"" REST ",\"x5c\":[\"MII\"]"), BAD },
                { "x5t", H("\"alg\":\"ES256\"" REST ",\"x5t\":\"abc\""), BAD },
                { "crit unknown", H("\"alg\":\"ES256\"" REST ",\"crit\":[\"exp\"]"), BAD },
                { "crit empty", H("\"alg\":\"ES256\"" REST ",\"crit\":[]"), BAD },
                { "b64 false", H("\"alg\":\"ES256\"" REST ",\"b64\":false"), BAD },
                { "zip", H("\"alg\":\"ES256\"" REST ",\"zip\":\"DEF\""), BAD },
                { "p2c", H("\"alg\":\"ES256\"" REST ",\"p2c\":2147483647"), BAD },
                { "cty", H("\"alg\":\"ES256\"" REST ",\"cty\":\"JWT\""), BAD },
                { "list", CM_STR("[]"), BAD },
                { "text", CM_STR("\"ES256\""), BAD },
                { "null", CM_STR("null"), BAD },
                { "not closed", CM_STR("{\"alg\":\"ES256\"" REST), BAD },
                { "bytes behind", CM_STR(HEADER "{}"), BAD },
                { "byte order mark", CM_STR("\xef\xbb\xbf" HEADER), BAD },
                { "NUL behind", CM_STR(HEADER "\0"), BAD },
                { "invalid UTF-8", H("\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\xff\""),
                  BAD },
        };
        struct cm_buf token = { 0 };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                make(&token, rows[i].text, CM_STR(CLAIMS));
                assert_outcome(rows[i].name, verify(&token), rows[i].want);
        }
        cm_buf_deinit(&token);
}

#define P(members)  CM_STR("{" members "}")
#define T(iat, exp) P(WHO IDS WHAT "\"iat\":" iat ",\"exp\":" exp)

static void claims(void **state CM_UNUSED)
{
        static const struct row rows[] = {
                { "ours", CM_STR(CLAIMS), 0 },
                { "an unknown claim", P(WHO IDS WHAT TIMES ",\"amr\":[\"pwd\"]"), 0 },
                { "nbf past", P(WHO IDS WHAT TIMES ",\"nbf\":1799999990"), 0 },
                { "exp = now - leeway + 1", T("1799999000", "1799999971"), 0 },
                { "exp = now - leeway", T("1799999000", "1799999970"), CM_TOKEN_EXPIRED },
                { "exp past", T("1799999000", "1799999001"), CM_TOKEN_EXPIRED },
                { "exp missing", P(WHO IDS WHAT "\"iat\":1799999990"), BAD },
                { "exp text", T("1799999990", "\"1800000590\""), BAD },
                { "exp negative", T("1799999990", "-1"), BAD },
                { "exp 1e400", T("1799999990", "1e400"), BAD },
                { "exp 2^63", T("1799999990", "9223372036854775808"), BAD },
                { "exp 2^63 - 1", T("1799999990", "9223372036854775807"), BAD },
                { "exp NaN", T("1799999990", "NaN"), BAD },
                { "exp float", T("1799999990", "1800000590.5"), BAD },
                { "exp whole float", T("1799999990", "1800000590.0"), BAD },
                { "exp true", T("1799999990", "true"), BAD },
                { "exp null", T("1799999990", "null"), BAD },
                { "exp twice", T("1799999990", "1,\"exp\":1800000590"), BAD },
                { "iat missing", P(WHO IDS WHAT "\"exp\":1800000590"), BAD },
                { "iat after exp", T("1800000591", "1800000590"), BAD },
                { "iat = exp", T("1800000590", "1800000590"), BAD },
                { "iat far past", T("1000000000", "1800000590"), BAD },
                { "iat in the future", T("1800000031", "1800000590"), CM_TOKEN_NOT_YET },
                { "iat within the leeway", T("1800000030", "1800000590"), 0 },
                { "nbf in the future", P(WHO IDS WHAT TIMES ",\"nbf\":1800000031"),
                  CM_TOKEN_NOT_YET },
                { "nbf text", P(WHO IDS WHAT TIMES ",\"nbf\":\"0\""), BAD },
                { "nbf null", P(WHO IDS WHAT TIMES ",\"nbf\":null"), BAD },
                { "iss missing", P("\"aud\":\"salus\"," IDS WHAT TIMES), BAD },
                { "iss number", P("\"iss\":1,\"aud\":\"salus\"," IDS WHAT TIMES), BAD },
                { "iss wrong",
                  P("\"iss\":\"https://evil.example\",\"aud\":\"salus\"," IDS WHAT TIMES),
                  CM_TOKEN_WRONG_ISSUER },
                { "iss prefix", P("\"iss\":\"https://salus\",\"aud\":\"salus\"," IDS WHAT TIMES),
                  CM_TOKEN_WRONG_ISSUER },
                { "iss with a slash",
                  P("\"iss\":\"https://salus.example/\",\"aud\":\"salus\"," IDS WHAT TIMES),
                  CM_TOKEN_WRONG_ISSUER },
                { "iss in upper case",
                  P("\"iss\":\"https://SALUS.example\",\"aud\":\"salus\"," IDS WHAT TIMES),
                  CM_TOKEN_WRONG_ISSUER },
                { "aud missing", P("\"iss\":\"https://salus.example\"," IDS WHAT TIMES), BAD },
                { "aud wrong",
                  P("\"iss\":\"https://salus.example\",\"aud\":\"other\"," IDS WHAT TIMES),
                  CM_TOKEN_WRONG_AUDIENCE },
                { "aud suffix",
                  P("\"iss\":\"https://salus.example\",\"aud\":\"alus\"," IDS WHAT TIMES),
                  CM_TOKEN_WRONG_AUDIENCE },
                { "aud list",
                  P("\"iss\":\"https://salus.example\",\"aud\":[\"salus\",\"other\"]," IDS WHAT
                            TIMES),
                  BAD },
                { "aud empty list",
                  P("\"iss\":\"https://salus.example\",\"aud\":[]," IDS WHAT TIMES), BAD },
                { "aud nested",
                  P("\"iss\":\"https://salus.example\",\"aud\":[[\"salus\"]]," IDS WHAT TIMES),
                  BAD },
                { "sub missing",
                  P(WHO "\"sid\":" U1 ",\"tenant\":" U1 ",\"jti\":" U1 "," WHAT TIMES), BAD },
                { "sub is no id",
                  P(WHO "\"sub\":\"admin\",\"sid\":" U1 ",\"tenant\":" U1 ",\"jti\":" U1
                        "," WHAT TIMES),
                  BAD },
                { "sub twice", P(WHO IDS "\"sub\":" U1 "," WHAT TIMES), BAD },
                { "jti missing",
                  P(WHO "\"sub\":" U1 ",\"sid\":" U1 ",\"tenant\":" U1 "," WHAT TIMES), BAD },
                { "type unknown", P(WHO IDS "\"type\":\"root\",\"scope\":\"\"," TIMES), BAD },
                { "type number", P(WHO IDS "\"type\":3,\"scope\":\"\"," TIMES), BAD },
                { "scope list",
                  P(WHO IDS "\"type\":\"patient\",\"scope\":[\"health:read\"]," TIMES), BAD },
                { "scope missing", P(WHO IDS "\"type\":\"patient\"," TIMES), BAD },
                { "scope with NUL",
                  P(WHO IDS "\"type\":\"patient\",\"scope\":\"a\\u0000b\"," TIMES), BAD },
                { "an ID token", P(WHO "\"sub\":" U1 ",\"nonce\":\"n\"," TIMES), BAD },
                { "list", CM_STR("[]"), BAD },
                { "empty object", CM_STR("{}"), BAD },
                { "bytes behind", CM_STR(CLAIMS "x"), BAD },
                { "byte order mark", CM_STR("\xef\xbb\xbf" CLAIMS), BAD },
                { "invalid UTF-8", P(WHO IDS WHAT TIMES ",\"x\":\"\xc3\x28\""), BAD },
                { "deep", P(WHO IDS WHAT TIMES ",\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"), BAD },
        };
        struct cm_buf token = { 0 };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                make(&token, CM_STR(HEADER), rows[i].text);
                assert_outcome(rows[i].name, verify(&token), rows[i].want);
        }
        cm_buf_deinit(&token);
}

/* ---- signatures */

static const unsigned char order_n[32] = { 0xff, 0xff, 0xff, 0xff, 0,    0,    0,    0,
                                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                           0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };

static void sign_with(struct cm_buf *token, const void *signature, size_t len)
{
        make_unsigned(token, CM_STR(HEADER), CM_STR(CLAIMS));
        cm_buf_add_char(token, '.');
        cm_base64url_encode(signature, len, token);
}

static void signatures(void **state CM_UNUSED)
{
        static const struct {
                const char *name;
                int r, s; /* 0 as it is, 1 zero, 2 n, 3 all ones */
                int want;
        } rows[] = {
                { "as it is", 0, 0, 0 },
                { "r = 0", 1, 0, CM_TOKEN_BAD_SIGNATURE },
                { "s = 0", 0, 1, CM_TOKEN_BAD_SIGNATURE },
                { "r = s = 0", 1, 1, CM_TOKEN_BAD_SIGNATURE },
                { "r = n", 2, 0, CM_TOKEN_BAD_SIGNATURE },
                { "s = n", 0, 2, CM_TOKEN_BAD_SIGNATURE },
                { "r = s = n", 2, 2, CM_TOKEN_BAD_SIGNATURE },
                { "r > n", 3, 0, CM_TOKEN_BAD_SIGNATURE },
                { "s > n", 0, 3, CM_TOKEN_BAD_SIGNATURE },
        };
        struct cm_buf token = { 0 };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                unsigned char raw[CM_ES256_SIZE];
                const int what[] = { rows[i].r, rows[i].s };

                make_unsigned(&token, CM_STR(HEADER), CM_STR(CLAIMS));
                raw_signature(token.data, token.len, raw);
                for (size_t half = 0; half < 2; half++) {
                        if (what[half] == 1 || what[half] == 3)
                                memset(raw + 32 * half, what[half] == 1 ? 0 : 0xff, 32);
                        if (what[half] == 2)
                                memcpy(raw + 32 * half, order_n, 32);
                }
                sign_with(&token, raw, sizeof(raw));
                assert_outcome(rows[i].name, verify(&token), rows[i].want);
        }
        cm_buf_deinit(&token);
}

static void signatures_of_other_forms(void **state CM_UNUSED)
{
        unsigned char raw[CM_ES256_SIZE + 1] = { 0 }, der[80];
        size_t der_len = sizeof(der);
        struct cm_buf token = { 0 };
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        make_unsigned(&token, CM_STR(HEADER), CM_STR(CLAIMS));
        raw_signature(token.data, token.len, raw);
        EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, cm_signing_key_pkey(ours));
        EVP_DigestSign(context, der, &der_len, (unsigned char *)token.data, token.len);
        EVP_MD_CTX_free(context);

        sign_with(&token, raw, 0);
        assert_outcome("empty", verify(&token), BAD);
        sign_with(&token, raw, 63);
        assert_outcome("a byte short", verify(&token), BAD);
        sign_with(&token, raw, 65);
        assert_outcome("a byte long", verify(&token), BAD);
        sign_with(&token, der, der_len);
        assert_outcome("DER", verify(&token), BAD);
        cm_buf_deinit(&token);
}

/* The second form of a signature, (r, n - s), is as valid: nothing may depend on its bytes. */
static void the_other_signature_is_accepted(void **state CM_UNUSED)
{
        unsigned char raw[CM_ES256_SIZE];
        struct cm_buf token = { 0 };
        BIGNUM *n = BN_bin2bn(order_n, 32, NULL), *s;

        make_unsigned(&token, CM_STR(HEADER), CM_STR(CLAIMS));
        raw_signature(token.data, token.len, raw);
        s = BN_bin2bn(raw + 32, 32, NULL);
        BN_sub(s, n, s);
        BN_bn2binpad(s, raw + 32, 32);
        sign_with(&token, raw, sizeof(raw));
        assert_outcome("(r, n - s)", verify(&token), 0);
        BN_free(n);
        BN_free(s);
        cm_buf_deinit(&token);
}

/* An expired token whose signature is bad has a bad signature, and so has one that is not JSON. */
static void the_signature_comes_first(void **state CM_UNUSED)
{
        static const struct row rows[] = {
                { "expired", T("1799999000", "1799999001"), CM_TOKEN_BAD_SIGNATURE },
                { "not JSON", CM_STR("x"), CM_TOKEN_BAD_SIGNATURE },
                { "wrong issuer", P("\"iss\":\"x\",\"aud\":\"salus\"," IDS WHAT TIMES),
                  CM_TOKEN_BAD_SIGNATURE },
        };
        unsigned char other[CM_ES256_SIZE];
        struct cm_buf token = { 0 };

        raw_signature("something else", 14, other);
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                make_unsigned(&token, CM_STR(HEADER), rows[i].text);
                cm_buf_add_char(&token, '.');
                cm_base64url_encode(other, sizeof(other), &token);
                assert_outcome(rows[i].name, verify(&token), rows[i].want);
        }
        cm_buf_deinit(&token);
}

/* ---- HS256 with what everybody can know of our key */

static void public_pem(struct cm_buf *out, bool crlf)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        long len;

        PEM_write_bio_PUBKEY(bio, cm_signing_key_pkey(ours));
        len = BIO_get_mem_data(bio, &data);
        for (long i = 0; i < len; i++) {
                if (crlf && data[i] == '\n')
                        cm_buf_add_char(out, '\r');
                cm_buf_add_char(out, data[i]);
        }
        BIO_free(bio);
}

static void public_der(struct cm_buf *out)
{
        unsigned char *der = NULL;
        int len = i2d_PUBKEY(cm_signing_key_pkey(ours), &der);

        cm_buf_add(out, der, (size_t)len);
        OPENSSL_free(der);
}

static void confusion(void **state CM_UNUSED)
{
        static const char *const names[] = { "PEM",           "PEM without its last newline",
                                             "PEM with CRLF", "DER",
                                             "JWK",           "x and y",
                                             "empty key",     "white space" };
        struct cm_buf secrets[CM_COUNT(names)] = { 0 }, token = { 0 };

        public_pem(&secrets[0], false);
        public_pem(&secrets[1], false);
        secrets[1].len--;
        public_pem(&secrets[2], true);
        public_der(&secrets[3]);
        cm_signing_key_jwk(ours, &secrets[4]);
        cm_buf_add(&secrets[5], secrets[3].data + secrets[3].len - 64, 64);
        cm_buf_add_str(&secrets[7], CM_STR(" "));
        for (size_t i = 0; i < CM_COUNT(names); i++) {
                unsigned char mac[64] = { 0 };

                make_unsigned(&token, H("\"alg\":\"HS256\"" REST), CM_STR(CLAIMS));
                HMAC(EVP_sha256(), secrets[i].data ? secrets[i].data : "", (int)secrets[i].len,
                     (unsigned char *)token.data, token.len, mac, NULL);
                cm_buf_add_char(&token, '.');
                cm_base64url_encode(mac, 32, &token);
                assert_outcome(names[i], verify(&token), BAD);

                sign_with(&token, mac, sizeof(mac)); /* the same under our own header */
                assert_outcome(names[i], verify(&token), CM_TOKEN_BAD_SIGNATURE);
                cm_buf_deinit(&secrets[i]);
        }
        cm_buf_deinit(&token);
}

/* ---- the text itself */

enum cut { HEAD = 1, BODY = 2, MAC = 4 };

static void structure(void **state CM_UNUSED)
{
        static const struct {
                const char *name, *before, *between1, *between2, *after;
                int parts;
                int want;
        } rows[] = {
                { "as it is", "", ".", ".", "", HEAD | BODY | MAC, 0 },
                { "one part", "", "", "", "", HEAD, BAD },
                { "two parts", "", ".", "", "", HEAD | BODY, BAD },
                { "no signature", "", ".", ".", "", HEAD | BODY, BAD },
                { "no payload", "", ".", ".", "", HEAD | MAC, BAD },
                { "no header", "", ".", ".", "", BODY | MAC, BAD },
                { "four parts", "", ".", ".", ".x", HEAD | BODY | MAC, BAD },
                { "five parts", "", ".", ".", ".x.y", HEAD | BODY | MAC, BAD },
                { "dots only", "", ".", ".", "", 0, BAD },
                { "a leading dot", ".", ".", ".", "", HEAD | BODY | MAC, BAD },
                { "padding", "", ".", ".", "=", HEAD | BODY | MAC, BAD },
                { "padding in the payload", "", ".", "=.", "", HEAD | BODY | MAC, BAD },
                { "a blank before", " ", ".", ".", "", HEAD | BODY | MAC, BAD },
                { "a newline behind", "", ".", ".", "\n", HEAD | BODY | MAC, BAD },
                { "a blank inside", "", ". ", ".", "", HEAD | BODY | MAC, BAD },
                { "a plus", "", ".", ".", "+", HEAD | BODY | MAC, BAD },
                { "a slash", "", ".", ".", "/", HEAD | BODY | MAC, BAD },
                { "the word Bearer", "Bearer ", ".", ".", "", HEAD | BODY | MAC, BAD },
        };
        struct cm_buf good = { 0 };
        struct cm_str rest, head, body, mac;

        make(&good, CM_STR(HEADER), CM_STR(CLAIMS));
        rest = cm_buf_str(&good);
        assert_true(cm_str_split(&rest, '.', &head) && cm_str_split(&rest, '.', &body) &&
                    cm_str_split(&rest, '.', &mac));
        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                struct cm_buf token = { 0 };

                cm_buf_add_str(&token, cm_str_from(rows[i].before));
                cm_buf_add_str(&token, rows[i].parts & HEAD ? head : CM_STR_NONE);
                cm_buf_add_str(&token, cm_str_from(rows[i].between1));
                cm_buf_add_str(&token, rows[i].parts & BODY ? body : CM_STR_NONE);
                cm_buf_add_str(&token, cm_str_from(rows[i].between2));
                cm_buf_add_str(&token, rows[i].parts & MAC ? mac : CM_STR_NONE);
                cm_buf_add_str(&token, cm_str_from(rows[i].after));
                assert_outcome(rows[i].name, verify(&token), rows[i].want);
                cm_buf_deinit(&token);
        }
        cm_buf_deinit(&good);
}

static void sizes(void **state CM_UNUSED)
{
        static const struct {
                const char *name;
                size_t len;
                const char *piece;
        } rows[] = {
                { "empty", 0, "x" },
                { "1 MB of dots", 1000000, "." },
                { "1 MB of text", 1000000, "A" },
                { "64 KiB of parts", 65536, "A." },
                { "4,097 bytes", 4097, "A" },
        };
        struct cm_buf token = { 0 };

        for (size_t i = 0; i < CM_COUNT(rows); i++) {
                cm_buf_reset(&token);
                while (token.len < rows[i].len)
                        cm_buf_add_str(&token, cm_str_from(rows[i].piece));
                assert_outcome(rows[i].name, verify(&token), BAD);
        }
        cm_buf_deinit(&token);
}

/* The last of the 86 digits of a signature carries four bits that must be zero. */
static void trailing_bits_are_canonical(void **state CM_UNUSED)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        struct cm_buf token = { 0 };
        char *last;

        make(&token, CM_STR(HEADER), CM_STR(CLAIMS));
        assert_int_equal(verify(&token), 0);
        last = &token.data[token.len - 1];
        *last = digits[(strchr(digits, *last) - digits) + 1];
        assert_outcome("non-canonical", verify(&token), BAD);
        cm_buf_deinit(&token);
}

static void deep_headers(void **state CM_UNUSED)
{
        struct cm_buf header = { 0 }, token = { 0 };

        cm_buf_add_str(&header, CM_STR("{\"alg\":"));
        while (header.len < 500)
                cm_buf_add_char(&header, '[');
        make(&token, cm_buf_str(&header), CM_STR(CLAIMS));
        assert_outcome("nested", verify(&token), BAD);
        cm_buf_deinit(&header);
        cm_buf_deinit(&token);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(headers),
                cmocka_unit_test(claims),
                cmocka_unit_test(signatures),
                cmocka_unit_test(signatures_of_other_forms),
                cmocka_unit_test(the_other_signature_is_accepted),
                cmocka_unit_test(the_signature_comes_first),
                cmocka_unit_test(confusion),
                cmocka_unit_test(structure),
                cmocka_unit_test(sizes),
                cmocka_unit_test(trailing_bits_are_canonical),
                cmocka_unit_test(deep_headers),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
