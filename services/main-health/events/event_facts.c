#include "event_facts.h"

#include <string.h>

#include "events.h"
#include "main_health_api.h"

static bool is_dose_taken(const struct recorded_event *event, struct cm_arena *arena,
                          struct medication_data *dose_r)
{
        struct cm_faults faults = { .count = 0 };

        return event->event_type == HEALTH_EVENT_TYPE_MEDICATION && event->version == 1 &&
               cm_schema_decode(&medication_data_schema, event->event_data, arena, dose_r,
                                &faults) == 0 &&
               dose_r->status == DOSE_STATUS_TAKEN;
}

size_t event_dose_fact(const struct recorded_event *event, const struct cm_context *context,
                       struct cm_arena *arena, struct cm_event *fact_r)
{
        struct medication_data dose;
        struct medication_taken taken = {
                .user_id = event->user_id,
                .event_id = event->id,
                .event_subtype = event->event_subtype,
                .taken_at = event->occurred_at,
                .local_date = event->local_date,
        };

        if (!is_dose_taken(event, arena, &dose))
                return 0;
        taken.medication_id = dose.medication_id;
        taken.has_medication_id = dose.has_medication_id;
        taken.time = dose.time;
        taken.has_time = dose.has_time;
        event_medication_taken(fact_r, arena, context, event->created_at, &event->user_id, &taken);
        return 1;
}

void event_changes_add(struct event_changes *changes, int16_t event_type, cm_date date,
                       const struct cm_uuid *id)
{
        if (changes->count == 0 || date < changes->from)
                changes->from = date;
        if (changes->count == 0 || date > changes->to)
                changes->to = date;
        if (changes->count < (int64_t)CM_COUNT(changes->ids))
                changes->ids[changes->count] = *id;
        changes->types |= 1 << event_type;
        changes->count++;
}

void event_changes_fact(const struct event_changes *changes, const struct cm_uuid *user,
                        cm_time now, const struct cm_context *context, struct cm_arena *arena,
                        struct cm_event *fact_r)
{
        int32_t types[HEALTH_EVENT_TYPE_NOTE];
        struct health_updated updated = {
                .user_id = *user,
                .count = changes->count,
                .event_types = { .items = types },
                .from_date = changes->from,
                .to_date = changes->to,
        };

        for (int32_t type = 1; type <= HEALTH_EVENT_TYPE_NOTE; type++)
                if (changes->types & 1 << type)
                        types[updated.event_types.count++] = type;
        if (changes->count <= (int64_t)CM_COUNT(changes->ids)) {
                updated.has_event_ids = CM_PRESENT;
                updated.event_ids.items = (struct cm_uuid *)changes->ids;
                updated.event_ids.count = (size_t)changes->count;
        }
        event_health_updated(fact_r, arena, context, now, user, &updated);
}

size_t event_facts(const struct recorded_event *event, const struct cm_context *context,
                   struct cm_arena *arena, struct cm_event facts_r[2])
{
        struct event_changes changes = { 0 };

        event_changes_add(&changes, event->event_type, event->local_date, &event->id);
        event_changes_fact(&changes, &event->user_id, event->created_at, context, arena,
                           &facts_r[0]);
        return 1 + event_dose_fact(event, context, arena, &facts_r[1]);
}
