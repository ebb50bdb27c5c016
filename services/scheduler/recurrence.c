#include "recurrence.h"

#include <stdarg.h>
#include <stdio.h>

enum { LEAST_PACE_S = 60, MAX_HOURS = 100000 };
#define LAST_INSTANT INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

static int refuse(struct cron_fault *fault, struct cm_str text, const char *at, const char *field,
                  const char *reason)
{
        *fault = (struct cron_fault){ .field = field, .column = (int)(at - text.data) + 1 };
        (void)snprintf(fault->reason, sizeof(fault->reason), "%s", reason);
        return CRON_INVALID;
}

/* "90m", "1h30m": hours, minutes and seconds in this order, each once. */
static int parse_every(struct cm_str text, struct cm_str rest, struct recurrence *recurrence_r,
                       struct cron_fault *fault_r)
{
        static const char units[] = "hms";
        static const int64_t seconds[] = { 3600, 60, 1 };
        const char *from = rest.data;
        size_t unit = 0;

        recurrence_r->kind = RECURRENCE_EVERY;
        while (rest.len > 0) {
                int64_t value = 0;
                const char *at = rest.data;

                for (; rest.len > 0 && *rest.data >= '0' && *rest.data <= '9';
                     rest.data++, rest.len--)
                        if ((value = value * 10 + (*rest.data - '0')) > MAX_HOURS * 3600LL)
                                return refuse(fault_r, text, at, "every", "longer than 100000h");
                if (rest.data == at)
                        return refuse(fault_r, text, at, "every", "a number is missing");
                while (unit < 3 && (rest.len == 0 || units[unit] != *rest.data))
                        unit++;
                if (unit == 3)
                        return refuse(fault_r, text, rest.data, "every",
                                      "a unit is missing: h, m or s, in this order");
                recurrence_r->every_s += value * seconds[unit++];
                rest.data++;
                rest.len--;
        }
        if (recurrence_r->every_s > MAX_HOURS * 3600LL)
                return refuse(fault_r, text, from, "every", "longer than 100000h");
        if (recurrence_r->every_s < LEAST_PACE_S)
                return refuse(fault_r, text, from, "every", "shorter than 60s");
        return 0;
}

static int parse_at(struct cm_str text, struct cm_str rest, struct recurrence *recurrence_r,
                    struct cron_fault *fault_r)
{
        recurrence_r->kind = RECURRENCE_AT;
        if (!cm_time_parse(rest, &recurrence_r->at, NULL))
                return refuse(fault_r, text, rest.data, "at", "this is no RFC 3339 time");
        if (recurrence_r->at % CM_SECOND)
                return refuse(fault_r, text, rest.data, "at", "whole seconds only");
        return 0;
}

/* "@at <rest>": true with what follows the word. */
static bool after_word(struct cm_str text, struct cm_str word, struct cm_str *rest_r)
{
        struct cm_str trimmed = cm_str_trim(text);

        if (!cm_str_starts(trimmed, word) ||
            (trimmed.len > word.len && trimmed.data[word.len] != ' ' &&
             trimmed.data[word.len] != '\t'))
                return false;
        *rest_r = cm_str_trim((struct cm_str){ trimmed.data + word.len, trimmed.len - word.len });
        return true;
}

int recurrence_parse(struct cm_str text, uint64_t seed, struct recurrence *recurrence_r,
                     struct cron_fault *fault_r)
{
        struct cm_str rest;

        *recurrence_r = (struct recurrence){ .kind = RECURRENCE_CRON };
        if (text.len <= CRON_MAX_LENGTH) {
                if (after_word(text, CM_STR("@every"), &rest))
                        return parse_every(text, rest, recurrence_r, fault_r);
                if (after_word(text, CM_STR("@at"), &rest))
                        return parse_at(text, rest, recurrence_r, fault_r);
        }
        return cron_parse(text, seed, &recurrence_r->cron, fault_r);
}

static bool next_every(int64_t every_s, cm_time anchor, cm_time after, cm_time *at_r)
{
        int64_t every = every_s * CM_SECOND;

        if (after < anchor)
                after = anchor;
        *at_r = anchor + ((after - anchor) / every + 1) * every;
        return *at_r <= LAST_INSTANT;
}

bool recurrence_next(const struct recurrence *recurrence, const struct recurrence_place *place,
                     cm_time after, struct cron_firing *firing_r)
{
        *firing_r = (struct cron_firing){ 0 };
        switch (recurrence->kind) {
        case RECURRENCE_EVERY:
                return next_every(recurrence->every_s, place->anchor, after, &firing_r->at);
        case RECURRENCE_AT:
                firing_r->at = recurrence->at;
                return recurrence->at > after;
        default:
                return cron_next(&recurrence->cron, place->zone, place->policy, after, firing_r);
        }
}
