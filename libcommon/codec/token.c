#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "codec/token_internal.h"

/*
 * The order of the checks is the point: size, three parts of canonical base64url, a header of
 * exactly three members, a key of ours, the signature, and only then does anybody look at the
 * claims. So an expired token with a bad signature has a bad signature, and no claim of a stranger
 * is ever parsed.
 *
 * The signature is checked through OpenSSL directly and not through libjwt: libjwt 1.10 refuses any
 * typ but JWT, and reads the key's PEM again for each token (326 µs where this takes 46).
 */
#define TOKEN_MAX    4096
#define HEADER_MAX   512
#define KID_MAX      128
#define CLAIMS_OPENS 16 /* objects and lists in the claims, most of them unknown to us */
#define LIFE_MAX_S   (24 * 3600)
#define TIME_MAX_S   INT64_C(253402300799) /* the end of year 9999 */

static const char *const type_names[] = { NULL,    "patient",     "doctor",
                                          "admin", "institution", "client" };

const char *cm_claims_type_name(int32_t type)
{
        return type > 0 && type < (int32_t)CM_COUNT(type_names) ? type_names[type] : NULL;
}

const char *cm_token_outcome_name(int outcome)
{
        static const char *const names[] = {
                [0] = "ok",
                [CM_TOKEN_MALFORMED] = "malformed",
                [CM_TOKEN_UNKNOWN_KEY] = "unknown_key",
                [CM_TOKEN_BAD_SIGNATURE] = "bad_signature",
                [CM_TOKEN_EXPIRED] = "expired",
                [CM_TOKEN_NOT_YET] = "not_yet",
                [CM_TOKEN_WRONG_ISSUER] = "wrong_issuer",
                [CM_TOKEN_WRONG_AUDIENCE] = "wrong_audience",
                [CM_TOKEN_REVOKED] = "revoked",
        };

        return outcome >= 0 && outcome < (int)CM_COUNT(names) ? names[outcome] : "unknown";
}

/* ---- form */

struct parts {
        struct cm_str signed_text; /* header.payload */
        struct cm_buf header;
        struct cm_buf payload;
        struct cm_buf signature;
};

static void parts_deinit(struct parts *parts)
{
        cm_buf_deinit(&parts->header);
        cm_buf_deinit(&parts->payload);
        cm_buf_deinit(&parts->signature);
}

static bool split(struct cm_str token, struct parts *parts)
{
        const char *first, *second;
        struct cm_str header, payload, signature;

        if (!token.data || token.len == 0 || token.len > TOKEN_MAX)
                return false;
        first = memchr(token.data, '.', token.len);
        second = memrchr(token.data, '.', token.len);
        if (!first || first == second)
                return false;

        header = (struct cm_str){ token.data, (size_t)(first - token.data) };
        payload = (struct cm_str){ first + 1, (size_t)(second - first - 1) };
        signature = (struct cm_str){ second + 1, token.len - (size_t)(second + 1 - token.data) };
        parts->signed_text = (struct cm_str){ token.data, (size_t)(second - token.data) };
        return header.len && payload.len && signature.len &&
               cm_base64url_decode(header, &parts->header) &&
               cm_base64url_decode(payload, &parts->payload) &&
               cm_base64url_decode(signature, &parts->signature) &&
               parts->header.len <= HEADER_MAX && parts->signature.len == CM_ES256_SIZE;
}

/* The parser is recursive and a fiber's stack is small: nesting is bounded before it is followed.
 */
static bool is_flat(const struct cm_buf *text, size_t max_opens)
{
        size_t opens = 0;

        for (size_t i = 0; i < text->len; i++)
                opens += text->data[i] == '{' || text->data[i] == '[';
        return opens <= max_opens;
}

static json_t *parse_object(const struct cm_buf *text, size_t max_opens)
{
        json_t *root;

        if (!is_flat(text, max_opens))
                return NULL;
        root = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, NULL);

        if (!json_is_object(root)) {
                json_decref(root);
                return NULL;
        }
        return root;
}

static bool is_text(const json_t *object, const char *name, const char *want)
{
        const char *text = json_string_value(json_object_get(object, name));

        return text && strcmp(text, want) == 0;
}

/* Exactly alg, typ and kid: whatever else a header may ask for (crit, jwk, jku, x5c, zip …) is not
 * ours. The key's id is copied out. */
