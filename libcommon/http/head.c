#include "http/head.h"

#include <string.h>

/*
 * Why not http_parser: Debian builds it without HTTP_PARSER_STRICT, and so it takes "\n" for
 * "\r\n", a chunk size that ends in "\rX", "Content-Length : 3" and folded lines. Making it strict
 * would mean to look at every byte a second time; a strict parser that sees a head as a whole is
 * shorter than that. http_parser serves as the second opinion in head_test.c and in the fuzzer:
 * what is accepted here, it must read the same way.
 */
enum { CHAR_TOKEN = 1, CHAR_TARGET = 2, CHAR_VALUE = 4 };

#define T (CHAR_TOKEN | CHAR_TARGET | CHAR_VALUE)
#define V (CHAR_TARGET | CHAR_VALUE)
/* Visible ASCII, then what only values may hold: blank, tab, bytes above ASCII. */
static const unsigned char classes[256] = {
        ['\t'] = CHAR_VALUE, [' '] = CHAR_VALUE, ['!'] = T,         ['"'] = V,
        ['#'] = T,           ['$'] = T,          ['%'] = T,         ['&'] = T,
        ['\''] = T,          ['('] = V,          [')'] = V,         ['*'] = T,
        ['+'] = T,           [','] = V,          ['-'] = T,         ['.'] = T,
        ['/'] = V,           ['0' ... '9'] = T,  [':' ... '@'] = V, ['A' ... 'Z'] = T,
        ['[' ... ']'] = V,   ['^' ... '`'] = T,  ['a' ... 'z'] = T, ['{'] = V,
        ['|'] = T,           ['}'] = V,          ['~'] = T,         [0x80 ... 0xff] = CHAR_VALUE,
};
#undef T
#undef V

/* How many characters at the start are of the class. */
static size_t span(struct cm_str text, unsigned char class)
{
        size_t n = 0;

        while (n < text.len && classes[(unsigned char)text.data[n]] & class)
                n++;
        return n;
}

bool cm_is_token(struct cm_str text)
{
        return text.len && span(text, CHAR_TOKEN) == text.len;
}

int cm_head_find_end(struct cm_str bytes, size_t *scanned, size_t *len_r)
{
        const char *data = bytes.data, *lf;

        if (bytes.len && !(classes[(unsigned char)data[0]] & CHAR_TOKEN))
                return CM_HEAD_BAD;
        while ((lf = memchr(data + *scanned, '\n', bytes.len - *scanned))) {
                size_t at = (size_t)(lf - data);

                if (at == 0 || data[at - 1] != '\r')
                        return CM_HEAD_BAD;
                if (at >= 3 && data[at - 2] == '\n') {
                        *len_r = at + 1;
                        return 0;
                }
                *scanned = at + 1;
        }
        *scanned = bytes.len;
        return CM_HEAD_MORE;
}

/* Cuts the next line off, without its CRLF, which cm_head_find_end() has seen. */
static struct cm_str next_line(struct cm_str *rest)
{
        const char *lf = memchr(rest->data, '\n', rest->len);
        struct cm_str line;

        if (!lf) {
                line = *rest;
                *rest = (struct cm_str){ rest->data + rest->len, 0 };
                return line;
        }
        line = (struct cm_str){ rest->data, (size_t)(lf - rest->data) - 1 };
        rest->len -= line.len + 2;
        rest->data = lf + 1;
        return line;
}

static int parse_request_line(struct cm_str line, struct cm_head *head, const char **why_r)
{
        size_t method = span(line, CHAR_TOKEN), target;
        struct cm_str rest = { line.data + method, line.len - method };

        *why_r = "the request line is not METHOD target HTTP/1.1";
        if (!method || !rest.len || rest.data[0] != ' ')
                return CM_HEAD_BAD;
        rest = (struct cm_str){ rest.data + 1, rest.len - 1 };
        target = span(rest, CHAR_TARGET);
        if (!target || rest.len - target != sizeof(" HTTP/1.1") - 1 ||
            memcmp(rest.data + target, " HTTP/", 6) != 0)
                return CM_HEAD_BAD;
        head->method = (struct cm_str){ line.data, method };
        head->target = (struct cm_str){ rest.data, target };
        rest = (struct cm_str){ rest.data + target + 6, 3 };
        if (memcmp(rest.data, "1.", 2) != 0 || (rest.data[2] != '0' && rest.data[2] != '1')) {
                *why_r = "only HTTP/1.0 and HTTP/1.1 are spoken here";
                return rest.data[1] == '.' ? CM_HEAD_VERSION : CM_HEAD_BAD;
        }
        head->minor = rest.data[2] - '0';
        return 0;
}

static int parse_header_line(struct cm_str line, struct cm_header *header, const char **why_r)
{
        size_t name = span(line, CHAR_TOKEN);
        struct cm_str value;

        *why_r = "a header line is not of the form Name: value";
        if (!name || name == line.len || line.data[name] != ':')
                return CM_HEAD_BAD;
        header->name = (struct cm_str){ line.data, name };
        value = (struct cm_str){ line.data + name + 1, line.len - name - 1 };
        if (span(value, CHAR_VALUE) != value.len) {
                *why_r = "a header holds control characters";
                return CM_HEAD_BAD;
        }
        header->value = cm_str_trim(value);
        return 0;
}

