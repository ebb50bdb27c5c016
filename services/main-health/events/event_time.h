#pragma once
#include <stdint.h>

#include "base/time.h"
#include "base/zone.h"

/*
 * The day that an event counts for, where it happened. Sleep (vital) counts for the day on which it
 * ended; when it ended at 18:00 or later, for the day after: a night belongs to the morning.
 */
cm_date event_local_date(int16_t event_type, int16_t event_subtype, const struct cm_zone *zone,
                         cm_time occurred_at, cm_time ended_at /* or EVENT_NO_END */);
