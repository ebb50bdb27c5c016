#include "pii.h"

#include <ctype.h>
#include <string.h>

#include "codec/text.h"
#include "pii_names.h"

/*
 * At each place where something may begin, the recognisers are asked in turn; the first that finds
 * its form takes the span. Digits decide by checksums where there are any, else by how they are
 * grouped and what was said before.
 */
struct scan {
        const char *data;
        size_t len;
};

static char at(const struct scan *scan, size_t i)
{
        return i < scan->len ? scan->data[i] : 0;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
        return isalnum((unsigned char)c) != 0;
}

/* Nothing before it that would make it part of a longer word or number. Hebrew prefixes may. */
static bool is_start(const struct scan *scan, size_t i)
{
        return i == 0 || !(is_alnum(scan->data[i - 1]) || scan->data[i - 1] == '_');
}

static bool is_end(const struct scan *scan, size_t i)
{
        return !is_alnum(at(scan, i)) && at(scan, i) != '_';
}

/* ---- e-mail, URL, IP */

static bool is_local_char(char c)
{
        return is_alnum(c) || (unsigned char)c >= 0x80 || (c && strchr(".!#$%&'*+/=?^_{|}~-", c));
}

static bool is_domain_char(char c)
{
        return is_alnum(c) || c == '.' || c == '-' || (unsigned char)c >= 0xc3;
}

static size_t email_at(const struct scan *scan, size_t start)
{
        size_t i = start, end;

        while (is_local_char(at(scan, i)) && i - start < 64)
                i++;
        if (i == start || at(scan, i) != '@')
                return 0;
        end = i + 1;
        while (is_domain_char(at(scan, end)))
                end++;
        while (end > i + 1 && strchr(".-", scan->data[end - 1]))
                end--;
        return cm_email_is_valid((struct cm_str){ scan->data + start, end - start }) ? end : 0;
}

static bool starts(const struct scan *scan, size_t i, const char *word)
{
        for (size_t j = 0; word[j]; j++)
                if (tolower((unsigned char)at(scan, i + j)) != (unsigned char)word[j])
                        return false;
        return true;
}

static size_t url_at(const struct scan *scan, size_t start)
{
        size_t i = start;

        if (starts(scan, i, "http://"))
                i += 7;
        else if (starts(scan, i, "https://"))
                i += 8;
        else if (starts(scan, i, "www."))
                i += 4;
        else
                return 0;
        if (!is_alnum(at(scan, i)))
                return 0;
        while (at(scan, i) && !isspace((unsigned char)at(scan, i)) &&
               !strchr("<>\"{}|\\^`", at(scan, i)))
                i++;
        while (i > start && strchr(".,;:!?)'", scan->data[i - 1]))
                i--;
        return i;
}

static size_t octet_at(const struct scan *scan, size_t i)
{
        int value = 0;
        size_t end = i;

        while (is_digit(at(scan, end)) && end - i < 3)
                value = value * 10 + (scan->data[end++] - '0');
        return end > i && value < 256 ? end : 0;
}

static size_t ip4_at(const struct scan *scan, size_t start)
{
        size_t i = start && scan->data[start - 1] == '.' ? 0 : octet_at(scan, start);

        for (int part = 1; part < 4 && i; part++)
                i = at(scan, i) == '.' ? octet_at(scan, i + 1) : 0;
        return i && !is_digit(at(scan, i)) && !(at(scan, i) == '.' && is_digit(at(scan, i + 1)))
                       ? i
                       : 0;
}

/* Groups of hexadecimal digits with colons: eight, or fewer with one "::". */
static size_t ip6_at(const struct scan *scan, size_t start)
{
        size_t i = start, groups = 0, digits = 0, colons = 0, gaps = 0;

        while (isxdigit((unsigned char)at(scan, i)) || at(scan, i) == ':') {
                if (at(scan, i) == ':') {
                        colons++;
                        gaps += at(scan, i + 1) == ':';
                        digits = 0;
                } else {
                        groups += digits == 0;
                        if (++digits > 4)
                                return 0;
                }
                i++;
        }
        return gaps < 2 && ((groups == 8 && colons == 7 && !gaps) ||
                            (gaps && groups > 1 && colons > 2))
                       ? i
                       : 0;
}

