#include "pii_names.h"

#include <ctype.h>
#include <string.h>

/*
 * A cue is looked for backwards from where a word begins, then the name is read forwards. English
 * writes names with capitals, so a weak cue ("call me") needs them and a strong one ("my name is")
 * does not. Hebrew has none: there a name is one word or two, unless the second is one of those
 * that usually follow a name.
 */
#define CUE_BYTES 64
#define MAX_WORDS 4

struct reader {
        const char *data;
        size_t len;
};

/* ---- letters and words */

static unsigned char byte_at(const struct reader *text, size_t i)
{
        return i < text->len ? (unsigned char)text->data[i] : 0;
}

/* Quotation marks, dashes and directional marks are no letters (U+2000 to U+203F), nor is U+00A0.
 */
static bool is_letter(const struct reader *text, size_t i)
{
        unsigned char c = byte_at(text, i);

        if (c < 0x80)
                return isalpha(c) != 0;
        while (i > 0 && (byte_at(text, i) & 0xc0) == 0x80)
                i--;
        c = byte_at(text, i);
        return c >= 0xc3 && !(c == 0xe2 && byte_at(text, i + 1) == 0x80);
}

static bool is_hebrew(const struct reader *text, size_t i)
{
        return byte_at(text, i) == 0xd7;
}

static bool is_capital(const struct reader *text, size_t i)
{
        unsigned char c = byte_at(text, i);

        return c < 0x80 ? isupper(c) != 0 : is_letter(text, i) && !is_hebrew(text, i);
}

/* With an apostrophe, hyphen or gershayim inside: "O'Hara", "Bar-Lev". */
static size_t word_end(const struct reader *text, size_t from)
{
        size_t i = from;

        while (is_letter(text, i) ||
               (i > from && (byte_at(text, i) == '\'' || byte_at(text, i) == '-') &&
                is_letter(text, i + 1)))
                i++;
        return i;
}

static struct cm_str word_at(const struct reader *text, size_t from)
{
        return (struct cm_str){ text->data + from, word_end(text, from) - from };
}

static bool same(struct cm_str a, const char *b)
{
        size_t i = 0;

        for (; i < a.len && b[i]; i++)
                if (tolower((unsigned char)a.data[i]) != (unsigned char)b[i])
                        return false;
        return i == a.len && !b[i];
}

static bool is_one_of(struct cm_str word, const char *const *list)
{
        for (size_t i = 0; list[i]; i++)
                if (same(word, list[i]))
                        return true;
        return false;
}

/* ---- cues */

enum cue { CUE_NONE, CUE_TITLE, CUE_WEAK, CUE_FULL, CUE_STRONG, CUE_HEBREW };

static const struct {
        const char *words;
        enum cue cue;
} cues[] = {
        { "my name is", CUE_STRONG },
        { "my name's", CUE_STRONG },
        { "my name\xe2\x80\x99s", CUE_STRONG },
        { "my full name is", CUE_STRONG },
        { "my first name is", CUE_STRONG },
        { "my last name is", CUE_STRONG },
        { "my surname is", CUE_STRONG },
        { "full name:", CUE_STRONG },
        { "name:", CUE_WEAK },
        { "name is", CUE_WEAK },
        { "call me", CUE_WEAK },
        { "called", CUE_WEAK },
        { "named", CUE_WEAK },
        { "this is", CUE_FULL },
        { "maybe it's under", CUE_WEAK },
        { "under the name", CUE_WEAK },
        { "by the name of", CUE_WEAK },
        { "i'm", CUE_FULL },
        { "i\xe2\x80\x99m", CUE_FULL },
        { "i am", CUE_FULL },
        { "mr", CUE_TITLE },
        { "mr.", CUE_TITLE },
        { "mrs", CUE_TITLE },
        { "mrs.", CUE_TITLE },
        { "ms", CUE_TITLE },
        { "ms.", CUE_TITLE },
        { "miss", CUE_TITLE },
        { "mx.", CUE_TITLE },
        { "dr", CUE_TITLE },
        { "dr.", CUE_TITLE },
        { "doctor", CUE_TITLE },
        { "prof", CUE_TITLE },
        { "prof.", CUE_TITLE },
        { "professor", CUE_TITLE },
        { "sir", CUE_TITLE },
        { "madam", CUE_TITLE },
        { "rabbi", CUE_TITLE },
        { "nurse", CUE_TITLE },
        { "coach", CUE_TITLE },
        { "uncle", CUE_TITLE },
        { "aunt", CUE_TITLE },
        { "קוראים לי", CUE_HEBREW },
        { "קוראים לה", CUE_HEBREW },
        { "קוראים לו", CUE_HEBREW },
        { "שמי", CUE_HEBREW },
        { "שמי הוא", CUE_HEBREW },
        { "השם שלי", CUE_HEBREW },
        { "השם שלי הוא", CUE_HEBREW },
        { "השם המלא שלי הוא", CUE_HEBREW },
        { "שם מלא:", CUE_HEBREW },
        { "שם:", CUE_HEBREW },
        { "בשם", CUE_HEBREW },
        { "ד\xd7\xb4ר", CUE_HEBREW }, /* gershayim */
        { "ד\"ר", CUE_HEBREW },
        { "ד''ר", CUE_HEBREW },
        { "ד\xe2\x80\x9dר", CUE_HEBREW },
        { "דר'", CUE_HEBREW },
        { "דר\xd7\xb3", CUE_HEBREW },
        { "דוקטור", CUE_HEBREW },
        { "פרופ'", CUE_HEBREW },
        { "פרופ\xd7\xb3", CUE_HEBREW },
        { "פרופסור", CUE_HEBREW },
        { "מר", CUE_HEBREW },
        { "גב'", CUE_HEBREW },
        { "גב\xd7\xb3", CUE_HEBREW },
        { "גברת", CUE_HEBREW },
        { "הרב", CUE_HEBREW },
};

