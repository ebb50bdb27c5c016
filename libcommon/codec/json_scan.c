#include "codec/json_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool cm_json_fail(struct cm_json_reader *reader, const char *what)
{
        reader->what = what;
        return false;
}

/* ---- texts */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* True when one of eight bytes is a quote, a backslash or a control character. */
static bool has_special(uint64_t word)
{
        uint64_t quote = word ^ EACH('"'), slash = word ^ EACH('\\');
        uint64_t below = (word - EACH(0x20)) & ~word;

        quote = (quote - EACH(1)) & ~quote;
        slash = (slash - EACH(1)) & ~slash;
        return ((quote | slash | below) & EACH(0x80)) != 0;
}

/* The first quote, backslash or control character from `p` on, or the end. */
static const char *plain_end(const char *p, const char *end)
{
        uint64_t word;

        while (end - p >= (ptrdiff_t)sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                if (has_special(word))
                        break;
                p += sizeof(word);
        }
        while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
                p++;
        return p;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hexadecimal digits at `p`; -1 when they are not there. */
static int32_t hex4(const char *p, const char *end)
{
        int32_t value = 0;

        if (end - p < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                int digit = hex_digit(p[i]);

                if (digit < 0)
                        return -1;
                value = value * 16 + digit;
        }
        return value;
}

static char *put_utf8(char *out, int32_t c)
{
        if (c < 0x80) {
                *out++ = (char)c;
        } else if (c < 0x800) {
                *out++ = (char)(0xC0 | c >> 6);
                *out++ = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
                *out++ = (char)(0xE0 | c >> 12);
                *out++ = (char)(0x80 | (c >> 6 & 0x3F));
                *out++ = (char)(0x80 | (c & 0x3F));
        } else {
                *out++ = (char)(0xF0 | c >> 18);
                *out++ = (char)(0x80 | (c >> 12 & 0x3F));
                *out++ = (char)(0x80 | (c >> 6 & 0x3F));
                *out++ = (char)(0x80 | (c & 0x3F));
        }
        return out;
}

/* `p` is behind "\u"; the second half of a pair of surrogates is read as well. */
static bool scan_code_point(struct cm_json_reader *reader, char **out)
{
        int32_t c = hex4(reader->p, reader->end), low;

        if (c < 0)
                return cm_json_fail(reader, "is not JSON");
        if (c == 0)
                return cm_json_fail(reader, "a text contains U+0000");
        if (c >= 0xDC00 && c <= 0xDFFF)
                return cm_json_fail(reader, "a text contains half of a surrogate pair");
        reader->p += 4;
        if (c >= 0xD800 && c <= 0xDBFF) {
                if (reader->end - reader->p < 2 || reader->p[0] != '\\' || reader->p[1] != 'u')
                        return cm_json_fail(reader, "a text contains half of a surrogate pair");
                low = hex4(reader->p + 2, reader->end);
                if (low < 0xDC00 || low > 0xDFFF)
                        return cm_json_fail(reader, "a text contains half of a surrogate pair");
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                reader->p += 6;
        }
        *out = put_utf8(*out, c);
        return true;
}

/* `p` is at a backslash. */
static bool scan_escape(struct cm_json_reader *reader, char **out)
{
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        const char *found;

        if (reader->end - reader->p < 2)
                return cm_json_fail(reader, "ends too early");
        if (reader->p[1] == 'u') {
                reader->p += 2;
                return scan_code_point(reader, out);
        }
        found = reader->p[1] ? strchr(letters, reader->p[1]) : NULL;
        if (!found)
                return cm_json_fail(reader, "is not JSON");
        *(*out)++ = meanings[found - letters];
        reader->p += 2;
        return true;
}

/* The bytes up to the closing quote, escapes included, give the room that the text can need. */
static size_t room_for(const char *p, const char *end)
{
        const char *start = p;

        while (p < end && *p != '"')
                p += *p == '\\' && p + 1 < end ? 2 : 1;
        return (size_t)(p - start);
}

/* From the first escape at `p` on; `start` is behind the opening quote. */
static bool scan_escaped(struct cm_json_reader *reader, const char *start, struct cm_str *text_r)
{
        char *text = cm_arena_alloc(reader->arena, room_for(start, reader->end) + 1), *out = text;

        reader->p = start;
        while (reader->p < reader->end && *reader->p != '"') {
                const char *piece = reader->p;

                reader->p = plain_end(piece, reader->end);
                memcpy(out, piece, (size_t)(reader->p - piece));
                out += reader->p - piece;
                if (reader->p == reader->end || *reader->p == '"')
                        break;
                if (*reader->p != '\\')
                        return cm_json_fail(reader, "a text contains a control character");
                if (!scan_escape(reader, &out))
                        return false;
        }
        *text_r = (struct cm_str){ text, (size_t)(out - text) };
        return true;
}

bool cm_json_scan_text(struct cm_json_reader *reader, struct cm_str *text_r)
{
        const char *start = ++reader->p;

        reader->p = plain_end(start, reader->end);
        *text_r = (struct cm_str){ start, (size_t)(reader->p - start) };
        if (reader->p < reader->end && *reader->p == '\\' && !scan_escaped(reader, start, text_r))
                return false;
        if (reader->p == reader->end)
                return cm_json_fail(reader, "ends too early");
        if (*reader->p != '"')
                return cm_json_fail(reader, "a text contains a control character");
        reader->p++;
        return cm_utf8_is_valid(*text_r) || cm_json_fail(reader, "is not valid UTF-8");
}

/* ---- numbers */

/* Digits seen so far: their value while it is exact, and how many there are without leading zeros.
 */
struct decimal {
        uint64_t value;
        int digits;
        int exponent; /* of ten */
};

#define DIGITS_MAX   19 /* fit into 64 bits */
#define EXPONENT_MAX 100000

static bool is_digit(const struct cm_json_reader *reader)
{
        return reader->p < reader->end && *reader->p >= '0' && *reader->p <= '9';
}

/* At least one digit; `fraction` when they stand behind the point. */
static bool scan_digits(struct cm_json_reader *reader, struct decimal *decimal, bool fraction)
{
        if (!is_digit(reader))
                return cm_json_fail(reader,
                                    reader->p == reader->end ? "ends too early" : "is not JSON");
        for (; is_digit(reader); reader->p++) {
                if (decimal->value || *reader->p != '0')
                        decimal->digits++;
                if (decimal->digits <= DIGITS_MAX)
                        decimal->value = decimal->value * 10 + (uint64_t)(*reader->p - '0');
                if (fraction && decimal->exponent > -EXPONENT_MAX)
                        decimal->exponent--;
        }
        return true;
}

static bool scan_exponent(struct cm_json_reader *reader, struct decimal *decimal)
{
        struct decimal exponent = { 0 };
        bool negative;

        reader->p++;
        negative = reader->p < reader->end && *reader->p == '-';
        if (reader->p < reader->end && (*reader->p == '-' || *reader->p == '+'))
                reader->p++;
        if (!scan_digits(reader, &exponent, false))
                return false;
        if (exponent.value > EXPONENT_MAX || exponent.digits > DIGITS_MAX)
                exponent.value = EXPONENT_MAX;
        decimal->exponent += negative ? -(int)exponent.value : (int)exponent.value;
        return true;
}

/* Up to 15 digits and powers of ten that a double holds exactly: one operation rounds once, which
 * is right. Anything else is for strtod. */
static double value_of(const struct cm_json_reader *reader, const char *start,
                       const struct decimal *decimal)
{
        static const double powers[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                         1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
        int exponent = decimal->exponent;
        double value;

        if (decimal->digits <= 15 && exponent >= -22 && exponent <= 22) {
                value = (double)decimal->value;
                value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
                return *start == '-' ? -value : value;
        }
        return strtod(
                cm_arena_str(reader->arena, (struct cm_str){ start, (size_t)(reader->p - start) })
                        .data,
                NULL);
}

static bool store_integer(struct cm_json_reader *reader, const struct decimal *decimal,
                          bool negative, struct cm_json_node *node)
{
        uint64_t limit = (uint64_t)INT64_MAX + negative;

        if (decimal->digits > DIGITS_MAX || decimal->value > limit)
                return cm_json_fail(reader, "a number is out of range");
        node->type = CM_JSON_INTEGER;
        node->integer = (int64_t)(negative ? 0 - decimal->value : decimal->value);
        return true;
}

bool cm_json_scan_number(struct cm_json_reader *reader, struct cm_json_node *node)
{
        const char *start = reader->p, *first;
        struct decimal decimal = { 0 };
        bool real = false;

        reader->p += *start == '-';
        first = reader->p;
        if (!scan_digits(reader, &decimal, false))
                return false;
        if (*first == '0' && reader->p - first > 1)
                return cm_json_fail(reader, "is not JSON");
        if (reader->p < reader->end && *reader->p == '.') {
                real = true;
                reader->p++;
                if (!scan_digits(reader, &decimal, true))
                        return false;
        }
        if (reader->p < reader->end && (*reader->p == 'e' || *reader->p == 'E')) {
                real = true;
                if (!scan_exponent(reader, &decimal))
                        return false;
        }
        if (!real)
                return store_integer(reader, &decimal, *start == '-', node);
        node->type = CM_JSON_REAL;
        node->real = value_of(reader, start, &decimal);
        return isfinite(node->real) || cm_json_fail(reader, "a number is out of range");
}
