#include <stdio.h>
#include <string.h>

#include "cron_internal.h"

/* What a macro stands for. Case counts. */
static const struct {
        const char *name, *fields;
} macros[] = {
        { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
        { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
        { "@hourly", "0 * * * *" },
};

enum { LEAST_FIELDS = 5, WITH_SECONDS = 6, MOST_FIELDS = 7 };

const char *cron_fault_format(const struct cron_fault *fault, char out[CRON_FAULT_TEXT_SIZE])
{
        (void)snprintf(out, CRON_FAULT_TEXT_SIZE, "%s: %s (column %d)", fault->field, fault->reason,
                       fault->column);
        return out;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

/* Splits at blanks. Returns how many parts there are, or MOST_FIELDS + 1 for more than fit; the
 * first too many one is then the last of `parts`. */
static int split(struct cm_str text, struct cm_str parts[MOST_FIELDS + 1])
{
        const char *at = text.data, *end = text.data + text.len;
        int count = 0;

        for (;;) {
                const char *from;

                while (at < end && is_blank(*at))
                        at++;
                if (at == end || count > MOST_FIELDS)
                        return count;
                from = at;
                while (at < end && !is_blank(*at))
                        at++;
                parts[count++] = (struct cm_str){ from, (size_t)(at - from) };
        }
}

static int refuse(struct cron_scanner *s, const char *at, const char *reason)
{
        s->fault->field = "expression";
        (void)cron_refuse(s, at, "%s", reason);
        return CRON_INVALID;
}

static int count_is_wrong(struct cron_scanner *s, const struct cm_str *parts, int count,
                          struct cm_str text)
{
        if (count == 0)
                return refuse(s, s->start, "it is empty");
        if (count > MOST_FIELDS)
                return refuse(s, parts[MOST_FIELDS].data, "more than 7 fields");
        s->fault->field = "expression";
        (void)cron_refuse(s, text.data + text.len, "%d of at least 5 fields", count);
        return CRON_INVALID;
}

static void add_defaults(struct cron *cron, int count)
{
        if (count == LEAST_FIELDS)
                cron->seconds = 1;
        cron->interval |= (cron->seconds & (cron->seconds - 1)) != 0;
        if (cron->any_day || cron->any_weekday || cron->both_days)
                cron->warnings &= ~(uint32_t)CRON_STAR_DAYS_OR;
        if (!cron->any_day && !cron->any_weekday && !cron->both_days)
                cron->warnings |= CRON_DAYS_OR;
}

static int read_fields(struct cron_scanner *s, const struct cm_str *parts, int count)
{
        int first = count == LEAST_FIELDS ? CRON_MINUTE : CRON_SECOND;

        for (int i = 0; i < count; i++) {
                s->field = (enum cron_field)(first + i);
                s->at = parts[i].data;
                s->end = parts[i].data + parts[i].len;
                if (!cron_read_field(s))
                        return CRON_INVALID;
        }
        add_defaults(s->cron, count);
        return 0;
}

static int read_macro(struct cron_scanner *s, const struct cm_str *parts, int count)
{
        struct cm_str fields[MOST_FIELDS + 1];

        s->fault->field = "macro";
        if (count > 1)
                return cron_refuse(s, parts[1].data, "a macro stands alone") ? 0 : CRON_INVALID;
        if (cm_str_equal(parts[0], CM_STR("@reboot"))) {
                (void)cron_refuse(s, parts[0].data, "@reboot: a schedule knows no reboot");
                return CRON_INVALID;
        }
        for (size_t i = 0; i < CM_COUNT(macros); i++)
                if (cm_str_equal(parts[0], cm_str_from(macros[i].name)))
                        return read_fields(s, fields, split(cm_str_from(macros[i].fields), fields));
        (void)cron_refuse(s, parts[0].data, "there is no such macro");
        return CRON_INVALID;
}

int cron_parse(struct cm_str text, uint64_t seed, struct cron *cron_r, struct cron_fault *fault_r)
{
        struct cron_scanner scanner = {
                .start = text.data, .seed = seed, .cron = cron_r, .fault = fault_r
        };
        struct cm_str parts[MOST_FIELDS + 1];
        int count;

        *cron_r = (struct cron){ 0 };
        if (text.len > CRON_MAX_LENGTH)
                return refuse(&scanner, text.data + CRON_MAX_LENGTH, "longer than 256 bytes");
        count = split(text, parts);
        if (count > 0 && memchr(parts[0].data, '=', parts[0].len))
                return refuse(&scanner, parts[0].data,
                              "the time zone has a field of its own, not a prefix");
        if (count > 0 && parts[0].data[0] == '@')
                return read_macro(&scanner, parts, count);
        if (count < LEAST_FIELDS || count > MOST_FIELDS)
                return count_is_wrong(&scanner, parts, count, text);
        return read_fields(&scanner, parts, count);
}
