#include "codec/text_match.h"

#include <string.h>
#include <utf8proc.h>

#include "base/attr.h"

#define MAX_SOURCE    (16 << 20)
#define MAX_DECOMPOSE 18 /* U+FDFA, the longest there is */

struct out {
        char *data;
        uint32_t *at;
        size_t len, cap;
        struct cm_arena *arena;
};

/* What a single code point becomes where the Unicode data would leave it as it is. */
struct folding {
        uint32_t from;
        const char *to;
};

/* Sorted by code point. */
static const struct folding foldings[] = {
        { 0x60, "'" },    { 0xb4, "'" },   { 0xd7, "x" },    { 0x131, "i" },   { 0x25b, "e" },
        { 0x262, "g" },   { 0x26a, "i" },  { 0x274, "n" },   { 0x280, "r" },   { 0x299, "b" },
        { 0x29c, "h" },   { 0x29f, "l" },  { 0x2b9, "'" },   { 0x2bb, "'" },   { 0x2bc, "'" },
        { 0x2c8, "'" },   { 0x2d0, ":" },  { 0x3b1, "a" },   { 0x3b5, "e" },   { 0x3b7, "n" },
        { 0x3b9, "i" },   { 0x3ba, "k" },  { 0x3bd, "v" },   { 0x3bf, "o" },   { 0x3c1, "p" },
        { 0x3c4, "t" },   { 0x3c5, "u" },  { 0x3c7, "x" },   { 0x430, "a" },   { 0x432, "b" },
        { 0x435, "e" },   { 0x43a, "k" },  { 0x43c, "m" },   { 0x43d, "h" },   { 0x43e, "o" },
        { 0x440, "p" },   { 0x441, "c" },  { 0x442, "t" },   { 0x443, "y" },   { 0x445, "x" },
        { 0x455, "s" },   { 0x456, "i" },  { 0x458, "j" },   { 0x475, "v" },   { 0x4bb, "h" },
        { 0x501, "d" },   { 0x51b, "q" },  { 0x51d, "w" },   { 0x5be, "-" },   { 0x5c0, " " },
        { 0x5c3, "." },   { 0x5da, "כ" },  { 0x5dd, "מ" },   { 0x5df, "נ" },   { 0x5e3, "פ" },
        { 0x5e5, "צ" },   { 0x5f3, "'" },  { 0x5f4, "\"" },  { 0x1d00, "a" },  { 0x1d04, "c" },
        { 0x1d05, "d" },  { 0x1d07, "e" }, { 0x1d0a, "j" },  { 0x1d0b, "k" },  { 0x1d0d, "m" },
        { 0x1d0f, "o" },  { 0x1d18, "p" }, { 0x1d1b, "t" },  { 0x1d1c, "u" },  { 0x1d20, "v" },
        { 0x1d21, "w" },  { 0x1d22, "z" }, { 0x2010, "-" },  { 0x2011, "-" },  { 0x2012, "-" },
        { 0x2013, "-" },  { 0x2014, "-" }, { 0x2015, "-" },  { 0x2018, "'" },  { 0x2019, "'" },
        { 0x201a, "'" },  { 0x201b, "'" }, { 0x201c, "\"" }, { 0x201d, "\"" }, { 0x201e, "\"" },
        { 0x201f, "\"" }, { 0x2032, "'" }, { 0x2033, "\"" }, { 0x2035, "'" },  { 0x2044, "/" },
        { 0x2212, "-" },  { 0x2215, "/" }, { 0x2217, "*" },  { 0x22c5, "*" },  { 0x2715, "x" },
        { 0x2716, "x" },
};

static const char *folding_of(uint32_t c)
{
        size_t low = 0, high = CM_COUNT(foldings);

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (foldings[middle].from == c)
                        return foldings[middle].to;
                if (foldings[middle].from < c)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

static void put(struct out *out, const char *bytes, size_t len, uint32_t at)
{
        if (out->len + len + 1 > out->cap) {
                size_t cap = 2 * out->cap + len + 64;
                char *data = cm_arena_alloc(out->arena, cap);
                uint32_t *places = cm_arena_array(out->arena, cap, sizeof(*places));

                if (out->len) {
                        memcpy(data, out->data, out->len);
                        memcpy(places, out->at, out->len * sizeof(*places));
                }
                out->data = data;
                out->at = places;
                out->cap = cap;
        }
        for (size_t i = 0; i < len; i++) {
                out->data[out->len] = bytes[i];
                out->at[out->len++] = at;
        }
}

static void put_folded(struct out *out, uint32_t c, uint32_t at)
{
        const char *folding = folding_of(c);
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t len;

        if (folding) {
                put(out, folding, strlen(folding), at);
                return;
        }
        len = utf8proc_encode_char((utf8proc_int32_t)c, bytes);
        put(out, (const char *)bytes, (size_t)len, at);
}

static void fold(struct out *out, uint32_t c, uint32_t at)
{
        const utf8proc_option_t options = UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD |
                                          UTF8PROC_STRIPMARK | UTF8PROC_IGNORE;
        utf8proc_int32_t parts[MAX_DECOMPOSE];
        utf8proc_ssize_t count;
        int boundary = 0;

        if (folding_of(c)) {
                put_folded(out, c, at);
                return;
        }
        count = utf8proc_decompose_char((utf8proc_int32_t)c, parts, MAX_DECOMPOSE, options,
                                        &boundary);
        /* Not assigned by this Unicode version, or longer than there is: as it is. */
        if (count < 0 || count > MAX_DECOMPOSE) {
                parts[0] = (utf8proc_int32_t)c;
                count = 1;
        }
        for (utf8proc_ssize_t i = 0; i < count; i++)
                put_folded(out, (uint32_t)parts[i], at);
}

uint32_t cm_utf8_next(struct cm_str text, size_t *at)
{
        const unsigned char *p = (const unsigned char *)text.data + *at;

        if (p[0] < 0x80) {
                *at += 1;
                return p[0];
        }
        if (p[0] < 0xe0) {
                *at += 2;
                return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        }
        if (p[0] < 0xf0) {
                *at += 3;
                return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        }
        *at += 4;
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
               (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

bool cm_text_match(struct cm_arena *arena, struct cm_str source, struct cm_match_text *match_r)
{
        struct out out = { .arena = arena };
        size_t at = 0;

        if (source.len > MAX_SOURCE || !cm_utf8_is_valid(source))
                return false;
        out.cap = source.len + 1;
        out.data = cm_arena_alloc(arena, out.cap);
        out.at = cm_arena_array(arena, out.cap, sizeof(*out.at));
        while (at < source.len) {
                uint32_t start = (uint32_t)at, c = cm_utf8_next(source, &at);
                char lower = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);

                if (c < 0x80 && c != 0x60)
                        put(&out, &lower, 1, start);
                else
                        fold(&out, c, start);
        }
        put(&out, "", 1, (uint32_t)source.len);
        *match_r = (struct cm_match_text){ { out.data, out.len - 1 }, out.at };
        return true;
}
