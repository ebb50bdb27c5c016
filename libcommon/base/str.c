#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct cm_str cm_str_from(const char *text)
{
        return (struct cm_str){ text, text ? strlen(text) : 0 };
}

bool cm_str_equal(struct cm_str a, struct cm_str b)
{
        return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

bool cm_str_equal_nocase(struct cm_str a, struct cm_str b)
{
        if (a.len != b.len)
                return false;
        for (size_t i = 0; i < a.len; i++) {
                unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];

                if (x >= 'A' && x <= 'Z')
                        x |= 0x20;
                if (y >= 'A' && y <= 'Z')
                        y |= 0x20;
                if (x != y)
                        return false;
        }
        return true;
}

bool cm_str_starts(struct cm_str text, struct cm_str prefix)
{
        return text.len >= prefix.len &&
               (!prefix.len || memcmp(text.data, prefix.data, prefix.len) == 0);
}

bool cm_str_split(struct cm_str *rest, char separator, struct cm_str *part_r)
{
        const char *found;

        if (!rest->data)
                return false;
        found = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
        if (!found) {
                *part_r = *rest;
                *rest = CM_STR_NONE;
                return true;
        }
        *part_r = (struct cm_str){ rest->data, (size_t)(found - rest->data) };
        rest->len -= part_r->len + 1;
        rest->data = found + 1;
        return true;
}

static bool is_blank(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

struct cm_str cm_str_trim(struct cm_str text)
{
        while (text.len && is_blank(text.data[0])) {
                text.data++;
                text.len--;
        }
        while (text.len && is_blank(text.data[text.len - 1]))
                text.len--;
        return text;
}

bool cm_str_to_int(struct cm_str text, int64_t *value_r)
{
        bool negative = text.len && text.data[0] == '-';
        size_t i = text.len && (negative || text.data[0] == '+') ? 1 : 0;
        int64_t value = 0;

        if (i == text.len)
                return false;
        for (; i < text.len; i++) {
                int digit = text.data[i] - '0';

                if (digit < 0 || digit > 9)
                        return false;
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_sub_overflow(value, digit, &value))
                        return false;
        }
        /* Counted downwards, because the smallest number has no positive twin. */
        if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
                return false;
        *value_r = value;
        return true;
}

size_t cm_int_format(int64_t value, char out[CM_INT_TEXT_SIZE])
{
        char digits[CM_INT_TEXT_SIZE], *end = digits + sizeof(digits), *p = end;
        uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

        do {
                *--p = (char)('0' + rest % 10);
                rest /= 10;
        } while (rest);
        if (value < 0)
                *--p = '-';
        memcpy(out, p, (size_t)(end - p));
        out[end - p] = '\0';
        return (size_t)(end - p);
}

bool cm_equal_secret(const void *a, const void *b, size_t len)
{
        const volatile unsigned char *x = a, *y = b;
        unsigned char difference = 0;

        for (size_t i = 0; i < len; i++)
                difference |= x[i] ^ y[i];
        return difference == 0;
}

void cm_buf_deinit(struct cm_buf *buf)
{
        cm_free(buf->data);
        *buf = (struct cm_buf){ 0 };
}

void cm_buf_reset(struct cm_buf *buf)
{
        buf->len = 0;
        if (buf->data)
                buf->data[0] = '\0';
}

void cm_buf_reserve(struct cm_buf *buf, size_t more)
{
        size_t need = buf->len + more + 1;
        size_t cap = buf->cap ? buf->cap : 128;

        if (need <= buf->cap)
                return;
        while (cap < need)
                cap *= 2;
        buf->data = cm_realloc(buf->data, cap);
        buf->cap = cap;
}

void cm_buf_add(struct cm_buf *buf, const void *data, size_t len)
{
        cm_buf_reserve(buf, len);
        if (len)
                memcpy(buf->data + buf->len, data, len);
        buf->len += len;
        buf->data[buf->len] = '\0';
}

void cm_buf_add_str(struct cm_buf *buf, struct cm_str text)
{
        cm_buf_add(buf, text.data, text.len);
}

void cm_buf_add_char(struct cm_buf *buf, char c)
{
        cm_buf_add(buf, &c, 1);
}

void cm_buf_add_int(struct cm_buf *buf, int64_t value)
{
        cm_buf_reserve(buf, CM_INT_TEXT_SIZE);
        buf->len += cm_int_format(value, buf->data + buf->len);
}

void cm_buf_printf(struct cm_buf *buf, const char *format, ...)
{
        va_list args, again;
        int len;

        cm_buf_reserve(buf, 0);
        va_start(args, format);
        va_copy(again, args);
        len = vsnprintf(buf->data + buf->len, buf->cap - buf->len, format, args);
        va_end(args);
        CM_ASSERT(len >= 0);
        if (buf->len + (size_t)len >= buf->cap) {
                cm_buf_reserve(buf, (size_t)len);
                vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        }
        va_end(again);
        buf->len += (size_t)len;
}

void cm_buf_consume(struct cm_buf *buf, size_t len)
{
        CM_ASSERT(len <= buf->len);
        if (!len)
                return;
        memmove(buf->data, buf->data + len, buf->len - len);
        buf->len -= len;
        buf->data[buf->len] = '\0';
}

struct cm_str cm_buf_str(const struct cm_buf *buf)
{
        return (struct cm_str){ buf->data ? buf->data : "", buf->len };
}
