#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/token_internal.h"

/* Keys of access tokens: P-256, in JWK (RFC 7517) and PKCS #8. Anything else is refused. */

#define MAX_KEYS   16
#define MAX_KID    128
#define COORDINATE 32
#define GROUP      "prime256v1"

struct cm_key_set {
        size_t count;
        struct {
                char id[MAX_KID + 1];
                EVP_PKEY *pkey;
        } items[MAX_KEYS];
};

struct cm_signing_key {
        EVP_PKEY *pkey;
        char id[44]; /* base64url of a SHA-256 */
        char x[44], y[44];
};

static const char *text_of(const json_t *object, const char *name)
{
        return json_string_value(json_object_get(object, name));
}

static bool is_text(const json_t *object, const char *name, const char *want)
{
        const char *text = text_of(object, name);

        return text && strcmp(text, want) == 0;
}

static bool decode_coordinate(const json_t *jwk, const char *name, unsigned char *out)
{
        struct cm_buf bytes = { 0 };
        const char *text = text_of(jwk, name);
        bool ok = text && cm_base64url_decode(cm_str_from(text), &bytes) && bytes.len == COORDINATE;

        if (ok)
                memcpy(out, bytes.data, COORDINATE);
        cm_buf_deinit(&bytes);
        return ok;
}

/* NULL when the point is not on the curve. */
static EVP_PKEY *pkey_from_point(const unsigned char point[1 + 2 * COORDINATE])
{
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){ GROUP }, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point,
                                                  1 + 2 * COORDINATE),
                OSSL_PARAM_construct_end(),
        };
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        EVP_PKEY *pkey = NULL;

        if (context && EVP_PKEY_fromdata_init(context) == 1)
                (void)EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params);
        EVP_PKEY_CTX_free(context);
        return pkey;
}

static bool is_kid(const char *id)
{
        return id && *id && strlen(id) <= MAX_KID &&
               id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] ==
                       '\0';
}

static bool add_key(struct cm_key_set *keys, const json_t *jwk)
{
        unsigned char point[1 + 2 * COORDINATE] = { 4 }; /* uncompressed */
        const char *id = text_of(jwk, "kid");

        if (!is_text(jwk, "kty", "EC") || !is_text(jwk, "crv", "P-256") ||
            !is_text(jwk, "alg", "ES256") || !is_text(jwk, "use", "sig") ||
            json_object_get(jwk, "d") || !is_kid(id))
                return false;
        if (cm_key_set_find(keys, cm_str_from(id)) || !decode_coordinate(jwk, "x", point + 1) ||
            !decode_coordinate(jwk, "y", point + 1 + COORDINATE))
                return false;
        memcpy(keys->items[keys->count].id, id, strlen(id) + 1); /* is_kid() knows its length */
        keys->items[keys->count].pkey = pkey_from_point(point);
        return keys->items[keys->count++].pkey != NULL;
}

int cm_key_set_parse(struct cm_str jwks_json, struct cm_key_set **keys_r)
{
        json_t *root = json_loadb(jwks_json.data ? jwks_json.data : "", jwks_json.len,
                                  JSON_REJECT_DUPLICATES, NULL);
        const json_t *list = json_object_get(root, "keys");
        struct cm_key_set *keys = CM_NEW(struct cm_key_set);
        bool ok = json_is_array(list) && json_array_size(list) <= MAX_KEYS;

        for (size_t i = 0; ok && i < json_array_size(list); i++)
                ok = add_key(keys, json_array_get(list, i));
        json_decref(root);
        if (!ok) {
                cm_key_set_free(&keys);
                return -CM_E_MALFORMED;
        }
        *keys_r = keys;
        return 0;
}

void cm_key_set_free(struct cm_key_set **keys)
{
        if (!*keys)
                return;
        for (size_t i = 0; i < (*keys)->count; i++)
                EVP_PKEY_free((*keys)->items[i].pkey);
        cm_free(*keys);
        *keys = NULL;
}

