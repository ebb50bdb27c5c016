#include <ctype.h>
#include <string.h>

#include "base/attr.h"
#include "codec/text.h"

/*
 * RFC 5646 section 2.1:
 *   langtag = language ["-" script] ["-" region] *("-" variant) *("-" extension) ["-" privateuse]
 * Each step takes the subtags that are its own and leaves the rest.
 */

/* Tags from before the rules, which do not follow them. */
static const char *const irregular[] = {
        "en-GB-oed", "i-ami", "i-bnn",     "i-default", "i-enochian", "i-hak",
        "i-klingon", "i-lux", "i-mingo",   "i-navajo",  "i-pwn",      "i-tao",
        "i-tay",     "i-tsu", "sgn-BE-FR", "sgn-BE-NL", "sgn-CH-DE",
};

static bool all(struct cm_str text, int (*is)(int))
{
        for (size_t i = 0; i < text.len; i++)
                if ((unsigned char)text.data[i] >= 0x80 || !is((unsigned char)text.data[i]))
                        return false;
        return true;
}

static struct cm_str peek(struct cm_str rest)
{
        struct cm_str part = CM_STR("");

        (void)cm_str_split(&rest, '-', &part);
        return part;
}

static void drop(struct cm_str *rest)
{
        struct cm_str part;

        (void)cm_str_split(rest, '-', &part);
}

static bool is_shaped(struct cm_str part, size_t min, size_t max, int (*is)(int))
{
        return part.len >= min && part.len <= max && all(part, is);
}

/* 2 or 3 letters and up to three extended ones of 3; or 4 to 8 letters. */
static bool take_language(struct cm_str *rest)
{
        struct cm_str part = peek(*rest);

        if (!is_shaped(part, 2, 8, isalpha))
                return false;
        drop(rest);
        for (int i = 0; part.len <= 3 && i < 3 && is_shaped(peek(*rest), 3, 3, isalpha); i++)
                drop(rest);
        return true;
}

static void take_script_and_region(struct cm_str *rest)
{
        if (is_shaped(peek(*rest), 4, 4, isalpha))
                drop(rest);
        if (is_shaped(peek(*rest), 2, 2, isalpha) || is_shaped(peek(*rest), 3, 3, isdigit))
                drop(rest);
}

static bool is_variant(struct cm_str part)
{
        return is_shaped(part, 5, 8, isalnum) ||
               (is_shaped(part, 4, 4, isalnum) && isdigit((unsigned char)part.data[0]));
}

/* A singleton with at least one subtag of its own. */
static bool take_extension(struct cm_str *rest, size_t min)
{
        drop(rest);
        if (!is_shaped(peek(*rest), min, 8, isalnum))
                return false;
        while (is_shaped(peek(*rest), min, 8, isalnum))
                drop(rest);
        return true;
}

static bool take_extensions(struct cm_str *rest)
{
        bool seen[128] = { false };

        while (is_shaped(peek(*rest), 1, 1, isalnum)) {
                int singleton = tolower((unsigned char)rest->data[0]);

                if (seen[singleton] || !take_extension(rest, singleton == 'x' ? 1 : 2))
                        return false;
                seen[singleton] = true;
                if (singleton == 'x')
                        break;
        }
        return true;
}

bool cm_language_is_valid(struct cm_str tag)
{
        struct cm_str rest = tag;

        for (size_t i = 0; i < CM_COUNT(irregular); i++)
                if (cm_str_equal_nocase(tag, cm_str_from(irregular[i])))
                        return true;
        if (!tag.len || tag.data[tag.len - 1] == '-')
                return false;
        if (!cm_str_equal_nocase(peek(rest), CM_STR("x"))) {
                if (!take_language(&rest))
                        return false;
                take_script_and_region(&rest);
                while (is_variant(peek(rest)))
                        drop(&rest);
        }
        return take_extensions(&rest) && !rest.data;
}
