#include "codec/text.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static struct cm_str mapped(struct cm_arena *arena, struct cm_str text, utf8proc_option_t options)
{
        utf8proc_uint8_t *out = NULL;
        utf8proc_ssize_t len;
        struct cm_str copy;

        if (!text.len)
                return cm_arena_str(arena, text);
        len = utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.len, &out,
                           options);
        if (len < 0)
                return CM_STR_NONE;
        copy = cm_arena_str(arena, (struct cm_str){ (const char *)out, (size_t)len });
        free(out);
        return copy;
}

struct cm_str cm_text_nfc(struct cm_arena *arena, struct cm_str text)
{
        return mapped(arena, text, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
}

struct cm_str cm_text_fold(struct cm_arena *arena, struct cm_str text)
{
        return mapped(arena, text, UTF8PROC_COMPOSE | UTF8PROC_STABLE | UTF8PROC_CASEFOLD);
}

/* ---- e-mail addresses */

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_letter(unsigned char c)
{
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

#define LOCAL_MAX  64  /* RFC 5321 section 4.5.3.1.1 */
#define DOMAIN_MAX 255 /* section 4.5.3.1.2 */
#define EMAIL_MAX  254 /* section 4.5.3.1.3: a path of 256 with its angle brackets */

static bool split_email(struct cm_str email, struct cm_str *local_r, struct cm_str *domain_r)
{
        const char *at = email.len ? memrchr(email.data, '@', email.len) : NULL;

        if (!at || email.len > EMAIL_MAX)
                return false;
        *local_r = (struct cm_str){ email.data, (size_t)(at - email.data) };
        *domain_r = (struct cm_str){ at + 1, email.len - local_r->len - 1 };
        return local_r->len >= 1 && local_r->len <= LOCAL_MAX && domain_r->len >= 1 &&
               domain_r->len <= DOMAIN_MAX;
}

/* dot-atom of RFC 5322, with the UTF-8 of RFC 6531. */
static bool is_local_part(struct cm_str local)
{
        static const char marks[] = "!#$%&'*+-/=?^_`{|}~";
        bool after_dot = true;

        for (size_t i = 0; i < local.len; i++) {
                unsigned char c = (unsigned char)local.data[i];

                if (c == '.') {
                        if (after_dot)
                                return false;
                        after_dot = true;
                        continue;
                }
                if (!is_letter(c) && !is_digit((char)c) && c < 0x80 && (!c || !strchr(marks, c)))
                        return false;
                after_dot = false;
        }
        return !after_dot && cm_utf8_is_valid(local);
}

/* libidn2 maps: it would drop an underscore and go on. ASCII must be right as it stands. */
static bool is_plain(struct cm_str domain)
{
        for (size_t i = 0; i < domain.len; i++) {
                unsigned char c = (unsigned char)domain.data[i];

                if (c < 0x80 && !is_letter(c) && !is_digit((char)c) && c != '-' && c != '.')
                        return false;
        }
        return true;
}

/* A-labels of the domain by IDNA 2008, or false. */
static bool domain_to_ascii(struct cm_str domain, char out[DOMAIN_MAX + 1])
{
        char text[DOMAIN_MAX + 1], *ascii = NULL;
        bool ok;

        if (domain.len > DOMAIN_MAX || !is_plain(domain))
                return false;
        memcpy(text, domain.data, domain.len);
        text[domain.len] = '\0';
        if (idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) !=
            IDN2_OK)
                return false;
        ok = strlen(ascii) <= DOMAIN_MAX && strchr(ascii, '.');
        if (ok)
                strcpy(out, ascii);
        idn2_free(ascii);
        return ok;
}

/* Letters, digits and inner hyphens; no empty label, and the last one is no number. */
static bool is_host_name(const char *ascii)
{
        struct cm_str rest = cm_str_from(ascii), label = CM_STR_NONE;

        while (cm_str_split(&rest, '.', &label)) {
                if (!label.len || label.len > 63 || label.data[0] == '-' ||
                    label.data[label.len - 1] == '-')
                        return false;
                for (size_t i = 0; i < label.len; i++) {
                        char c = label.data[i];

                        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
                                return false;
                }
        }
        return label.len && (label.data[0] < '0' || label.data[0] > '9');
}

static bool email_parts(struct cm_str email, struct cm_str *local_r, char domain_r[DOMAIN_MAX + 1])
{
        struct cm_str domain;

        return split_email(email, local_r, &domain) && is_local_part(*local_r) &&
               domain_to_ascii(domain, domain_r) && is_host_name(domain_r);
}

bool cm_email_is_valid(struct cm_str email)
{
        char domain[DOMAIN_MAX + 1];
        struct cm_str local;

        return email_parts(email, &local, domain);
}

struct cm_str cm_email_canonical(struct cm_arena *arena, struct cm_str email)
{
        char domain[DOMAIN_MAX + 1];
        struct cm_str local;

