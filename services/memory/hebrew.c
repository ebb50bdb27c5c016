#include "hebrew.h"

#include <string.h>

#include "base/attr.h"

/* Each letter is two bytes, d7 90 to d7 aa. */
enum { LETTER = 2, MIN_CORE = 3 * LETTER, MAX_PREFIXES = 3 };

static bool is_letter(struct cm_str word, size_t at)
{
        return at + LETTER <= word.len && (unsigned char)word.data[at] == 0xd7 &&
               (unsigned char)word.data[at + 1] >= 0x90 && (unsigned char)word.data[at + 1] <= 0xaa;
}

bool hebrew_is(struct cm_str word)
{
        return is_letter(word, 0);
}

/* Bytes of an apostrophe-like mark at `at`, 0 when there is none. */
static size_t mark_length(struct cm_str word, size_t at)
{
        static const char *const marks[] = { "'", "\"", "\u2019", "\u05f3", "\u05f4" };

        for (size_t i = 0; i < CM_COUNT(marks); i++) {
                size_t len = strlen(marks[i]);

                if (word.len - at >= len && memcmp(word.data + at, marks[i], len) == 0)
                        return len;
        }
        return 0;
}

size_t hebrew_normalise(char *word, size_t len)
{
        size_t to = 0;

        for (size_t at = 0; at < len;) {
                struct cm_str text = { word, len };
                size_t mark = mark_length(text, at);

                if (mark) {
                        at += mark;
                        continue;
                }
                word[to++] = word[at++];
                if (to >= 2 && (unsigned char)word[to - 2] == 0xd7 &&
                    strchr("\x9a\x9d\x9f\xa3\xa5", word[to - 1]) && word[to - 1])
                        word[to - 1]++; /* each final letter stands just before its ordinary form */
        }
        return to;
}

/* ו ה ב ל מ ש כ */
static bool is_prefix(struct cm_str word)
{
        return is_letter(word, 0) && strchr("\x95\x94\x91\x9c\x9e\xa9\x9b", word.data[1]);
}

bool hebrew_strip(struct cm_str *word)
{
        if (word->len < MIN_CORE + LETTER || !is_prefix(*word))
                return false;
        word->data += LETTER;
        word->len -= LETTER;
        return true;
}

struct cm_str hebrew_core(struct cm_str word)
{
        for (int i = 0; i < MAX_PREFIXES && hebrew_strip(&word); i++)
                ;
        return word;
}

/* The longest first; with normalised finals. */
static const struct ending {
        const char *text;
        size_t min_left; /* bytes that must stay */
} endings[] = {
        { "ויות", 3 * LETTER }, { "יות", 3 * LETTER }, { "יימ", 2 * LETTER }, { "ימ", 2 * LETTER },
        { "ות", 2 * LETTER },   { "ית", 3 * LETTER },  { "יה", 3 * LETTER },  { "נו", 3 * LETTER },
        { "יו", 3 * LETTER },   { "ה", 2 * LETTER },   { "ת", 3 * LETTER },   { "י", 3 * LETTER },
        { "ו", 3 * LETTER },    { "כ", 3 * LETTER },
};

struct cm_str hebrew_stem(struct cm_str word)
{
        for (size_t i = 0; i < CM_COUNT(endings); i++) {
                size_t len = strlen(endings[i].text);

                if (word.len >= len + endings[i].min_left &&
                    memcmp(word.data + word.len - len, endings[i].text, len) == 0)
                        return (struct cm_str){ word.data, word.len - len };
        }
        return word;
}
