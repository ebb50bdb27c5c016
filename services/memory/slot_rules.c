#include "slot_rules.h"

#include <ctype.h>
#include <string.h>

/* Normalised words, as analysis.c makes them ("i'm" is "im", no final letters); # is a number. The
 * sentence begins with it, or with one or two words before it ("well, my name is …"). */
static const struct pattern {
        const char *slot;
        const char *words;
} patterns[] = {
        { "name", "my name is" },
        { "name", "please call me" },
        { "name", "קוראימ לי" },
        { "name", "שמי" },
        { "name", "השמ שלי הוא" },
        { "name", "השמ שלי" },
        { "age", "i am # years old" },
        { "age", "im # years old" },
        { "age", "my age is #" },
        { "age", "אני בנ #" },
        { "age", "אני בת #" },
        { "age", "הגיל שלי #" },
        { "birthday", "my birthday is" },
        { "birthday", "i was born on" },
        { "birthday", "יומ ההולדת שלי" },
        { "birthday", "נולדתי ב" },
        { "weight", "i weigh #" },
        { "weight", "my weight is #" },
        { "weight", "אני שוקל #" },
        { "weight", "אני שוקלת #" },
        { "weight", "המשקל שלי #" },
        { "weight", "המשקל שלי הוא #" },
        { "height", "my height is #" },
        { "height", "i am # cm tall" },
        { "height", "im # cm tall" },
        { "height", "הגובה שלי #" },
        { "height", "הגובה שלי הוא #" },
        { "blood_type", "my blood type is" },
        { "blood_type", "סוג הדמ שלי" },
        { "home", "i live in" },
        { "home", "i now live in" },
        { "home", "i moved to" },
        { "home", "אני גר ב" },
        { "home", "אני גרה ב" },
        { "home", "עברתי לגור ב" },
        { "work", "i work as" },
        { "work", "my job is" },
        { "work", "אני עובד בתור" },
        { "work", "אני עובדת בתור" },
        { "phone", "my phone number is" },
        { "phone", "הטלפונ שלי" },
        { "email", "my email is" },
        { "email", "my email address is" },
        { "doctor", "my family doctor is" },
        { "doctor", "רופא המשפחה שלי" },
        { "doctor", "רופאת המשפחה שלי" },
};

enum { MAX_WORDS_BEFORE = 2 };

static bool is_number(struct cm_str word)
{
        for (size_t i = 0; i < word.len; i++)
                if (!isdigit((unsigned char)word.data[i]) && word.data[i] != '.' &&
                    word.data[i] != ',')
                        return false;
        return word.len > 0;
}

/* A pattern that ends in the one letter ב means a word that begins with it ("אני גר בחיפה"). */
static bool word_matches(struct cm_str pattern, bool is_last, struct cm_str word)
{
        if (cm_str_equal(pattern, CM_STR("#")))
                return is_number(word);
        if (is_last && cm_str_equal(pattern, CM_STR("ב")))
                return word.len > pattern.len && cm_str_starts(word, pattern);
        return cm_str_equal(pattern, word);
}

/* What the sentence says must follow, unless the pattern's last word is part of it. */
static bool matches(const struct analysis *text, size_t at, const char *words)
{
        struct cm_str rest = cm_str_from(words), word;
        bool says_it = false;

        while (cm_str_split(&rest, ' ', &word)) {
                bool is_last = !rest.data;

                if (at >= text->count || !word_matches(word, is_last, text->tokens[at].word))
                        return false;
                says_it |= cm_str_equal(word, CM_STR("#")) ||
                           (is_last && cm_str_equal(word, CM_STR("ב")));
                at++;
        }
        if (at < text->count && text->tokens[at].role == TOKEN_NEGATION)
                return false;
        return says_it || at < text->count;
}

struct cm_str slot_find(const struct analysis *text)
{
        if (memchr(text->bare.data, '?', text->bare.len))
                return CM_STR_NONE;
        for (size_t at = 0; at <= MAX_WORDS_BEFORE && at < text->count; at++)
                for (size_t i = 0; i < CM_COUNT(patterns); i++)
                        if (matches(text, at, patterns[i].words))
                                return cm_str_from(patterns[i].slot);
        return CM_STR_NONE;
}
