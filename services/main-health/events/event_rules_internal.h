#pragma once
#include "event_rules.h"

/* Shared by event_rules.c, which knows what all events have, and vital_rules.c. */

/* Adds a fault at `path` below the event; a path that begins with /event_data is below its data. */
void event_fault(const struct event_rules *rules, const char *path, const char *detail, ...)
        CM_PRINTF(3, 4);

/* The rules of vitals; sets the flags of *event, whose times are known. */
void vital_rules(const struct event_rules *rules, const struct vital_data *data,
                 struct recorded_event *event);
