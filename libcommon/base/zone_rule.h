#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * The POSIX TZ rule in the footer of a TZif file ("EST5EDT,M3.2.0,M11.1.0"), with the extensions of
 * version 3: hours from -167 to 167. Seconds since 1970 throughout. A part of base/zone.h.
 */
struct cm_zone_day {
        char kind;            /* 'J': 1–365 without 29 February, 'D': 0–365 with it, 'M' */
        int month, week, day; /* 'M': 1–12, 1–5 (5: last), 0–6 (Sunday first); else `day` alone */
        int32_t time_s;       /* on the wall */
};

struct cm_zone_rule {
        int32_t standard_s; /* ahead of UTC */
        bool has_daylight;
        int32_t daylight_s;
        struct cm_zone_day start; /* in standard time */
        struct cm_zone_day end;   /* in daylight time */
};

bool cm_zone_rule_parse(struct cm_str text, struct cm_zone_rule *rule_r);
int32_t cm_zone_rule_offset(const struct cm_zone_rule *rule, int64_t at_s);
/* The first change after `after_s`; false when the rule has none. */
bool cm_zone_rule_next(const struct cm_zone_rule *rule, int64_t after_s, int64_t *at_s_r);
/* The last change at or before `at_s` and the first one after it; false when the rule has none. */
bool cm_zone_rule_around(const struct cm_zone_rule *rule, int64_t at_s, int64_t *before_s_r,
                         int64_t *after_s_r);