/* Decimal digits only, so many that no sum with it can overflow. */
static bool parse_length(struct cm_str text, int64_t *length_r)
{
        if (!text.len || text.len > 17 || text.data[0] == '+' || text.data[0] == '-')
                return false;
        return cm_str_to_int(text, length_r);
}

static bool has_option(struct cm_str list, struct cm_str option)
{
        struct cm_str part;

        while (cm_str_split(&list, ',', &part))
                if (cm_str_equal_nocase(cm_str_trim(part), option))
                        return true;
        return false;
}

enum single { HOST, LENGTH, TRANSFER, CONNECTION, EXPECT, TYPE, AUTHORIZATION, KEY, SINGLES };

/* Headers that decide how a request is read or for whom it acts: given twice, they are ambiguous.
 * Connection is a list and may be repeated. */
static int single_of(struct cm_str name)
{
        static const struct {
                struct cm_str name;
                enum single single;
        } table[] = {
                { { "host", 4 }, HOST },
                { { "content-length", 14 }, LENGTH },
                { { "transfer-encoding", 17 }, TRANSFER },
                { { "connection", 10 }, CONNECTION },
                { { "expect", 6 }, EXPECT },
                { { "content-type", 12 }, TYPE },
                { { "authorization", 13 }, AUTHORIZATION },
                { { "idempotency-key", 15 }, KEY },
        };

        for (size_t i = 0; i < CM_COUNT(table); i++)
                if (table[i].name.len == name.len && cm_str_equal_nocase(table[i].name, name))
                        return (int)table[i].single;
        return -1;
}

static int apply(struct cm_head *head, enum single single, struct cm_str value, const char **why_r)
{
        switch (single) {
        case LENGTH:
                *why_r = "Content-Length is not a number of bytes";
                return parse_length(value, &head->content_length) ? 0 : CM_HEAD_BAD;
        case TRANSFER:
                *why_r = "the only transfer coding is chunked, in HTTP/1.1";
                head->chunked = cm_str_equal_nocase(value, CM_STR("chunked"));
                if (head->minor == 0)
                        return CM_HEAD_BAD;
                return head->chunked ? 0 : CM_HEAD_CODING;
        case CONNECTION:
                if (has_option(value, CM_STR("close")))
                        head->keep_alive = false;
                else if (head->minor == 0 && has_option(value, CM_STR("keep-alive")))
                        head->keep_alive = true;
                return 0;
        case EXPECT:
                *why_r = "Expect knows 100-continue only";
                head->expects_continue = head->minor == 1;
                return cm_str_equal_nocase(value, CM_STR("100-continue")) ? 0 : CM_HEAD_EXPECT;
        default:
                return 0;
        }
}

static int apply_singles(struct cm_head *head, const char **why_r)
{
        bool seen[SINGLES] = { false };

        head->content_length = -1;
        head->keep_alive = head->minor == 1;
        for (size_t i = 0; i < head->header_count; i++) {
                int single = single_of(head->headers[i].name), r;

                if (single < 0)
                        continue;
                *why_r = "a header that may stand only once stands twice";
                if (seen[single] && single != CONNECTION)
                        return CM_HEAD_BAD;
                seen[single] = true;
                r = apply(head, (enum single)single, head->headers[i].value, why_r);
                if (r)
                        return r;
        }
        *why_r = "Host is missing";
        if (!seen[HOST] && head->minor == 1)
                return CM_HEAD_BAD;
        *why_r = "Content-Length and Transfer-Encoding exclude each other";
        return head->chunked && seen[LENGTH] ? CM_HEAD_BAD : 0;
}

int cm_head_parse(struct cm_str bytes, size_t max_headers, struct cm_head *head_r,
                  const char **why_r)
{
        struct cm_str line;
        int r;

        head_r->header_count = 0;
        head_r->chunked = head_r->expects_continue = false;
        r = parse_request_line(next_line(&bytes), head_r, why_r);
        if (r)
                return r;
        while ((line = next_line(&bytes)).len) {
                if (head_r->header_count == max_headers ||
                    head_r->header_count == CM_HEAD_MAX_HEADERS) {
                        *why_r = "too many headers";
                        return CM_HEAD_MANY;
                }
                r = parse_header_line(line, &head_r->headers[head_r->header_count++], why_r);
                if (r)
                        return r;
        }
        return apply_singles(head_r, why_r);
}

struct cm_str cm_head_find(const struct cm_head *head, struct cm_str name)
{
        for (size_t i = 0; i < head->header_count; i++) {
                const struct cm_header *header = &head->headers[i];

                if (header->name.len == name.len && cm_str_equal_nocase(header->name, name))
                        return header->value;
        }
        return CM_STR_NONE;
}
