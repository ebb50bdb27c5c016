#pragma once
#include "day_rules.h"

/* The parts of day_rules.c that have files of their own. */

struct day_vital {
        const struct recorded_event *event;
        struct vital_data data;
};

/* Measured quantities, and what heart rates say. */
void day_measures(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
                  struct day_vitals *vitals_r);
/* What adds up over a day. */
void day_activity(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
                  struct day_activity *activity_r);
/* False when nobody slept. */
bool day_sleep(const struct day_vital *vitals, size_t count, struct cm_arena *arena,
               struct day_sleep *sleep_r);
