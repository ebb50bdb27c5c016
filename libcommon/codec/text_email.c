#include <ctype.h>
#include <idn2.h>
#include <string.h>
#include <utf8proc.h>

#include "codec/text.h"

/*
 * Addresses as people have them: what RFC 5321 calls a Mailbox, less the forms that no provider
 * gives out (quoted local parts, address literals), more what RFC 6531 adds (UTF-8 on both sides).
 * Lengths count octets.
 */
#define LOCAL_MAX  64
#define DOMAIN_MAX 253
#define EMAIL_MAX  254
#define LABEL_MAX  63

static bool is_local_code_point(utf8proc_int32_t c)
{
        switch (utf8proc_category(c)) {
        case UTF8PROC_CATEGORY_CN: /* unassigned */
        case UTF8PROC_CATEGORY_CC: /* controls, invisible formats, private use, surrogates */
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CO:
        case UTF8PROC_CATEGORY_CS:
        case UTF8PROC_CATEGORY_ZS: /* blanks and separators */
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
                return false;
        default:
                return true;
        }
}

/* The length of one character of an atom, 0 when it is none. */
static size_t atom_char(struct cm_str text)
{
        unsigned char c = (unsigned char)text.data[0];
        utf8proc_int32_t code_point;
        utf8proc_ssize_t len;

        if (c < 0x80)
                return isalnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ? 1 : 0;
        len = utf8proc_iterate((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.len,
                               &code_point);
        return len > 0 && is_local_code_point(code_point) ? (size_t)len : 0;
}

/* atoms, with single dots between them */
static bool local_is_valid(struct cm_str local)
{
        bool dot = true;

        if (!local.len || local.len > LOCAL_MAX)
                return false;
        while (local.len) {
                size_t len = 1;

                if (local.data[0] == '.') {
                        if (dot)
                                return false;
                        dot = true;
                } else {
                        len = atom_char(local);
                        if (!len)
                                return false;
                        dot = false;
                }
                local.data += len;
                local.len -= len;
        }
        return !dot;
}

/* Letters, digits and inner hyphens. */
static bool label_is_valid(struct cm_str label)
{
        if (!label.len || label.len > LABEL_MAX || label.data[0] == '-' ||
            label.data[label.len - 1] == '-')
                return false;
        for (size_t i = 0; i < label.len; i++)
                if (!isalnum((unsigned char)label.data[i]) && label.data[i] != '-')
                        return false;
        return true;
}

static bool is_all_digits(struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++)
                if (!isdigit((unsigned char)text.data[i]))
                        return false;
        return true;
}

/* At least two labels, the last of them not a number (that would be an address). */
static bool ascii_domain_is_valid(struct cm_str domain)
{
        struct cm_str rest = domain, label;
        int labels = 0;

        if (domain.len > DOMAIN_MAX)
                return false;
        while (cm_str_split(&rest, '.', &label)) {
                if (!label_is_valid(label))
                        return false;
                labels++;
        }
        return labels >= 2 && !is_all_digits(label);
}

/* libidn2 maps: it may drop a character and go on. ASCII must be right as it stands. */
static bool ascii_is_plain(struct cm_str domain)
{
        for (size_t i = 0; i < domain.len; i++) {
                unsigned char c = (unsigned char)domain.data[i];

                if (c < 0x80 && !isalnum(c) && c != '-' && c != '.')
                        return false;
        }
        return true;
}

/* Other ASCII is what it stands for; two hyphens are A-labels or what IDNA refuses. Most addresses
 * are so, and a process that never sees others does not take in libunistring's tables. */
static bool needs_idna(struct cm_str domain)
{
        for (size_t i = 0; i < domain.len; i++)
                if ((unsigned char)domain.data[i] >= 0x80)
                        return true;
        return memmem(domain.data, domain.len, "--", 2) != NULL;
}

/* The domain as A-labels in lower case; false when IDNA 2008 does not allow it. */
static bool domain_to_ascii(struct cm_str domain, char out[DOMAIN_MAX + 1])
{
        char copy[256];
        uint8_t *found = NULL;
        const char *labels = copy;
        bool ok;

        if (!domain.len || domain.len >= sizeof(copy) || !ascii_is_plain(domain))
                return false;
        memcpy(copy, domain.data, domain.len);
        copy[domain.len] = '\0';
        if (needs_idna(domain)) {
                if (idn2_lookup_u8((const uint8_t *)copy, &found,
                                   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
                        return false;
                labels = (const char *)found;
        }
        ok = ascii_domain_is_valid(cm_str_from(labels));
        if (ok)
                for (size_t i = 0; i <= strlen(labels); i++)
                        out[i] = (char)tolower((unsigned char)labels[i]);
        idn2_free(found);
        return ok;
}

/* Parts at the last @; false when a part is not valid. */
static bool split(struct cm_str email, struct cm_str *local_r, char ascii[DOMAIN_MAX + 1])
{
        const char *at = email.len ? memrchr(email.data, '@', email.len) : NULL;
        struct cm_str domain;

        if (!at || email.len > EMAIL_MAX || !cm_utf8_is_valid(email) ||
            memchr(email.data, '\0', email.len))
                return false;
        *local_r = (struct cm_str){ email.data, (size_t)(at - email.data) };
        domain = (struct cm_str){ at + 1, email.len - local_r->len - 1 };
        return local_is_valid(*local_r) && domain_to_ascii(domain, ascii);
}

bool cm_email_is_valid(struct cm_str email)
{
        char ascii[DOMAIN_MAX + 1];
        struct cm_str local;

        return split(email, &local, ascii);
}

struct cm_str cm_email_canonical(struct cm_arena *arena, struct cm_str email)
{
        char ascii[DOMAIN_MAX + 1];
        struct cm_str local;

        if (!split(email, &local, ascii))
                return CM_STR_NONE;
        local = cm_text_fold(arena, local);
        return cm_arena_printf(arena, "%.*s@%s", CM_STR_ARG(local), ascii);
}
