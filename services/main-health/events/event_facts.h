#pragma once
#include "base/arena.h"
#include "bus/event.h"
#include "event_store.h"
#include "sys/context.h"

/* What the bus hears of changes in the log. Text lives in the arena. */

/* One event was stored: health.updated, and medication.taken for a dose that was taken (of version
 * 1). Returns how many. */
size_t event_facts(const struct recorded_event *event, const struct cm_context *context,
                   struct cm_arena *arena, struct cm_event facts_r[2]);

/* medication.taken alone: 1 or 0. */
size_t event_dose_fact(const struct recorded_event *event, const struct cm_context *context,
                       struct cm_arena *arena, struct cm_event *fact_r);

/* Many events of one person were stored: one health.updated for all of them. */
struct event_changes {
        int64_t count;
        int types; /* bits 1 << event_type */
        cm_date from, to;
        struct cm_uuid ids[100]; /* the first hundred */
};
void event_changes_add(struct event_changes *changes, int16_t event_type, cm_date date,
                       const struct cm_uuid *id);
void event_changes_fact(const struct event_changes *changes, const struct cm_uuid *user,
                        cm_time now, const struct cm_context *context, struct cm_arena *arena,
                        struct cm_event *fact_r);
