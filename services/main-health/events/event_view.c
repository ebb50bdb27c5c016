#include "event_view.h"

#include "event_rules.h"

size_t event_flags_view(int16_t flags, struct cm_arena *arena, int32_t **items_r)
{
        size_t count = 0;

        *items_r = cm_arena_array(arena, HEALTH_EVENT_FLAG_UNUSUALLY_HIGH, sizeof(**items_r));
        for (int32_t flag = 1; flag <= HEALTH_EVENT_FLAG_UNUSUALLY_HIGH; flag++)
                if (flags & 1 << (flag - 1))
                        (*items_r)[count++] = flag;
        return count;
}

void event_view(const struct recorded_event *event, struct cm_arena *arena,
                struct health_event *view_r)
{
        *view_r = (struct health_event){
                .id = event->id,
                .user_id = event->user_id,
                .version = event->version,
                .status = event->status,
                .event_type = event->event_type,
                .event_subtype =
                        cm_str_from(event_subtype_name(event->event_type, event->event_subtype)),
                .event_data = event->event_data,
                .occurred_at = event->occurred_at,
                .ended_at = event->ended_at,
                .has_ended_at = event->ended_at == EVENT_NO_END ? CM_ABSENT : CM_PRESENT,
                .time_zone = event->zone,
                .local_date = event->local_date,
                .source = event->source,
                .reason = event->reason,
                .has_reason = event->reason.data ? CM_PRESENT : CM_ABSENT,
                .created_at = event->created_at,
        };
        view_r->flags.count = event_flags_view(event->flags, arena, &view_r->flags.items);
}

struct cm_str event_tag(const struct recorded_event *event, struct cm_arena *arena)
{
        return cm_arena_printf(arena, "%d", event->version);
}
