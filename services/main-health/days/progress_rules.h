#pragma once
#include "main_health_api.h"

/* What days in a row and points come of the days that count: each once, newest first. Days
 * after today (an appointment, a journey west) count when they have come. Fills in all but user_id.
 * Pure. */
void progress_rules_make(const cm_date *days, size_t count, cm_date today,
                         struct progress *progress_r);
