#include "apple_text.h"

#include <string.h>

#include "base/attr.h"

/* ---- text */

static void put(struct cm_buf *out, const char *bytes, size_t len)
{
        memcpy(out->data + out->len, bytes, len);
        out->len += len;
}

static void put_code_point(struct cm_buf *out, uint32_t c)
{
        char bytes[4];
        size_t len;

        if (c < 0x80) {
                bytes[0] = (char)c;
                len = 1;
        } else if (c < 0x800) {
                bytes[0] = (char)(0xC0 | c >> 6);
                bytes[1] = (char)(0x80 | (c & 0x3F));
                len = 2;
        } else if (c < 0x10000) {
                bytes[0] = (char)(0xE0 | c >> 12);
                bytes[1] = (char)(0x80 | (c >> 6 & 0x3F));
                bytes[2] = (char)(0x80 | (c & 0x3F));
                len = 3;
        } else {
                bytes[0] = (char)(0xF0 | c >> 18);
                bytes[1] = (char)(0x80 | (c >> 12 & 0x3F));
                bytes[2] = (char)(0x80 | (c >> 6 & 0x3F));
                bytes[3] = (char)(0x80 | (c & 0x3F));
                len = 4;
        }
        put(out, bytes, len);
}

/* A control character (C0, DEL or C1): a blank when it is white space, nothing else. */
static bool put_control(struct cm_buf *out, uint32_t c)
{
        if (c >= 0x20 && (c < 0x7F || c >= 0xA0))
                return false;
        if (c == '\t' || c == '\n' || c == '\r')
                put(out, " ", 1);
        return true;
}

static const struct {
        struct cm_str name;
        char c;
} entities[] = {
        { { "amp", 3 }, '&' },  { { "lt", 2 }, '<' },    { { "gt", 2 }, '>' },
        { { "quot", 4 }, '"' }, { { "apos", 4 }, '\'' },
};

static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* "#65" or "#x41" as a code point; 0 when it is none, or no character. */
static uint32_t character_reference(struct cm_str name)
{
        int base = name.len > 1 && name.data[1] == 'x' ? 16 : 10;
        size_t i = base == 16 ? 2 : 1;
        uint32_t c = 0;

        if (i >= name.len)
                return 0;
        for (; i < name.len; i++) {
                int digit = digit_value(name.data[i]);

                if (digit >= base || c > 0x10FFFF)
                        return 0;
                c = c * (uint32_t)base + (uint32_t)digit;
        }
        return c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) ? 0 : c;
}

/* Decodes the reference at raw[0] == '&'; returns how many bytes it has, 1 when it is none. */
static size_t decode_reference(struct cm_str raw, struct cm_buf *out)
{
        size_t window = raw.len < 12 ? raw.len : 12;
        const char *end = memchr(raw.data, ';', window);
        struct cm_str name = { raw.data + 1, end ? (size_t)(end - raw.data - 1) : 0 };
        uint32_t c;

        for (size_t i = 0; i < CM_COUNT(entities); i++)
                if (cm_str_equal(name, entities[i].name)) {
                        put(out, &entities[i].c, 1);
                        return name.len + 2;
                }
        c = name.len && name.data[0] == '#' ? character_reference(name) : 0;
        if (!c) {
                put(out, "&", 1);
                return 1;
        }
        if (!put_control(out, c))
                put_code_point(out, c);
        return name.len + 2;
}

/* Length of the well-formed sequence at the start, 0 when there is none. */
static size_t sequence_length(struct cm_str raw)
{
        unsigned char lead = (unsigned char)raw.data[0];
        size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;

        if (len > raw.len || !cm_utf8_is_valid((struct cm_str){ raw.data, len }))
                return 0;
        return len;
}

/* Copies what starts with a byte beyond ASCII; returns how many bytes it has. */
static size_t decode_sequence(struct cm_str raw, struct cm_buf *out)
{
        size_t len = sequence_length(raw);

        if (!len) {
                put(out, "\xEF\xBF\xBD", 3);
                return 1;
        }
        if (len == 2 && (unsigned char)raw.data[0] == 0xC2 && (unsigned char)raw.data[1] < 0xA0)
                return 2; /* C1 control */
        put(out, raw.data, len);
        return len;
}

/* How many bytes at the start mean themselves. */
static size_t plain_length(const char *at, const char *end)
{
        const char *start = at;

        while (at < end && *at >= ' ' && *at != '&' && *at != 0x7F)
                at++;
        return (size_t)(at - start);
}

struct cm_str apple_text_decode(struct cm_str raw, struct cm_buf *out)
{
        size_t start = out->len, i = 0;

        while (i < raw.len) {
                struct cm_str rest = { raw.data + i, raw.len - i };
                unsigned char c = (unsigned char)raw.data[i];
                size_t plain = plain_length(rest.data, rest.data + rest.len);

                if (plain) {
                        put(out, rest.data, plain);
                        i += plain;
                } else if (c == '&') {
                        i += decode_reference(rest, out);
                } else if (c >= 0x80) {
                        i += decode_sequence(rest, out);
                } else {
                        put_control(out, c);
                        i++;
                }
        }
        return (struct cm_str){ out->data + start, out->len - start };
}

/* ---- times */

