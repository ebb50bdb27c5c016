#include "http/target.h"

#include <string.h>

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape at text[i] stands for; -1 when it is broken. */
static int escaped_byte(struct cm_str text, size_t i)
{
        int high, low;

        if (text.len - i < 3)
                return -1;
        high = hex_digit(text.data[i + 1]);
        low = hex_digit(text.data[i + 2]);
        return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* pchar of RFC 3986, without '%'. */
static bool is_plain(char c)
{
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))
                return true;
        return c != '\0' && strchr("-._~!$&'()*+,;=:@", c);
}

/* Counts the dots of a segment that has nothing else; 0 when it has. */
static bool segment_is_good(struct cm_str segment)
{
        size_t dots = 0, chars = 0;

        for (size_t i = 0; i < segment.len; i++, chars++) {
                int c = (unsigned char)segment.data[i];

                if (c == '%') {
                        c = escaped_byte(segment, i);
                        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
                                return false;
                        i += 2;
                } else if (!is_plain((char)c)) {
                        return false;
                }
                dots += c == '.';
        }
        return dots != chars || dots > 2;
}

static int split_path(struct cm_target *target)
{
        struct cm_str rest = { target->path.data + 1, target->path.len - 1 }, segment;
        bool found = true;

        if (!rest.len)
                return 0;
        while (cm_str_split(&rest, '/', &segment)) {
                if (!segment.len || target->segment_count == CM_TARGET_MAX_SEGMENTS) {
                        found = false;
                        continue;
                }
                if (!segment_is_good(segment))
                        return CM_TARGET_BAD;
                target->segments[target->segment_count++] = segment;
        }
        return found ? 0 : CM_TARGET_NOT_FOUND;
}

/* Absolute form: what follows the authority. Absent when it is no http address. */
static struct cm_str without_authority(struct cm_str raw)
{
        static const struct cm_str schemes[] = { { "http://", 7 }, { "https://", 8 } };

        for (size_t i = 0; i < CM_COUNT(schemes); i++) {
                size_t skip = schemes[i].len, start = skip;

                if (raw.len <= skip ||
                    !cm_str_equal_nocase((struct cm_str){ raw.data, skip }, schemes[i]))
                        continue;
                while (skip < raw.len && !strchr("/?#", raw.data[skip]))
                        skip++;
                if (skip == start)
                        return CM_STR_NONE;
                return skip == raw.len ? CM_STR("/")
                                       : (struct cm_str){ raw.data + skip, raw.len - skip };
        }
        return CM_STR_NONE;
}

int cm_target_parse(struct cm_str raw, struct cm_target *target_r)
{
        const char *question;

        target_r->segment_count = 0;
        target_r->path = raw;
        target_r->query = CM_STR_NONE;
        target_r->is_asterisk = cm_str_equal(raw, CM_STR("*"));
        if (target_r->is_asterisk)
                return 0;
        if (raw.len && raw.data[0] != '/')
                raw = without_authority(raw);
        if (!raw.len || raw.data[0] != '/' || memchr(raw.data, '#', raw.len))
                return CM_TARGET_BAD;
        question = memchr(raw.data, '?', raw.len);
        target_r->path = raw;
        if (question) {
                target_r->path.len = (size_t)(question - raw.data);
                target_r->query = (struct cm_str){ question + 1, raw.len - target_r->path.len - 1 };
        }
        return split_path(target_r);
}

struct cm_str cm_percent_decode(struct cm_arena *arena, struct cm_str raw, bool plus_is_blank)
{
        bool plain = !memchr(raw.data, '%', raw.len) &&
                     (!plus_is_blank || !memchr(raw.data, '+', raw.len));
        struct cm_str text;
        size_t n = 0;
        char *out;

        if (plain)
                return raw;
        out = cm_arena_alloc(arena, raw.len + 1);
        for (size_t i = 0; i < raw.len; i++) {
                int c = (unsigned char)raw.data[i];

                if (c == '%') {
                        c = escaped_byte(raw, i);
                        if (c <= 0)
                                return CM_STR_NONE;
                        i += 2;
                } else if (c == '+' && plus_is_blank) {
                        c = ' ';
                }
                out[n++] = (char)c;
        }
        out[n] = '\0';
        text = (struct cm_str){ out, n };
        return cm_utf8_is_valid(text) ? text : CM_STR_NONE;
}

bool cm_query_next(struct cm_str *rest, struct cm_str *name_r, struct cm_str *value_r)
{
        struct cm_str pair;
        const char *equals;

        if (!rest->len || !cm_str_split(rest, '&', &pair))
                return false;
        equals = memchr(pair.data, '=', pair.len);
        *name_r = pair;
        *value_r = CM_STR("");
        if (equals) {
                name_r->len = (size_t)(equals - pair.data);
                *value_r = (struct cm_str){ equals + 1, pair.len - name_r->len - 1 };
        }
        return true;
}
