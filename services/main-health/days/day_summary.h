#pragma once
#include "day_rules.h"
#include "health.h"

/* What a person's day says, from its events (of that local date, oldest first, none void). Text
 * lives in the arena, in `person` and in `events`. */
void day_summary_make(const struct health *health, const struct person *person, cm_date date,
                      const struct event_list *events, struct cm_arena *arena,
                      struct day_summary *summary_r);
