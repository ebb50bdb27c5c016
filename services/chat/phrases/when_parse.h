#pragma once
#include "analysis/language.h"
#include "base/time.h"
#include "base/zone.h"

/*
 * When a person wants to be reminded, from their words: "every weekday at 8", "in 10 minutes",
 * "tomorrow at 9", "כל יום חול בשמונה". Pure: the clock and the zone are given.
 *
 * Working days are Monday to Friday; Sunday to Thursday when the time zone is Israel's, or when the
 * words are Hebrew and the zone does not say otherwise (only Israel's week is ever said so).
 * An hour up to 12 without "am", "pm" or a part of the day is taken as the next one that comes when
 * it is for once, and as it stands when it is for every day.
 */
struct when {
        struct cm_str schedule; /* cron of the person's own time, "@every 8h", or "@at …Z" */
        bool has_time;          /* false: said for every day, but not when; schedule is absent */
        bool is_once;
        cm_time at;   /* when is_once: the instant */
        size_t *rest; /* numbers of the words that do not belong to it, in order */
        size_t rest_count;
};

struct when_place {
        cm_time now;
        const struct cm_zone *zone;
        struct cm_str zone_name;
};

/* Reads the words from `first` on. False when they say nothing of a time. In the arena. */
bool when_parse(struct cm_arena *arena, const struct chat_text *text, size_t first,
                const struct when_place *place, struct when *when_r);