/* The number of `count` digits at `at`; -1 when they are not all digits. */
static int digits(const char *at, int count)
{
        int value = 0;

        for (int i = 0; i < count; i++) {
                if (at[i] < '0' || at[i] > '9')
                        return -1;
                value = value * 10 + at[i] - '0';
        }
        return value;
}

static bool parse_offset(const char *at, int *minutes_r)
{
        int hours = digits(at + 1, 2), minutes = digits(at + 3, 2);

        if ((at[0] != '+' && at[0] != '-') || hours < 0 || hours > 18 || minutes < 0 ||
            minutes > 59)
                return false;
        *minutes_r = (hours * 60 + minutes) * (at[0] == '-' ? -1 : 1);
        return true;
}

bool apple_time_parse(struct cm_str text, cm_time *time_r, int *offset_minutes_r)
{
        static const char shape[] = "dddd-dd-dd dd:dd:dd xdddd";
        const char *t = text.data;
        int hour, minute, second;
        cm_date date;

        if (text.len != sizeof(shape) - 1 || t[10] != ' ' || t[13] != ':' || t[16] != ':' ||
            t[19] != ' ' || !cm_date_parse((struct cm_str){ t, 10 }, &date))
                return false;
        hour = digits(t + 11, 2);
        minute = digits(t + 14, 2);
        second = digits(t + 17, 2);
        if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
            !parse_offset(t + 20, offset_minutes_r))
                return false;
        *time_r = date * CM_DAY + hour * CM_HOUR + minute * CM_MINUTE + second * CM_SECOND -
                  *offset_minutes_r * CM_MINUTE;
        return true;
}

/* ---- numbers */

#define MAX_DIGITS 18
#define MAX_SCALE  30

static const int64_t powers[] = {
        1,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
        100000000000000000,
        1000000000000000000,
};

/* Digits with at most one point or comma. Returns what comes behind, NULL when there is no digit.
 */
static const char *parse_digits(const char *at, const char *end, struct apple_decimal *decimal)
{
        bool any = false, point = false;
        int significant = 0;

        for (; at < end; at++) {
                if ((*at == '.' || *at == ',') && !point) {
                        point = true;
                        continue;
                }
                if (*at < '0' || *at > '9')
                        break;
                any = true;
                if (significant < MAX_DIGITS) {
                        decimal->digits = decimal->digits * 10 + *at - '0';
                        significant += decimal->digits != 0;
                        decimal->scale += point;
                } else {
                        decimal->scale -= !point;
                }
        }
        return any ? at : NULL;
}

static bool parse_exponent(const char *at, const char *end, int *exponent_r)
{
        bool negative;

        if (at == end) {
                *exponent_r = 0;
                return true;
        }
        if (*at != 'e' && *at != 'E')
                return false;
        at++;
        negative = at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        if (end - at < 1 || end - at > 3 || digits(at, (int)(end - at)) < 0)
                return false;
        *exponent_r = digits(at, (int)(end - at)) * (negative ? -1 : 1);
        return true;
}

/* Without zeros at the end, with at most `most` digits, and neither huge nor finer than MAX_SCALE.
 */
static bool normalise(__int128 value, int scale, int64_t most, struct apple_decimal *decimal_r)
{
        bool negative = value < 0;
        int64_t result;

        value = negative ? -value : value;
        while (value && (value >= most || scale > MAX_SCALE)) {
                value = (value + (value < 10 * (__int128)most ? 5 : 0)) / 10;
                scale--;
        }
        while (value && value % 10 == 0) {
                value /= 10;
                scale--;
        }
        result = (int64_t)value;
        for (; scale < 0; scale++) {
                if (result > powers[MAX_DIGITS] / 10)
                        return false;
                result *= 10;
        }
        *decimal_r = (struct apple_decimal){ negative ? -result : result, value ? scale : 0 };
        return true;
}

bool apple_decimal_parse(struct cm_str text, struct apple_decimal *decimal_r)
{
        struct cm_str trimmed = cm_str_trim(text);
        const char *at = trimmed.data, *end;
        struct apple_decimal decimal = { 0 };
        bool negative;
        int exponent;

        if (trimmed.len == 0 || trimmed.len > 400)
                return false;
        end = at + trimmed.len;
        negative = *at == '-';
        at = parse_digits(at + (*at == '-' || *at == '+'), end, &decimal);
        if (!at || !parse_exponent(at, end, &exponent))
                return false;
        if (negative)
                decimal.digits = -decimal.digits;
        return normalise(decimal.digits, decimal.scale - exponent, powers[MAX_DIGITS], decimal_r);
}

struct apple_decimal apple_decimal_multiply(struct apple_decimal value, struct apple_decimal factor)
{
        struct apple_decimal result = { 0 };

        /* What overflows is beyond every range that anybody would accept. */
        if (!normalise((__int128)value.digits * factor.digits, value.scale + factor.scale,
                       powers[15], &result))
                result = (struct apple_decimal){ powers[MAX_DIGITS], 0 };
        return result;
}

double apple_decimal_real(struct apple_decimal value)
{
        double real = (double)value.digits;
        int scale = value.scale;

        for (; scale > MAX_DIGITS; scale -= MAX_DIGITS)
                real /= (double)powers[MAX_DIGITS];
        return real / (double)powers[scale];
}