/* ---- checksums */

static size_t iban_at(const struct scan *scan, size_t start)
{
        char plain[35];
        size_t len = 0, i = start;
        int rest = 0;

        if (!isalpha((unsigned char)at(scan, i)) || !isalpha((unsigned char)at(scan, i + 1)) ||
            !is_digit(at(scan, i + 2)) || !is_digit(at(scan, i + 3)))
                return 0;
        while (len < sizeof(plain) - 1) {
                if (is_alnum(at(scan, i)))
                        plain[len++] = (char)toupper((unsigned char)scan->data[i++]);
                else if ((at(scan, i) == ' ' || at(scan, i) == '-') && is_alnum(at(scan, i + 1)) &&
                         len % 4 == 0)
                        i++;
                else
                        break;
        }
        /* Words may follow: the longest part that holds. */
        for (; len >= 15; len--, i--) {
                rest = 0;
                for (size_t j = 0; j < len; j++) {
                        char c = plain[(j + 4) % len];

                        rest = is_digit(c) ? (rest * 10 + (c - '0')) % 97
                                           : (rest * 100 + (c - 'A' + 10)) % 97;
                }
                if (rest == 1 && is_end(scan, i))
                        return i;
                while (i > start && !is_alnum(scan->data[i - 1]))
                        i--;
        }
        return 0;
}

static bool is_luhn(const char *digits, size_t len)
{
        int sum = 0;

        for (size_t i = 0; i < len; i++) {
                int digit = digits[len - 1 - i] - '0';

                digit *= i % 2 ? 2 : 1;
                sum += digit > 9 ? digit - 9 : digit;
        }
        return sum % 10 == 0;
}

/* Weights 1, 2, 1 … from the left over nine digits. */
static bool is_teudat_zehut(const char *digits)
{
        int sum = 0;

        for (int i = 0; i < 9; i++) {
                int digit = (digits[i] - '0') * (i % 2 ? 2 : 1);

                sum += digit > 9 ? digit - 9 : digit;
        }
        return sum % 10 == 0 && memcmp(digits, "000000000", 9) != 0;
}

/* ---- runs of digits */

struct digits {
        char plain[24];
        size_t count, groups, shortest, end;
        bool has_plus, has_bracket, has_dash, has_dot, has_slash, has_blank;
};

/* A number and how it is written: digits with single separators between them. */
static bool read_digits(const struct scan *scan, size_t start, struct digits *run)
{
        size_t i = start, group = 0;

        *run = (struct digits){ .shortest = 99 };
        run->has_plus = at(scan, i) == '+';
        i += run->has_plus;
        if (at(scan, i) == '(') {
                run->has_bracket = true;
                i++;
        }
        while (is_digit(at(scan, i))) {
                for (group = 0; is_digit(at(scan, i)) && run->count < sizeof(run->plain); group++)
                        run->plain[run->count++] = scan->data[i++];
                run->groups++;
                run->shortest = group < run->shortest ? group : run->shortest;
                run->end = i;
                for (int skipped = 0; skipped < 3 && at(scan, i) && strchr(" -.()/", at(scan, i));
                     skipped++) {
                        char c = scan->data[i++];

                        run->has_bracket = run->has_bracket || c == '(';
                        run->has_dash = run->has_dash || (c == '-' && is_digit(at(scan, i)));
                        run->has_dot = run->has_dot || (c == '.' && is_digit(at(scan, i)));
                        run->has_slash = run->has_slash || (c == '/' && is_digit(at(scan, i)));
                        run->has_blank = run->has_blank || (c == ' ' && is_digit(at(scan, i)));
                }
                if (run->count == sizeof(run->plain))
                        break;
        }
        return run->count > 0 && is_end(scan, run->end);
}

