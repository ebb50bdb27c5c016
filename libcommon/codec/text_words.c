#include <string.h>
#include <utf8proc.h>

#include "codec/text.h"

enum kind { OTHER, LETTER, DIGIT, SYMBOL, APOSTROPHE, POINT };

static enum kind kind_of(int32_t code)
{
        switch (code) {
        case '\'':
        case '"':
        case 0x2019: /* right single quotation mark */
        case 0x05f3: /* geresh */
        case 0x05f4: /* gershayim */
                return APOSTROPHE;
        case '.':
        case ',':
                return POINT;
        default:
                break;
        }
        switch (utf8proc_category(code)) {
        case UTF8PROC_CATEGORY_LU:
        case UTF8PROC_CATEGORY_LL:
        case UTF8PROC_CATEGORY_LT:
        case UTF8PROC_CATEGORY_LM:
        case UTF8PROC_CATEGORY_LO:
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_MC:
        case UTF8PROC_CATEGORY_ME:
                return LETTER;
        case UTF8PROC_CATEGORY_ND:
        case UTF8PROC_CATEGORY_NL:
        case UTF8PROC_CATEGORY_NO:
                return DIGIT;
        case UTF8PROC_CATEGORY_SO:
        case UTF8PROC_CATEGORY_SC:
                return SYMBOL;
        default:
                return OTHER;
        }
}

/* The kind of what stands at `at`, and its bytes in *len_r; what is not well-formed is one byte of
 * no word. */
static enum kind look(struct cm_str text, size_t at, size_t *len_r)
{
        utf8proc_ssize_t len;
        int32_t code;

        *len_r = 1;
        if (at >= text.len)
                return OTHER;
        len = utf8proc_iterate((const utf8proc_uint8_t *)text.data + at,
                               (utf8proc_ssize_t)(text.len - at), &code);
        if (len <= 0)
                return OTHER;
        *len_r = (size_t)len;
        return kind_of(code);
}

static bool is_word(enum kind kind)
{
        return kind == LETTER || kind == DIGIT || kind == SYMBOL;
}

/* Whether a mark of that kind at `at` joins what is before it with what follows. */
static bool joins(struct cm_str text, size_t at, size_t len, enum kind before)
{
        size_t unused;

        switch (look(text, at, &unused)) {
        case APOSTROPHE:
                return before == LETTER && look(text, at + len, &unused) == LETTER;
        case POINT:
                return before == DIGIT && look(text, at + len, &unused) == DIGIT;
        default:
                return false;
        }
}

bool cm_text_next_word(struct cm_str *rest, struct cm_str *word_r)
{
        enum kind kind, before = OTHER;
        size_t start = 0, end, len;

        while (start < rest->len && !is_word(look(*rest, start, &len)))
                start += len;
        for (end = start; end < rest->len; end += len) {
                kind = look(*rest, end, &len);
                if (!is_word(kind) && !joins(*rest, end, len, before))
                        break;
                before = kind;
        }
        *word_r = (struct cm_str){ rest->data + start, end - start };
        *rest = (struct cm_str){ rest->data + end, rest->len - end };
        return end > start;
}