static bool check_header(const struct cm_buf *text, char kid_r[KID_MAX + 1])
{
        json_t *header = parse_object(text, 1);
        const char *kid = json_string_value(json_object_get(header, "kid"));
        bool ok = header && json_object_size(header) == 3 && is_text(header, "alg", "ES256") &&
                  is_text(header, "typ", "at+jwt") && kid && strlen(kid) <= KID_MAX;

        if (ok)
                memcpy(kid_r, kid, strlen(kid) + 1);
        json_decref(header);
        return ok;
}

/* ---- signature */

/* OpenSSL takes the DER form of what a JWT carries as r and s. Returns its length, 0 on failure. */
static size_t signature_to_der(const unsigned char raw[CM_ES256_SIZE], unsigned char der[80])
{
        ECDSA_SIG *sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(raw, CM_ES256_SIZE / 2, NULL);
        BIGNUM *s = BN_bin2bn(raw + CM_ES256_SIZE / 2, CM_ES256_SIZE / 2, NULL);
        int len;

        if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
                BN_free(r);
                BN_free(s);
                ECDSA_SIG_free(sig);
                return 0;
        }
        len = i2d_ECDSA_SIG(sig, &der);
        ECDSA_SIG_free(sig);
        return len > 0 ? (size_t)len : 0;
}

static bool check_signature(EVP_PKEY *key, const struct parts *parts)
{
        unsigned char der[80];
        size_t len = signature_to_der((const unsigned char *)parts->signature.data, der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        bool ok =
                len && context &&
                EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, der, len, (const unsigned char *)parts->signed_text.data,
                                 parts->signed_text.len) == 1;

        EVP_MD_CTX_free(context);
        ERR_clear_error();
        return ok;
}

/* ---- claims */

static bool read_uuid(const json_t *claims, const char *name, struct cm_uuid *uuid_r)
{
        const json_t *value = json_object_get(claims, name);

        return json_is_string(value) &&
               cm_uuid_parse((struct cm_str){ json_string_value(value), json_string_length(value) },
                             uuid_r);
}

static bool read_time(const json_t *claims, const char *name, cm_time *time_r)
{
        const json_t *value = json_object_get(claims, name);
        json_int_t seconds = json_integer_value(value);

        if (!json_is_integer(value) || seconds < 0 || seconds > TIME_MAX_S)
                return false;
        *time_r = seconds * CM_SECOND;
        return true;
}

/* RFC 6749 section 3.3: printable ASCII without quote and backslash, so it may go into a header. */
static bool is_scope(const char *scope)
{
        for (; *scope; scope++)
                if (*scope < 0x20 || *scope > 0x7e || *scope == '"' || *scope == '\\')
                        return false;
        return true;
}

static bool read_scope(const json_t *claims, struct cm_claims *claims_r)
{
        const char *scope = json_string_value(json_object_get(claims, "scope"));

        if (!scope || strlen(scope) >= sizeof(claims_r->scope) || !is_scope(scope))
                return false;
        memcpy(claims_r->scope, scope, strlen(scope) + 1);
        return true;
}

static bool read_type(const json_t *claims, struct cm_claims *claims_r)
{
        for (int32_t i = 1; i < (int32_t)CM_COUNT(type_names); i++)
                if (is_text(claims, "type", type_names[i])) {
                        claims_r->type = i;
                        return true;
                }
        return false;
}

static bool read_claims(const json_t *claims, struct cm_claims *claims_r)
{
        return json_is_string(json_object_get(claims, "iss")) &&
               json_is_string(json_object_get(claims, "aud")) &&
               read_uuid(claims, "sub", &claims_r->sub) &&
               read_uuid(claims, "sid", &claims_r->sid) &&
               read_uuid(claims, "tenant", &claims_r->tenant) &&
               read_uuid(claims, "jti", &claims_r->jti) && read_type(claims, claims_r) &&
               read_scope(claims, claims_r) && read_time(claims, "iat", &claims_r->issued_at) &&
               read_time(claims, "exp", &claims_r->expires_at) &&
               claims_r->expires_at > claims_r->issued_at &&
               claims_r->expires_at - claims_r->issued_at <= LIFE_MAX_S * CM_SECOND;
}

static int check_times(const json_t *claims, const struct cm_token_policy *policy, cm_time now,
                       const struct cm_claims *read)
{
        cm_time not_before = read->issued_at;

        if (json_object_get(claims, "nbf") && !read_time(claims, "nbf", &not_before))
                return CM_TOKEN_MALFORMED;
        if (now >= read->expires_at + policy->leeway_us)
                return CM_TOKEN_EXPIRED;
        if (now + policy->leeway_us < read->issued_at || now + policy->leeway_us < not_before)
                return CM_TOKEN_NOT_YET;
        return 0;
}