/* Whether one of the words stands in the 32 bytes before. */
static bool is_after(const struct scan *scan, size_t start, const char *const *words)
{
        size_t from = start > 40 ? start - 40 : 0;

        for (size_t i = 0; words[i]; i++)
                for (size_t j = from; j + strlen(words[i]) <= start; j++)
                        if (starts(scan, j, words[i]))
                                return true;
        return false;
}

static bool is_phone(const struct scan *scan, size_t start, const struct digits *run)
{
        static const char *const words[] = { "phone",   "call",    "tel",      "mobile", "cell",
                                             "fax",     "text me", "whatsapp", "number", "reach me",
                                             "contact", "טלפון",   "נייד",     "פלאפון", "להתקשר",
                                             "מספר",    "וואטסאפ", NULL };
        bool grouped = run->groups > 1 && run->shortest >= 2;

        if (run->count < 7 || run->count > 15 || run->has_slash)
                return false;
        if (run->has_plus)
                return run->count >= 8;
        if (run->plain[0] == '0')
                return run->count >= 8 && (run->count <= 11 || run->plain[1] == '0') &&
                       !(run->has_dot && run->groups == 2);
        if (is_after(scan, start, words))
                return true;
        if (!grouped && !(run->groups > 2 && run->plain[0] == '1'))
                return false;
        return run->has_bracket || (run->has_dash && run->count >= 8) ||
               (run->has_dot && run->groups > 2 && run->count >= 9);
}

static bool is_social_security(const struct scan *scan, size_t start, const struct digits *run)
{
        return run->count == 9 && run->groups == 3 && run->has_dash && !run->has_blank &&
               at(scan, start + 3) == '-' && at(scan, start + 6) == '-';
}

static const char *const birth_words[] = { "born", "birth", "dob", "d.o.b", "נולד", "לידה", NULL };

/* 3 parts, one of them a year: 12/03/1980, 1980-03-12, 12.3.80. */
static bool is_date(const struct digits *run)
{
        return run->groups == 3 && run->count >= 4 && run->count <= 8 &&
               (run->has_slash || run->has_dash || run->has_dot) && !run->has_bracket;
}

static size_t number_at(const struct scan *scan, size_t start, enum pii_kind *kind)
{
        struct digits run;

        if (!read_digits(scan, start, &run))
                return 0;
        if (is_date(&run) && !run.has_plus) {
                *kind = PII_BIRTH;
                return is_after(scan, start, birth_words) ? run.end : 0;
        }
        if (run.count >= 12 && run.count <= 19 && !run.has_plus && !run.has_bracket &&
            is_luhn(run.plain, run.count) && (run.groups == 1 || run.shortest >= 3)) {
                *kind = PII_CARD;
                return run.end;
        }
        if (is_social_security(scan, start, &run) ||
            (run.count == 9 && !run.has_plus && run.groups <= 2 && !run.has_dot &&
             is_teudat_zehut(run.plain))) {
                *kind = PII_ID;
                return run.end;
        }
        *kind = PII_PHONE;
        return is_phone(scan, start, &run) ? run.end : 0;
}

/* "12 March 1980", "March 12, 1980", "12 במרץ 1980" behind words of birth. */
static size_t written_date_at(const struct scan *scan, size_t start)
{
        static const char *const months[] = { "jan",    "feb",     "mar",    "apr",    "may",
                                              "jun",    "jul",     "aug",    "sep",    "oct",
                                              "nov",    "dec",     "ינואר",  "פברואר", "מרץ",
                                              "אפריל",  "מאי",     "יוני",   "יולי",   "אוגוסט",
                                              "ספטמבר", "אוקטובר", "נובמבר", "דצמבר",  NULL };
        size_t i = start, digits = 0;
        bool month = false;

        if (!is_after(scan, start, birth_words))
                return 0;
        while (i < scan->len && i - start < 40) {
                if (is_digit(scan->data[i])) {
                        size_t from = i;

                        while (is_digit(at(scan, i)))
                                i++;
                        digits += i - from;
                        if (i - from == 4)
                                return month && digits >= 5 ? i : 0;
                        continue;
                }
                for (size_t j = 0; months[j] && !month; j++)
                        month = starts(scan, i, months[j]);
                if (isspace((unsigned char)scan->data[i]) && !month && digits == 0)
                        return 0;
                i++;
        }
        return 0;
}

