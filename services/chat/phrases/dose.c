#include "dose.h"

#include <stddef.h>

#include "numbers.h"

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct dose_unit units[] = {
        { "mg", "mg", "מ\"ג",
          WORDS("mg", "mgs", "milligram", "milligrams", "milligramme", "מג", "מיליגרמ",
                "מיליגרמימ") },
        { "ug", "mcg", "מק\"ג",
          WORDS("mcg", "ug", "microgram", "micrograms", "מקג", "מיקרוגרמ", "מיקרוגרמימ") },
        { "g", "g", "גרם", WORDS("g", "gram", "grams", "גרמ", "גרמימ") },
        { "mL", "ml", "מ\"ל",
          WORDS("ml", "milliliter", "milliliters", "millilitre", "millilitres", "cc", "מל",
                "מיליליטר") },
        { "[iU]", "units", "יחידות", WORDS("unit", "units", "iu", "יחידה", "יחידות") },
        { "{tablet}", "tablets", "כדורים",
          WORDS("tablet", "tablets", "pill", "pills", "capsule", "capsules", "כדור", "כדורימ",
                "טבליה", "טבליות", "כמוסה", "כמוסות") },
        { "{drop}", "drops", "טיפות", WORDS("drop", "drops", "טיפה", "טיפות") },
        { "{puff}", "puffs", "שאיפות", WORDS("puff", "puffs", "שאיפה", "שאיפות") },
};

static const struct dose_unit *unit_at(const struct chat_text *text, size_t at)
{
        static const char *const between[] = { "a", "of", NULL };

        if (at < text->count && chat_word_in(&text->words[at], between))
                at++;
        for (size_t i = 0; at < text->count && i < sizeof(units) / sizeof(units[0]); i++)
                if (chat_word_in(&text->words[at], units[i].words))
                        return &units[i];
        return NULL;
}

bool dose_find(const struct chat_text *text, double *value_r, const struct dose_unit **unit_r)
{
        for (size_t at = 0; at < text->count; at++) {
                size_t used = chat_number_at(text, at, text->count, value_r);

                *unit_r = used ? unit_at(text, at + used) : NULL;
                if (*unit_r && *value_r > 0)
                        return true;
        }
        return false;
}

const struct dose_unit *dose_unit_of(struct cm_str ucum)
{
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (cm_str_equal(ucum, cm_str_from(units[i].ucum)))
                        return &units[i];
        return NULL;
}
