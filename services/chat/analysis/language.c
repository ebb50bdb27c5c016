#include "language.h"

#include <ctype.h>
#include <string.h>

#include "codec/text.h"
#include "codec/text_match.h"

/* A message counts as mixed from this share of the rarer script on. */
#define MIXED_SHARE 0.1
/* Who writes that much Hebrew around English words wants Hebrew back. */
#define HEBREW_SHARE 0.3

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

uint64_t chat_word_hash(struct cm_str text)
{
        uint64_t hash = FNV_BASIS;

        for (size_t i = 0; i < text.len; i++)
                hash = (hash ^ (unsigned char)text.data[i]) * FNV_PRIME;
        return hash;
}

/* ---- what is stored */

/* U+202A to U+202E and U+2066 to U+2069: they reorder what stands around them on the screen. */
static bool is_reordering(uint32_t c)
{
        return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static struct cm_str without_reordering(struct cm_arena *arena, struct cm_str text)
{
        char *out = cm_arena_alloc(arena, text.len + 1);
        size_t len = 0, at = 0;

        while (at < text.len) {
                size_t start = at;

                if (is_reordering(cm_utf8_next(text, &at)))
                        continue;
                memcpy(out + len, text.data + start, at - start);
                len += at - start;
        }
        return (struct cm_str){ out, len };
}

/* ---- words */

struct reader {
        struct cm_match_text match;
        struct chat_text *text;
        size_t at;
        uint8_t breaks;
        char sign;
};

static char byte_at(const struct reader *reader, size_t at)
{
        return at < reader->match.text.len ? reader->match.text.data[at] : 0;
}

static bool is_hebrew_at(const struct reader *reader, size_t at)
{
        return (unsigned char)byte_at(reader, at) == 0xd7 &&
               (unsigned char)byte_at(reader, at + 1) >= 0x90;
}

/* A letter of any script that we may meet; pictures and punctuation begin at U+2000. */
static bool is_letter_at(const struct reader *reader, size_t at)
{
        unsigned char c = (unsigned char)byte_at(reader, at);
        uint32_t point;

        if (c < 0x80)
                return isalpha(c);
        point = cm_utf8_next(reader->match.text, &at);
        return (point >= 0xc0 && point < 0x2000) || (point >= 0x2c00 && point < 0x2e00) ||
               (point >= 0x3040 && point < 0xd800) || point >= 0x20000;
}

static size_t next_at(const struct reader *reader, size_t at)
{
        cm_utf8_next(reader->match.text, &at);
        return at;
}

static bool is_digit_at(const struct reader *reader, size_t at)
{
        return isdigit((unsigned char)byte_at(reader, at));
}

static bool is_joining(const struct reader *reader, size_t at)
{
        char c = byte_at(reader, at);

        if (c == '\'')
                return is_letter_at(reader, at + 1);
        return c == '"' && is_hebrew_at(reader, at + 1);
}

static struct chat_word *add(struct reader *reader, size_t start, size_t end)
{
        struct chat_text *text = reader->text;
        struct chat_word *word = &text->words[text->count++];

        word->text = (struct cm_str){ reader->match.text.data + start, end - start };
        word->from = reader->match.at[start];
        word->to = reader->match.at[end];
        word->breaks = reader->breaks;
        word->sign = reader->sign;
        reader->at = end;
        reader->breaks = 0;
        reader->sign = 0;
        return word;
}

static double decimal(const char *digits, size_t len)
{
        double value = 0, scale = 0;

        for (size_t i = 0; i < len; i++) {
                if (digits[i] == '.')
                        scale = 1;
                if (!isdigit((unsigned char)digits[i]))
                        continue;
                value = value * 10 + (digits[i] - '0');
                scale *= 10;
        }
        return scale > 1 ? value / scale : value;
}

/* How many digits start at `at`. */
static size_t digits_at(const struct reader *reader, size_t at)
{
        size_t end = at;

        while (is_digit_at(reader, end))
                end++;
        return end - at;
}

/* "1,000", "62.5", "62,5" (a comma that cannot be of thousands), "1/2"; "8:30" is two numbers. */
static void read_number(struct reader *reader)
{
        size_t start = reader->at, end = start + digits_at(reader, start);
        const char *data = reader->match.text.data;
        struct chat_word *word;
        char next = byte_at(reader, end);
        size_t more = digits_at(reader, end + 1);
        double number = decimal(data + start, end - start);

        while (next == ',' && more == 3) {
                end += 4;
                number = decimal(data + start, end - start);
                next = byte_at(reader, end);
                more = digits_at(reader, end + 1);
        }
        if ((next == '.' || (next == ',' && more < 3)) && more > 0) {
                double fraction = decimal(data + end + 1, more);

                for (size_t i = 0; i < more; i++)
                        fraction /= 10;
                number += fraction;
                end += 1 + more;
        } else if (next == '/' && more == 1 && end - start == 1 && data[end + 1] != '0') {
                number /= data[end + 1] - '0';
                end += 2;
        }
        word = add(reader, start, end);
        word->is_number = true;
        word->number = number;
}

/* "x10" is a sign and a number. */
static bool is_times(const struct reader *reader, size_t at)
{
        return byte_at(reader, at) == 'x' && is_digit_at(reader, at + 1);
}

static void read_word(struct reader *reader)
{
        size_t start = reader->at, end = start;
        struct chat_word *word;
        char *joined;
        size_t len = 0;

        if (is_times(reader, start)) {
                add(reader, start, start + 1);
                return;
        }
        while (is_letter_at(reader, end) || is_digit_at(reader, end) || is_joining(reader, end))
                end = next_at(reader, end);
        word = add(reader, start, end);
        /* The folded text is the arena's and ours: joining signs are taken out in place. */
        joined = (char *)word->text.data;
        for (size_t i = 0; i < word->text.len; i++)
                if (joined[i] != '\'' && joined[i] != '"')
                        joined[len++] = joined[i];
        word->text.len = len;
        if (byte_at(reader, end) == '\'')
                reader->at++;
}

/* A full stop ends a sentence when a blank or the end follows, and none stands beside it. */
static bool is_stop(const struct reader *reader, size_t at)
{
        char next = byte_at(reader, at + 1);

        return next != '.' && (at == 0 || byte_at(reader, at - 1) != '.') &&
               !is_letter_at(reader, at + 1) && !isdigit((unsigned char)next);
}

static void read_between(struct reader *reader)
{
        char c = byte_at(reader, reader->at);

        reader->breaks |= CHAT_BREAK_BLANK;
        if (c == '\n')
                reader->breaks |= CHAT_BREAK_LINE;
        else if (c == '!' || c == '?' || (c == '.' && is_stop(reader, reader->at)))
                reader->breaks |= CHAT_BREAK_SENTENCE;
        else if (c && strchr(",;:-()[]\"", c))
                reader->breaks |= CHAT_BREAK_COMMA;
        if (c > 0 && !isspace((unsigned char)c))
                reader->sign = c;
        reader->at = next_at(reader, reader->at);
}

static void read_words(struct reader *reader)
{
        while (reader->at < reader->match.text.len) {
                if (is_digit_at(reader, reader->at))
                        read_number(reader);
                else if (is_letter_at(reader, reader->at))
                        read_word(reader);
                else
                        read_between(reader);
        }
        reader->text->is_question = reader->sign == '?';
        for (size_t i = 0; i < reader->text->count; i++)
                reader->text->words[i].hash = chat_word_hash(reader->text->words[i].text);
}

/* ---- language */

static void detect(const struct reader *reader, struct chat_text *text)
{
        size_t hebrew = 0, latin = 0, at = 0;
        double share;

        while (at < reader->match.text.len) {
                hebrew += is_hebrew_at(reader, at);
                latin += isalpha((unsigned char)byte_at(reader, at)) != 0;
                at = next_at(reader, at);
        }
        if (hebrew + latin == 0)
                return;
        share = (double)hebrew / (double)(hebrew + latin);
        text->language = share < MIXED_SHARE         ? CHAT_LANGUAGE_EN
                         : share > 1.0 - MIXED_SHARE ? CHAT_LANGUAGE_HE
                                                     : CHAT_LANGUAGE_MIXED;
        text->reply = share >= HEBREW_SHARE ? CHAT_LANGUAGE_HE : CHAT_LANGUAGE_EN;
}

bool chat_text_read(struct cm_arena *arena, struct cm_str message, struct chat_text *text_r)
{
        struct reader reader = { .text = text_r };
        struct cm_str normal;

        *text_r = (struct chat_text){ 0 };
        if (!message.data)
                return false;
        normal = cm_text_nfc(arena, message);
        if (!normal.data)
                return false;
        text_r->source = without_reordering(arena, normal);
        if (!cm_text_match(arena, text_r->source, &reader.match))
                return false;
        text_r->words = cm_arena_array(arena, reader.match.text.len + 1, sizeof(*text_r->words));
        detect(&reader, text_r);
        read_words(&reader);
        return true;
}

struct cm_str chat_text_span(const struct chat_text *text, size_t first, size_t last)
{
        size_t from = text->words[first].from, to = text->words[last].to;

        return (struct cm_str){ text->source.data + from, to - from };
}

const char *chat_language_name(enum chat_language language)
{
        static const char *const names[] = { "und", "en", "he", "mixed" };

        return names[language];
}
