#include "base/str.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void cm_base64url_encode(const void *data, size_t len, struct cm_buf *out)
{
        const unsigned char *bytes = data;
        uint32_t bits = 0;
        int have = 0;

        cm_buf_reserve(out, len / 3 * 4 + 4);
        for (size_t i = 0; i < len; i++) {
                bits = bits << 8 | bytes[i];
                for (have += 8; have >= 6; have -= 6)
                        cm_buf_add_char(out, alphabet[bits >> (have - 6) & 63]);
        }
        if (have)
                cm_buf_add_char(out, alphabet[bits << (6 - have) & 63]);
}

void cm_base64_encode(const void *data, size_t len, struct cm_buf *out)
{
        size_t from = out->len;

        cm_base64url_encode(data, len, out);
        for (size_t i = from; i < out->len; i++)
                if (out->data[i] == '-')
                        out->data[i] = '+';
                else if (out->data[i] == '_')
                        out->data[i] = '/';
        while ((out->len - from) % 4)
                cm_buf_add_char(out, '=');
}

static int digit_value(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == '-')
                return 62;
        return c == '_' ? 63 : -1;
}

bool cm_base64url_decode(struct cm_str text, struct cm_buf *out)
{
        uint32_t bits = 0;
        int have = 0;

        if (text.len % 4 == 1)
                return false;
        for (size_t i = 0; i < text.len; i++) {
                int value = digit_value(text.data[i]);

                if (value < 0)
                        return false;
                bits = bits << 6 | (uint32_t)value;
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        cm_buf_add_char(out, (char)(bits >> have & 0xFF));
                }
        }
        return (bits & ((1U << have) - 1)) == 0;
}

void cm_hex_encode(const void *data, size_t len, char *out)
{
        static const char digits[] = "0123456789abcdef";
        const unsigned char *bytes = data;

        for (size_t i = 0; i < len; i++) {
                out[2 * i] = digits[bytes[i] >> 4];
                out[2 * i + 1] = digits[bytes[i] & 15];
        }
        out[2 * len] = '\0';
}
