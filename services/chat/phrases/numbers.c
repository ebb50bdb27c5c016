#include "numbers.h"

#include <string.h>

/* Folded: without final letters. */
static const struct {
        const char *word;
        int value;
} words[] = {
        { "zero", 0 },      { "one", 1 },        { "two", 2 },       { "three", 3 },
        { "four", 4 },      { "five", 5 },       { "six", 6 },       { "seven", 7 },
        { "eight", 8 },     { "nine", 9 },       { "ten", 10 },      { "eleven", 11 },
        { "twelve", 12 },   { "thirteen", 13 },  { "fourteen", 14 }, { "fifteen", 15 },
        { "sixteen", 16 },  { "seventeen", 17 }, { "eighteen", 18 }, { "nineteen", 19 },
        { "twenty", 20 },   { "thirty", 30 },    { "forty", 40 },    { "fifty", 50 },
        { "sixty", 60 },    { "seventy", 70 },   { "eighty", 80 },   { "ninety", 90 },
        { "hundred", 100 }, { "dozen", 12 },     { "couple", 2 },    { "אפס", 0 },
        { "אחת", 1 },       { "אחד", 1 },        { "שתיימ", 2 },     { "שניימ", 2 },
        { "שתי", 2 },       { "שני", 2 },        { "שתימ", 2 },      { "שנימ", 2 },
        { "שלוש", 3 },      { "שלושה", 3 },      { "שלושת", 3 },     { "ארבע", 4 },
        { "ארבעה", 4 },     { "חמש", 5 },        { "חמישה", 5 },     { "שש", 6 },
        { "שישה", 6 },      { "שבע", 7 },        { "שבעה", 7 },      { "שמונה", 8 },
        { "תשע", 9 },       { "תשעה", 9 },       { "עשר", 10 },      { "עשרה", 10 },
        { "עשרימ", 20 },    { "שלושימ", 30 },    { "ארבעימ", 40 },   { "חמישימ", 50 },
        { "שישימ", 60 },    { "שבעימ", 70 },     { "שמונימ", 80 },   { "תשעימ", 90 },
        { "מאה", 100 },     { "מאתיימ", 200 },   { "תריסר", 12 },
};

static bool is(const struct chat_word *word, const char *text)
{
        return cm_str_equal(word->text, cm_str_from(text));
}

/* One of the letters that Hebrew puts in front of a word. */
static bool strip_prefix(struct cm_str *word)
{
        static const char *const prefixes[] = { "ב", "ל", "ו", "כ", "ה", "ש" };

        for (size_t i = 0; i < CM_COUNT(prefixes); i++)
                if (word->len > 4 && cm_str_starts(*word, cm_str_from(prefixes[i]))) {
                        *word = (struct cm_str){ word->data + 2, word->len - 2 };
                        return true;
                }
        return false;
}

bool chat_word_in(const struct chat_word *word, const char *const *list)
{
        struct cm_str text = word->text;

        do {
                for (size_t i = 0; list[i]; i++)
                        if (cm_str_equal(text, cm_str_from(list[i])))
                                return true;
        } while (strip_prefix(&text));
        return false;
}

static int value_of(struct cm_str text)
{
        do {
                for (size_t i = 0; i < CM_COUNT(words); i++)
                        if (cm_str_equal(text, cm_str_from(words[i].word)))
                                return words[i].value;
        } while (strip_prefix(&text));
        return -1;
}

static bool is_half(const struct chat_word *word)
{
        static const char *const halves[] = { "half", "חצי", NULL };

        return chat_word_in(word, halves);
}

static bool is_joined(const struct chat_word *word)
{
        return !(word->breaks & (CHAT_BREAK_SENTENCE | CHAT_BREAK_LINE)) &&
               (!(word->breaks & CHAT_BREAK_COMMA) || word->sign == '-');
}

/* "and a half", "וחצי" behind a number. */
static size_t half_at(const struct chat_text *text, size_t at, size_t end)
{
        if (at < end && is(&text->words[at], "וחצי"))
                return 1;
        if (at + 1 < end && is(&text->words[at], "and") && is_half(&text->words[at + 1]))
                return 2;
        if (at + 2 < end && is(&text->words[at], "and") && is(&text->words[at + 1], "a") &&
            is_half(&text->words[at + 2]))
                return 3;
        return 0;
}

/* A further word that adds to (twenty five) or multiplies (two hundred, a dozen) what was read. */
static bool read_more(const struct chat_word *word, double *value, double *last)
{
        int next = word->is_number ? -1 : value_of(word->text);

        if (next < 0 || !is_joined(word))
                return false;
        if (next == 100 && *value > 0 && *value < 10)
                *value *= 100;
        else if (next == 12 && is(word, "dozen") && *value < 100)
                *value *= 12;
        else if ((*last >= 20 && next < *last && next > 0 && (*last < 100 ? next < 10 : true)) ||
                 (*last < 10 && next == 10 && (unsigned char)word->text.data[0] >= 0x80))
                *value += next;
        else
                return false;
        *last = next;
        return true;
}

size_t chat_number_at(const struct chat_text *text, size_t at, size_t end, double *value_r)
{
        const struct chat_word *word = &text->words[at];
        size_t used = 1, half;
        double last;

        if (at >= end)
                return 0;
        if (word->is_number) {
                *value_r = word->number;
                half = half_at(text, at + 1, end);
                *value_r += half ? 0.5 : 0;
                return 1 + half;
        }
        if (is_half(word)) {
                *value_r = 0.5;
                return at + 1 < end && is(&text->words[at + 1], "a") ? 2 : 1;
        }
        if ((is(word, "a") || is(word, "an")) && at + 1 < end) {
                double next = 1;
                size_t more = is(&text->words[at + 1], "couple") ||
                                              is(&text->words[at + 1], "dozen") ||
                                              is(&text->words[at + 1], "hundred")
                                      ? chat_number_at(text, at + 1, end, &next)
                                      : 0;

                *value_r = next;
                used += more;
                return used + (more && at + used < end && is(&text->words[at + used], "of"));
        }
        *value_r = value_of(word->text);
        if (*value_r < 0)
                return 0;
        last = *value_r;
        while (at + used < end && read_more(&text->words[at + used], value_r, &last))
                used++;
        half = half_at(text, at + used, end);
        *value_r += half ? 0.5 : 0;
        used += half;
        if (at + used < end && is(word, "couple") && is(&text->words[at + used], "of"))
                used++;
        return used;
}
