#pragma once
#include "base/arena.h"
#include "events/event_store.h"
#include "main_health_api.h"

/*
 * What a day's events say: pure, from the events of one local day, oldest first, none of them void.
 * Fills all of *summary_r but whose day it is and when it begins and ends. The names of the rules
 * that made the numbers stand in it.
 */
void day_rules_summarize(const struct event_list *events, struct cm_arena *arena,
                         struct day_summary *summary_r);

/*
 * Stretches of time in which a source counted something.
 */
struct day_stretch {
        cm_time from, to; /* to == from: at one instant */
        double amount;
        struct cm_str source;
};

/*
 * The sum of amounts in which each moment counts once: of sources that overlap in time, the one
 * with the largest total goes first, and the others add the share of their stretches that is not
 * covered yet. What happened at one instant always counts. Sorts `stretches`.
 */
double day_union_sum(struct day_stretch *stretches, size_t count, struct cm_arena *arena);

/* The time that the stretches cover together. Sorts them. */
int64_t day_covered_us(struct day_stretch *stretches, size_t count);
