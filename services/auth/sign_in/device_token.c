#include "device_token.h"

#include <string.h>

#include "base/uuid.h"
#include "codec/digest.h"

/* base64url of: when it was made (seconds, 8 bytes big-endian), nonce (16), HMAC (32). */
enum { MADE = 8, NONCE = 16, HEAD = MADE + NONCE, SIZE = HEAD + CM_SHA256_SIZE };

static void authenticate(struct cm_str secret, struct cm_str email_key, const uint8_t head[HEAD],
                         uint8_t mac_r[CM_SHA256_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };

        cm_buf_add_str(&text, CM_STR("device token "));
        cm_buf_add(&text, head, HEAD);
        cm_buf_add_str(&text, email_key);
        cm_hmac_sha256(secret, text.data, text.len, mac_r);
}

const char *device_token_make(struct cm_str secret, struct cm_str email_key, cm_time now,
                              char out[DEVICE_TOKEN_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        uint64_t seconds = (uint64_t)(now / CM_SECOND);
        uint8_t bytes[SIZE];

        for (int i = 0; i < MADE; i++)
                bytes[i] = (uint8_t)(seconds >> (8 * (MADE - 1 - i)));
        cm_random(bytes + MADE, NONCE);
        authenticate(secret, email_key, bytes, bytes + HEAD);
        cm_base64url_encode(bytes, sizeof(bytes), &text);
        memcpy(out, text.data, text.len);
        out[text.len] = '\0';
        return out;
}

bool device_token_is_good(struct cm_str secret, struct cm_str email_key, struct cm_str token,
                          cm_time now, int64_t life_us)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf bytes = { 0 };
        uint8_t mac[CM_SHA256_SIZE];
        const uint8_t *head;
        uint64_t made = 0;

        if (token.len >= DEVICE_TOKEN_SIZE || !cm_base64url_decode(token, &bytes) ||
            bytes.len != SIZE)
                return false;
        head = (const uint8_t *)bytes.data;
        authenticate(secret, email_key, head, mac);
        if (!cm_equal_secret(mac, head + HEAD, sizeof(mac)))
                return false;
        for (int i = 0; i < MADE; i++)
                made = made << 8 | head[i];
        return now / CM_SECOND - (int64_t)made < life_us / CM_SECOND;
}
