#pragma once
#include "schemas.h"

/* Days of the health record summed up, as the companion tells them. Pure; in the arena. */
void week_rules_sum(struct cm_arena *arena, const struct day_summary *days, size_t count,
                    struct week_summary *week_r);