        if (!email_parts(email, &local, domain))
                return CM_STR_NONE;
        local = cm_text_fold(arena, local);
        return local.data ? cm_arena_printf(arena, "%s@%s", local.data, domain) : CM_STR_NONE;
}

/* ---- language tags, RFC 5646 section 2.1 */

static bool is_alpha(struct cm_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_letter((unsigned char)s.data[i]))
                        return false;
        return true;
}

static bool is_alphanumeric(struct cm_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_digit(s.data[i]) && !is_alpha((struct cm_str){ s.data + i, 1 }))
                        return false;
        return true;
}

static bool is_variant(struct cm_str s)
{
        return is_alphanumeric(s) &&
               ((s.len >= 5 && s.len <= 8) || (s.len == 4 && is_digit(s.data[0])));
}

static bool is_region(struct cm_str s)
{
        return (s.len == 2 && is_alpha(s)) ||
               (s.len == 3 && is_digit(s.data[0]) && is_digit(s.data[1]) && is_digit(s.data[2]));
}

/* Extensions ("u-ca-hebrew") and private use ("x-anything"): a singleton, then at least one more.
 */
static bool are_extensions(struct cm_str first, struct cm_str rest)
{
        struct cm_str part = first;
        bool private_use = false;

        do {
                size_t shortest = private_use ? 1 : 2;

                if (!is_alphanumeric(part) || part.len < 1 || part.len > 8)
                        return false;
                if (part.len == 1 && !private_use) {
                        private_use = (part.data[0] | 0x20) == 'x';
                        shortest = private_use ? 1 : 2;
                        if (!cm_str_split(&rest, '-', &part) || part.len < shortest ||
                            part.len > 8 || !is_alphanumeric(part))
                                return false;
                }
        } while (cm_str_split(&rest, '-', &part));
        return true;
}

bool cm_language_is_valid(struct cm_str tag)
{
        struct cm_str rest = tag, part;
        int extended = 0;
        bool more;

        if (tag.len > 64 || !cm_str_split(&rest, '-', &part) || !is_alpha(part))
                return false;
        if (part.len == 1) /* "x-…": private use as a whole */
                return (part.data[0] | 0x20) == 'x' && are_extensions(part, rest);
        if (part.len < 2 || part.len > 8)
                return false;
        extended = part.len <= 3 ? 0 : 3;
        more = cm_str_split(&rest, '-', &part);
        for (; more && extended < 3 && part.len == 3 && is_alpha(part); extended++)
                more = cm_str_split(&rest, '-', &part);
        if (more && part.len == 4 && is_alpha(part)) /* script */
                more = cm_str_split(&rest, '-', &part);
        if (more && is_region(part))
                more = cm_str_split(&rest, '-', &part);
        while (more && is_variant(part))
                more = cm_str_split(&rest, '-', &part);
        return !more || (part.len == 1 && are_extensions(part, rest));
}