EVP_PKEY *cm_key_set_find(const struct cm_key_set *keys, struct cm_str id)
{
        for (size_t i = 0; i < keys->count; i++)
                if (cm_str_equal(cm_str_from(keys->items[i].id), id))
                        return keys->items[i].pkey;
        return NULL;
}

/* ---- the signing side */

static void encode_fixed(const unsigned char bytes[COORDINATE], char out[44])
{
        struct cm_buf text = { 0 };

        cm_base64url_encode(bytes, COORDINATE, &text);
        memcpy(out, text.data, 44); /* 43 digits and the NUL */
        cm_buf_deinit(&text);
}

/* RFC 7638: the digest of the required members in lexicographic order. */
static void thumbprint(struct cm_signing_key *key)
{
        unsigned char digest[32];
        char text[160];
        int len = snprintf(text, sizeof(text),
                           "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", key->x,
                           key->y);

        (void)EVP_Digest(text, (size_t)len, digest, NULL, EVP_sha256(), NULL);
        encode_fixed(digest, key->id);
}

static bool is_p256(EVP_PKEY *pkey)
{
        char group[32];

        return pkey && EVP_PKEY_is_a(pkey, "EC") &&
               EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 &&
               strcmp(group, GROUP) == 0;
}

/* Takes the key over, whatever comes of it. */
static int signing_key_from(EVP_PKEY *pkey, struct cm_signing_key **key_r)
{
        unsigned char point[1 + 2 * COORDINATE];
        struct cm_signing_key *key;
        size_t len = 0;

        if (!is_p256(pkey) ||
            EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                            &len) != 1 ||
            len != sizeof(point) || point[0] != 4) {
                EVP_PKEY_free(pkey);
                return -CM_E_MALFORMED;
        }
        key = CM_NEW(struct cm_signing_key);
        key->pkey = pkey;
        encode_fixed(point + 1, key->x);
        encode_fixed(point + 1 + COORDINATE, key->y);
        thumbprint(key);
        *key_r = key;
        return 0;
}

int cm_signing_key_generate(struct cm_signing_key **key_r)
{
        EVP_PKEY *pkey = EVP_EC_gen("P-256");

        return pkey ? signing_key_from(pkey, key_r) : -CM_E_INTERNAL;
}

/* A key with a passphrase is refused instead of asking the terminal for one. */
static int no_passphrase(char *out CM_UNUSED, int size CM_UNUSED, int writing CM_UNUSED,
                         void *arg CM_UNUSED)
{
        return -1;
}

int cm_signing_key_parse(struct cm_str pem, struct cm_signing_key **key_r)
{
        BIO *bio = BIO_new_mem_buf(pem.data ? pem.data : "", (int)pem.len);
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

        BIO_free(bio);
        return signing_key_from(pkey, key_r);
}

void cm_signing_key_free(struct cm_signing_key **key)
{
        if (!*key)
                return;
        EVP_PKEY_free((*key)->pkey);
        cm_free(*key);
        *key = NULL;
}

const char *cm_signing_key_id(const struct cm_signing_key *key)
{
        return key->id;
}

EVP_PKEY *cm_signing_key_pkey(const struct cm_signing_key *key)
{
        return key->pkey;
}

void cm_signing_key_pem(const struct cm_signing_key *key, struct cm_buf *pem)
{
        BIO *bio = BIO_new(BIO_s_secmem());
        char *data;
        long len;

        if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
            (len = BIO_get_mem_data(bio, &data)) > 0)
                cm_buf_add(pem, data, (size_t)len);
        BIO_free(bio);
}

void cm_signing_key_jwk(const struct cm_signing_key *key, struct cm_buf *json)
{
        cm_buf_printf(json,
                      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"use\":\"sig\","
                      "\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
                      key->id, key->x, key->y);
}
