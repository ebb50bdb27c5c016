#include <string.h>

#include "base/str.h"

/* Bytes in the sequence that starts with `lead`, and the allowed range of its second byte, after
 * table 3-7 of the Unicode standard (no overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t sequence(unsigned char lead, unsigned char *low_r, unsigned char *high_r)
{
        *low_r = 0x80;
        *high_r = 0xBF;
        if (lead >= 0xC2 && lead <= 0xDF)
                return 2;
        if (lead >= 0xE0 && lead <= 0xEF) {
                if (lead == 0xE0)
                        *low_r = 0xA0;
                if (lead == 0xED)
                        *high_r = 0x9F;
                return 3;
        }
        if (lead >= 0xF0 && lead <= 0xF4) {
                if (lead == 0xF0)
                        *low_r = 0x90;
                if (lead == 0xF4)
                        *high_r = 0x8F;
                return 4;
        }
        return 0;
}

static size_t skip_ascii(const unsigned char *bytes, size_t i, size_t len)
{
        uint64_t word;

        while (i + sizeof(word) <= len) {
                memcpy(&word, bytes + i, sizeof(word));
                if (word & UINT64_C(0x8080808080808080))
                        break;
                i += sizeof(word);
        }
        while (i < len && bytes[i] < 0x80)
                i++;
        return i;
}

bool cm_utf8_is_valid(struct cm_str text)
{
        const unsigned char *bytes = (const unsigned char *)text.data;
        size_t i = 0;

        while ((i = skip_ascii(bytes, i, text.len)) < text.len) {
                unsigned char low, high;
                size_t length = sequence(bytes[i], &low, &high);

                if (!length || length > text.len - i || bytes[i + 1] < low || bytes[i + 1] > high)
                        return false;
                for (size_t k = 2; k < length; k++)
                        if ((bytes[i + k] & 0xC0) != 0x80)
                                return false;
                i += length;
        }
        return true;
}

size_t cm_utf8_length(struct cm_str text)
{
        size_t count = 0;

        for (size_t i = 0; i < text.len; i++)
                count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
        return count;
}
