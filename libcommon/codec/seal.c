#include "codec/seal.h"

#include <sodium.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/uuid.h"

/*
 * Sealed form, base64url of: version (1), length of the key id, key id, nonce (24), ciphertext with
 * its tag (16). Version and key id are authenticated together with the context. The nonce is
 * random: 192 bits never meet again.
 */
#define VERSION  1
#define KEY_SIZE crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG      crypto_aead_xchacha20poly1305_ietf_ABYTES
#define MAX_ID   32
#define MAX_KEYS 16

struct key {
        char id[MAX_ID];
        size_t id_len;
        unsigned char bytes[KEY_SIZE];
};

struct cm_seal_keys {
        size_t count;
        struct key items[MAX_KEYS];
};

static const struct key *find(const struct cm_seal_keys *keys, struct cm_str id)
{
        for (size_t i = 0; i < keys->count; i++)
                if (cm_str_equal((struct cm_str){ keys->items[i].id, keys->items[i].id_len }, id))
                        return &keys->items[i];
        return NULL;
}

static bool is_id(struct cm_str id)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

        for (size_t i = 0; i < id.len; i++)
                if (!memchr(digits, id.data[i], sizeof(digits) - 1))
                        return false;
        return id.len > 0 && id.len <= MAX_ID;
}

static bool add_key(struct cm_seal_keys *keys, struct cm_str text)
{
        struct cm_buf bytes = { 0 };
        struct cm_str id;
        struct key *key;
        bool ok = cm_str_split(&text, ':', &id) && is_id(id) && !find(keys, id) &&
                  keys->count < MAX_KEYS && text.data && cm_base64url_decode(text, &bytes) &&
                  bytes.len == KEY_SIZE;

        if (ok) {
                key = &keys->items[keys->count++];
                memcpy(key->id, id.data, id.len);
                key->id_len = id.len;
                memcpy(key->bytes, bytes.data, KEY_SIZE);
        }
        if (bytes.data)
                cm_wipe(bytes.data, bytes.cap);
        cm_buf_deinit(&bytes);
        return ok;
}

int cm_seal_keys_parse(struct cm_str text, struct cm_seal_keys **keys_r)
{
        struct cm_seal_keys *keys;
        struct cm_str item;

        if (sodium_init() < 0)
                return -CM_E_INTERNAL;
        keys = CM_NEW(struct cm_seal_keys);
        while (cm_str_split(&text, ',', &item)) {
                if (!add_key(keys, item)) {
                        cm_seal_keys_free(&keys);
                        return -CM_E_MALFORMED;
                }
        }
        if (keys->count == 0) {
                cm_seal_keys_free(&keys);
                return -CM_E_MALFORMED;
        }
        *keys_r = keys;
        return 0;
}

void cm_seal_keys_free(struct cm_seal_keys **keys)
{
        if (!*keys)
                return;
        cm_wipe(*keys, sizeof(**keys));
        cm_free(*keys);
        *keys = NULL;
}

/* What is authenticated: version, length, key id, context. */
static void add_head(struct cm_buf *out, const struct key *key)
{
        cm_buf_add_char(out, VERSION);
        cm_buf_add_char(out, (char)key->id_len);
        cm_buf_add(out, key->id, key->id_len);
}

void cm_seal(const struct cm_seal_keys *keys, struct cm_str context, struct cm_str plain,
             struct cm_buf *sealed)
{
        const struct key *key = &keys->items[0];
        CM_CLEANUP(cm_buf_deinit) struct cm_buf bound = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf raw = { 0 };
        unsigned char nonce[NONCE];
        unsigned long long len;

        add_head(&bound, key);
        cm_buf_add_str(&raw, cm_buf_str(&bound));
        cm_buf_add_str(&bound, context);
        cm_random(nonce, sizeof(nonce));
        cm_buf_add(&raw, nonce, sizeof(nonce));
        cm_buf_reserve(&raw, plain.len + TAG);
        (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
                (unsigned char *)raw.data + raw.len, &len, (const unsigned char *)plain.data,
                plain.len, (const unsigned char *)bound.data, bound.len, NULL, nonce, key->bytes);
        raw.len += (size_t)len;
        cm_base64url_encode(raw.data, raw.len, sealed);
}

static int open_box(const struct key *key, struct cm_str context, struct cm_str box,
                    struct cm_buf *plain)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf bound = { 0 };
        const unsigned char *nonce = (const unsigned char *)box.data;
        unsigned long long len;

        add_head(&bound, key);
        cm_buf_add_str(&bound, context);
        cm_buf_reserve(plain, box.len - NONCE - TAG + 1);
        if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)plain->data + plain->len,
                                                       &len, NULL, nonce + NONCE, box.len - NONCE,
                                                       (const unsigned char *)bound.data, bound.len,
                                                       nonce, key->bytes) != 0)
                return CM_SEAL_BROKEN;
        plain->len += (size_t)len;
        plain->data[plain->len] = '\0';
        return 0;
}

int cm_unseal(const struct cm_seal_keys *keys, struct cm_str context, struct cm_str sealed,
              struct cm_buf *plain)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf raw = { 0 };
        const struct key *key;
        size_t id_len;

        if (!sealed.data || !cm_base64url_decode(sealed, &raw) || raw.len < 2 ||
            raw.data[0] != VERSION)
                return CM_SEAL_BROKEN;
        id_len = (unsigned char)raw.data[1];
        if (raw.len < 2 + id_len + NONCE + TAG)
                return CM_SEAL_BROKEN;
        key = find(keys, (struct cm_str){ raw.data + 2, id_len });
        if (!key)
                return CM_SEAL_UNKNOWN_KEY;
        return open_box(key, context,
                        (struct cm_str){ raw.data + 2 + id_len, raw.len - 2 - id_len }, plain);
}