static int check_claims(const struct cm_buf *payload, const struct cm_token_policy *policy,
                        cm_time now, struct cm_claims *claims_r)
{
        json_t *claims = parse_object(payload, CLAIMS_OPENS);
        int r = 0;

        if (!claims || !read_claims(claims, claims_r))
                r = CM_TOKEN_MALFORMED;
        else if (!is_text(claims, "iss", policy->issuer))
                r = CM_TOKEN_WRONG_ISSUER;
        else if (!is_text(claims, "aud", policy->audience))
                r = CM_TOKEN_WRONG_AUDIENCE;
        else
                r = check_times(claims, policy, now, claims_r);
        json_decref(claims);
        return r;
}

int cm_token_verify(const struct cm_key_set *keys, const struct cm_token_policy *policy,
                    struct cm_str token, cm_time now, struct cm_claims *claims_r)
{
        CM_CLEANUP(parts_deinit) struct parts parts = { 0 };
        char kid[KID_MAX + 1];
        EVP_PKEY *key;

        *claims_r = (struct cm_claims){ 0 };
        if (!split(token, &parts) || !check_header(&parts.header, kid))
                return CM_TOKEN_MALFORMED;
        key = cm_key_set_find(keys, cm_str_from(kid));
        if (!key)
                return CM_TOKEN_UNKNOWN_KEY;
        if (!check_signature(key, &parts))
                return CM_TOKEN_BAD_SIGNATURE;
        return check_claims(&parts.payload, policy, now, claims_r);
}

/* ---- signing */

static int payload_of(const struct cm_token_policy *policy, const struct cm_claims *claims,
                      struct cm_buf *out)
{
        char sub[CM_UUID_TEXT_SIZE], sid[CM_UUID_TEXT_SIZE], tenant[CM_UUID_TEXT_SIZE];
        char jti[CM_UUID_TEXT_SIZE];
        json_t *json;
        char *text;

        if (claims->type < 1 || claims->type >= (int32_t)CM_COUNT(type_names))
                return -CM_E_INTERNAL;
        json = json_pack("{ss ss ss ss ss ss ss ss sI sI}", "iss", policy->issuer, "aud",
                         policy->audience, "sub", cm_uuid_format(&claims->sub, sub), "sid",
                         cm_uuid_format(&claims->sid, sid), "tenant",
                         cm_uuid_format(&claims->tenant, tenant), "jti",
                         cm_uuid_format(&claims->jti, jti), "type", type_names[claims->type],
                         "scope", claims->scope, "iat", (json_int_t)(claims->issued_at / CM_SECOND),
                         "exp", (json_int_t)(claims->expires_at / CM_SECOND));
        text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        json_decref(json);
        if (!text)
                return -CM_E_INTERNAL;
        cm_buf_add_str(out, cm_str_from(text));
        free(text);
        return 0;
}

static bool sign(EVP_PKEY *pkey, struct cm_str text, unsigned char raw_r[CM_ES256_SIZE])
{
        unsigned char der[80];
        const unsigned char *p = der;
        size_t len = sizeof(der);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        ECDSA_SIG *sig = NULL;
        bool ok;

        if (context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, pkey) == 1 &&
            EVP_DigestSign(context, der, &len, (const unsigned char *)text.data, text.len) == 1)
                sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
        ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw_r, CM_ES256_SIZE / 2) > 0 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw_r + CM_ES256_SIZE / 2, CM_ES256_SIZE / 2) > 0;
        ECDSA_SIG_free(sig);
        EVP_MD_CTX_free(context);
        return ok;
}

int cm_token_sign(const struct cm_signing_key *key, const struct cm_token_policy *policy,
                  const struct cm_claims *claims, struct cm_buf *token)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };
        unsigned char signature[CM_ES256_SIZE];
        char header[128];
        size_t start = token->len;
        int len, r;

        r = payload_of(policy, claims, &payload);
        if (r)
                return r;
        len = snprintf(header, sizeof(header),
                       "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                       cm_signing_key_id(key));
        cm_base64url_encode(header, (size_t)len, token);
        cm_buf_add_char(token, '.');
        cm_base64url_encode(payload.data, payload.len, token);
        if (!sign(cm_signing_key_pkey(key),
                  (struct cm_str){ token->data + start, token->len - start }, signature))
                return -CM_E_INTERNAL;
        cm_buf_add_char(token, '.');
        cm_base64url_encode(signature, sizeof(signature), token);
        return 0;
}