/* Whether `words` end at `end`, and begin where a word may: also behind a Hebrew prefix letter. */
static bool ends_with(const struct reader *text, size_t end, const char *words)
{
        size_t len = strlen(words), from;

        if (len > end)
                return false;
        from = end - len;
        if (!same((struct cm_str){ text->data + from, len }, words))
                return false;
        if (from == 0 || !is_letter(text, from - 1))
                return true;
        return is_hebrew(text, from) && from >= 2 && is_hebrew(text, from - 2) &&
               (from == 2 || !is_letter(text, from - 3));
}

/* "my son Yoav", "my doctor, Ruth Cohen". */
static bool is_after_relation(const struct reader *text, size_t end)
{
        static const char *const relations[] = {
                "husband",  "wife",        "partner",     "boyfriend", "girlfriend", "son",
                "daughter", "kid",         "child",       "baby",      "mother",     "mom",
                "mum",      "father",      "dad",         "brother",   "sister",     "grandma",
                "grandpa",  "grandmother", "grandfather", "uncle",     "aunt",       "cousin",
                "friend",   "boss",        "manager",     "doctor",    "therapist",  "trainer",
                "neighbor", "neighbour",   "colleague",   NULL
        };
        size_t from = end;

        while (from > 0 && isalpha(byte_at(text, from - 1)))
                from--;
        return is_one_of((struct cm_str){ text->data + from, end - from }, relations) && from > 0 &&
               ends_with(text, from - 1, "my");
}

static enum cue cue_before(const struct reader *text, size_t from)
{
        size_t end = from;

        while (end > 0 && (byte_at(text, end - 1) == ' ' || byte_at(text, end - 1) == ','))
                end--;
        if (end == from || end == 0)
                return CUE_NONE;
        for (size_t i = 0; i < sizeof(cues) / sizeof(cues[0]); i++)
                if (ends_with(text, end, cues[i].words))
                        return cues[i].cue;
        return is_after_relation(text, end) ? CUE_WEAK : CUE_NONE;
}

/* ---- names */

/* Nobody's name, though it follows a cue or a name. */
static bool is_no_name(struct cm_str word)
{
        static const char *const words[] = {
                "i",       "and",     "but",       "or",       "not",    "the",      "a",
                "an",      "it",      "is",        "was",      "from",   "on",       "in",
                "at",      "to",      "of",        "for",      "with",   "by",       "here",
                "there",   "my",      "your",      "his",      "her",    "spelled",  "what",
                "who",     "when",    "that",      "this",     "so",     "please",   "thanks",
                "ok",      "too",     "also",      "said",     "told",   "says",     "because",
                "monday",  "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
                "english", "hebrew",  "אני",       "ואני",     "לא",     "בן",       "בת",
                "גר",      "גרה",     "הוא",       "היא",      "את",     "אתה",      "של",
                "על",      "אל",      "כי",        "אבל",      "גם",     "עם",       "אמר",
                "אמרה",    "נתן",     "נתנה",      "רשם",      "רשמה",   "המליץ",    "המליצה",
                "ביקש",    "ביקשה",   "שלח",       "שלחה",     "יש",     "אין",      "היה",
                "הייתה",   "היום",    "אתמול",     "מחר",      "בבקשה",  "תודה",     "מאוד",
                "וגם",     "ויש",     "ואנחנו",    "בעוד",     "לפני",   "שלי",      "שלו",
                "שלה",     "שלך",     "זה",        "זאת",      "ב",      "ל",        "נעים",
                "שלום",    "כאן",     "פה",        NULL
        };

        return is_one_of(word, words);
}

