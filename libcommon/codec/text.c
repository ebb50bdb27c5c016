#include "codec/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_ascii(struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++)
                if ((unsigned char)text.data[i] >= 0x80)
                        return false;
        return true;
}

static struct cm_str map(struct cm_arena *arena, struct cm_str text, utf8proc_option_t options)
{
        utf8proc_uint8_t *mapped;
        utf8proc_ssize_t len;
        struct cm_str result;

        if (!text.data || !cm_utf8_is_valid(text))
                return CM_STR_NONE;
        len = utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.len, &mapped,
                           options);
        if (len < 0)
                return CM_STR_NONE;
        result = cm_arena_str(arena, (struct cm_str){ (const char *)mapped, (size_t)len });
        free(mapped);
        return result;
}

struct cm_str cm_text_nfc(struct cm_arena *arena, struct cm_str text)
{
        if (text.data && is_ascii(text))
                return cm_arena_str(arena, text);
        return map(arena, text, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}

struct cm_str cm_text_fold(struct cm_arena *arena, struct cm_str text)
{
        return map(arena, text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
}

struct cm_str cm_text_bare(struct cm_arena *arena, struct cm_str text)
{
        struct cm_str copy;
        char *bytes;

        if (!text.data || !is_ascii(text))
                return map(arena, text,
                           UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE |
                                   UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | UTF8PROC_STRIPMARK);
        copy = cm_arena_str(arena, text);
        bytes = (char *)copy.data;
        for (size_t i = 0; i < copy.len; i++)
                if (bytes[i] >= 'A' && bytes[i] <= 'Z')
                        bytes[i] += 'a' - 'A';
        return copy;
}

static bool two_digits(const char *p, int max)
{
        return isdigit((unsigned char)p[0]) && isdigit((unsigned char)p[1]) &&
               (p[0] - '0') * 10 + (p[1] - '0') <= max;
}

bool cm_clock_time_is_valid(struct cm_str text)
{
        return text.len == 5 && two_digits(text.data, 23) && text.data[2] == ':' &&
               two_digits(text.data + 3, 59);
}

/* unreserved, gen-delims and sub-delims of RFC 3986 */
static bool is_uri_char(char c)
{
        return isalnum((unsigned char)c) || (c && strchr("-._~:/?#[]@!$&'()*+,;=", c));
}

static size_t scheme_length(struct cm_str text)
{
        size_t i = 0;

        if (!text.len || !isalpha((unsigned char)text.data[0]))
                return 0;
        while (i < text.len &&
               (isalnum((unsigned char)text.data[i]) || strchr("+-.", text.data[i])))
                i++;
        return i < text.len && text.data[i] == ':' ? i : 0;
}

bool cm_uri_is_valid(struct cm_str text)
{
        size_t scheme = scheme_length(text), fragments = 0;

        if (!scheme || scheme + 1 == text.len)
                return false;
        for (size_t i = scheme + 1; i < text.len; i++) {
                char c = text.data[i];

                fragments += c == '#';
                if (c == '%') {
                        if (i + 2 >= text.len || !isxdigit((unsigned char)text.data[i + 1]) ||
                            !isxdigit((unsigned char)text.data[i + 2]))
                                return false;
                } else if (!is_uri_char(c)) {
                        return false;
                }
        }
        return fragments <= 1;
}

/* C0, DEL; in two bytes C2 80 to C2 9F: C1; in three E2 80 A8 and A9: line and paragraph. */
bool cm_line_is_valid(struct cm_str text)
{
        const unsigned char *p = (const unsigned char *)text.data;

        for (size_t i = 0; i < text.len; i++) {
                if (p[i] < 0x20 || p[i] == 0x7f)
                        return false;
                if (p[i] == 0xc2 && i + 1 < text.len && p[i + 1] < 0xa0)
                        return false;
                if (p[i] == 0xe2 && i + 2 < text.len && p[i + 1] == 0x80 &&
                    (p[i + 2] == 0xa8 || p[i + 2] == 0xa9))
                        return false;
        }
        return is_ascii(text) || cm_utf8_is_valid(text);
}