/* "[EMAIL_1]" as somebody may write it. */
static size_t pseudonym_at(const struct scan *scan, size_t start)
{
        for (int kind = 0; kind < PII_KINDS; kind++) {
                size_t len = strlen(pii_kind_name((enum pii_kind)kind)), i = start + 1 + len;

                if (strncmp(scan->data + start + 1, pii_kind_name((enum pii_kind)kind),
                            start + 1 + len < scan->len ? len : 0) != 0 ||
                    at(scan, i) != '_' || !is_digit(at(scan, i + 1)))
                        continue;
                for (i++; is_digit(at(scan, i)); i++)
                        ;
                return at(scan, i) == ']' ? i + 1 : 0;
        }
        return 0;
}

/* ---- the whole */

static size_t find_at(const struct scan *scan, size_t i, enum pii_kind *kind)
{
        char c = scan->data[i];
        size_t end = 0;

        if (c == '[') {
                *kind = PII_TEXT;
                return pseudonym_at(scan, i);
        }
        if (!is_start(scan, i))
                return 0;
        *kind = PII_NAME;
        if ((end = pii_name_at((struct cm_str){ scan->data, scan->len }, i)))
                return end;
        if (is_local_char(c) && (end = email_at(scan, i))) {
                *kind = PII_EMAIL;
                return end;
        }
        if (isalpha((unsigned char)c)) {
                *kind = PII_URL;
                if ((end = url_at(scan, i)))
                        return end;
                *kind = PII_IBAN;
                if ((end = iban_at(scan, i)))
                        return end;
        }
        if (is_digit(c) || isxdigit((unsigned char)c)) {
                *kind = PII_IP;
                if ((end = ip4_at(scan, i)) || (end = ip6_at(scan, i)))
                        return end;
        }
        if ((is_digit(c) || isalpha((unsigned char)c)) && (end = written_date_at(scan, i))) {
                *kind = PII_BIRTH;
                return end;
        }
        return is_digit(c) || c == '+' || c == '(' ? number_at(scan, i, kind) : 0;
}

static void add_span(struct cm_arena *arena, struct pii_span **spans, size_t *count,
                     struct pii_span span)
{
        struct pii_span *longer;

        if ((*count & (*count - 1)) == 0) { /* 0 or a power of two: full */
                longer = cm_arena_array(arena, *count ? 2 * *count : 1, sizeof(*longer));
                if (*count)
                        memcpy(longer, *spans, *count * sizeof(*longer));
                *spans = longer;
        }
        (*spans)[(*count)++] = span;
}

/* Behind a number that was looked at, its other digits need not be: they were part of it. */
static size_t skip_from(const struct scan *scan, size_t i)
{
        if (!is_digit(scan->data[i]))
                return i + 1;
        while (is_digit(at(scan, i)))
                i++;
        return i;
}

struct pii_span *pii_find(struct cm_arena *arena, struct cm_str text, size_t *count_r)
{
        const struct scan scan = { text.data, text.len };
        struct pii_span *spans = NULL;
        size_t count = 0;

        for (size_t i = 0; i < text.len;) {
                enum pii_kind kind = PII_TEXT;
                size_t end = find_at(&scan, i, &kind);

                if (!end) {
                        i = skip_from(&scan, i);
                        continue;
                }
                add_span(arena, &spans, &count, (struct pii_span){ kind, i, end });
                i = end;
        }
        *count_r = count;
        return spans;
}

const char *pii_kind_name(enum pii_kind kind)
{
        static const char *const names[PII_KINDS] = {
                "EMAIL", "PHONE", "IBAN", "CARD", "ID", "BIRTHDATE", "URL", "IP", "NAME", "TEXT"
        };

        return names[kind];
}
