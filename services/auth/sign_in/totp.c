#include "totp.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "codec/digest.h"

enum { MILLION = 1000000 /* 10^TOTP_DIGITS */ };

uint32_t totp_code(const uint8_t secret[TOTP_SECRET_SIZE], uint64_t step)
{
        const struct cm_str key = { (const char *)secret, TOTP_SECRET_SIZE };
        uint8_t counter[8];
        uint8_t mac[CM_SHA1_SIZE];
        const uint8_t *at;

        for (size_t i = 0; i < sizeof(counter); i++)
                counter[i] = (uint8_t)(step >> (8 * (sizeof(counter) - 1 - i)));
        cm_hmac_sha1(key, counter, sizeof(counter), mac);
        at = mac + (mac[sizeof(mac) - 1] & 0x0f);
        return (((uint32_t)at[0] & 0x7f) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 |
                (uint32_t)at[3]) %
               MILLION;
}

bool totp_matches(const uint8_t secret[TOTP_SECRET_SIZE], struct cm_str code, cm_time now,
                  int64_t after_step, int64_t *step_r)
{
        int64_t present = now / CM_SECOND / TOTP_STEP_S;
        bool found = false;

        if (code.len != TOTP_DIGITS)
                return false;
        for (int64_t step = present - 1; step <= present + 1; step++) {
                uint32_t value = totp_code(secret, (uint64_t)step);
                char text[TOTP_DIGITS];

                for (int i = TOTP_DIGITS - 1; i >= 0; i--, value /= 10)
                        text[i] = (char)('0' + value % 10);
                if (cm_equal_secret(text, code.data, TOTP_DIGITS) && step > after_step) {
                        *step_r = step;
                        found = true;
                }
        }
        return found;
}

struct cm_str totp_secret_text(struct cm_arena *arena, const uint8_t secret[TOTP_SECRET_SIZE])
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        char text[TOTP_SECRET_SIZE * 8 / 5];
        struct cm_str kept;
        uint32_t bits = 0;
        size_t len = 0;
        int held = 0;

        for (size_t i = 0; i < TOTP_SECRET_SIZE; i++) {
                bits = bits << 8 | secret[i];
                for (held += 8; held >= 5; held -= 5)
                        text[len++] = digits[bits >> (held - 5) & 31];
        }
        kept = cm_arena_str(arena, (struct cm_str){ text, len });
        cm_wipe(text, sizeof(text));
        return kept;
}

/* Percent-encoded but for what RFC 3986 calls unreserved. */
static void add_encoded(struct cm_buf *out, struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.data[i];

                if (c < 0x80 && (isalnum(c) || strchr("-._~", c)))
                        cm_buf_add_char(out, (char)c);
                else
                        cm_buf_printf(out, "%%%02X", c);
        }
}

struct cm_str totp_uri(struct cm_arena *arena, struct cm_str issuer, struct cm_str account,
                       const uint8_t secret[TOTP_SECRET_SIZE])
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf uri = { 0 };
        struct cm_str kept;

        cm_buf_add_str(&uri, CM_STR("otpauth://totp/"));
        add_encoded(&uri, issuer);
        cm_buf_add_char(&uri, ':');
        add_encoded(&uri, account);
        cm_buf_add_str(&uri, CM_STR("?secret="));
        cm_buf_add_str(&uri, totp_secret_text(arena, secret));
        cm_buf_add_str(&uri, CM_STR("&issuer="));
        add_encoded(&uri, issuer);
        kept = cm_arena_str(arena, cm_buf_str(&uri));
        cm_wipe(uri.data, uri.len);
        return kept;
}