static bool is_particle(struct cm_str word)
{
        static const char *const particles[] = { "van", "de",  "von", "der", "den",
                                                 "bin", "ben", "al",  "el",  "da",
                                                 "di",  "del", "la",  "le",  NULL };

        return is_one_of(word, particles);
}

/* Behind one blank, or an initial's dot and a blank. */
static size_t next_word(const struct reader *text, size_t end)
{
        if (byte_at(text, end) == '.' && end > 0 && isupper(byte_at(text, end - 1)) &&
            (end < 2 || !is_letter(text, end - 2)))
                end++;
        return byte_at(text, end) == ' ' && is_letter(text, end + 1) ? end + 1 : 0;
}

/* Words with capitals, particles between them. */
static size_t read_capitals(const struct reader *text, size_t from, size_t least)
{
        size_t end = 0, capitals = 0;

        for (size_t words = 0; from && words < MAX_WORDS; words++) {
                struct cm_str word = word_at(text, from);

                if (is_capital(text, from) && !is_no_name(word)) {
                        end = from + word.len;
                        capitals++;
                } else if (!capitals || !is_particle(word)) {
                        break;
                }
                from = next_word(text, from + word.len);
        }
        return capitals >= least ? end : 0;
}

/* One word or two, whatever their case. */
static size_t read_any(const struct reader *text, size_t from)
{
        size_t end = 0;

        for (size_t words = 0; from && words < 2; words++) {
                struct cm_str word = word_at(text, from);

                if (is_no_name(word) || word.len < 2)
                        break;
                end = from + word.len;
                from = next_word(text, end);
        }
        return end;
}

size_t pii_name_at(struct cm_str source, size_t from)
{
        const struct reader text = { source.data, source.len };

        if (from == 0 || !is_letter(&text, from) || is_letter(&text, from - 1))
                return 0;
        switch (cue_before(&text, from)) {
        case CUE_TITLE:
        case CUE_WEAK:
                return read_capitals(&text, from, 1);
        case CUE_FULL:
                return read_capitals(&text, from, 2);
        case CUE_STRONG: {
                size_t capitals = read_capitals(&text, from, 1);

                return capitals ? capitals : read_any(&text, from);
        }
        case CUE_HEBREW:
                return is_hebrew(&text, from) ? read_any(&text, from)
                                              : read_capitals(&text, from, 1);
        case CUE_NONE:
        default:
                return 0;
        }
}

/* ---- a name's words elsewhere */

bool pii_name_next_word(struct cm_str name, size_t *place, struct cm_str *word_r)
{
        const struct reader text = { name.data, name.len };

        while (*place < name.len) {
                size_t from = *place;

                if (!is_letter(&text, from)) {
                        (*place)++;
                        continue;
                }
                *word_r = word_at(&text, from);
                *place = from + word_r->len;
                if (word_r->len > 2 && !is_particle(*word_r))
                        return true;
        }
        return false;
}

static bool begins_word(const struct reader *text, size_t at)
{
        static const char *const prefixes = "\x91\x94\x95\x9b\x9c\x9e\xa9"; /* ב ה ו כ ל מ ש */

        for (int letters = 0; letters < 3; letters++) {
                if (at == 0 || !is_letter(text, at - 1))
                        return true;
                if (at < 2 || !is_hebrew(text, at) || !is_hebrew(text, at - 2) ||
                    !strchr(prefixes, text->data[at - 1]))
                        return false;
                at -= 2;
        }
        return false;
}

bool pii_name_stands_at(struct cm_str source, size_t at, struct cm_str word)
{
        const struct reader text = { source.data, source.len };

        return at + word.len <= source.len && memcmp(source.data + at, word.data, word.len) == 0 &&
               !is_letter(&text, at + word.len) && begins_word(&text, at);
}
