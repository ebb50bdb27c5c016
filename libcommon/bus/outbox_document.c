#include "bus/outbox_document.h"

#include "base/error.h"
#include "schemas.h"

static struct outbox_event waiting_of(const struct cm_event *event)
{
        return (struct outbox_event){
                .id = event->id,
                .source = event->source,
                .type = event->type,
                .time = event->time,
                .subject = event->subject,
                .has_subject = cm_uuid_is_nil(&event->subject) ? CM_ABSENT : CM_PRESENT,
                .tenant = event->tenant,
                .has_tenant = cm_uuid_is_nil(&event->tenant) ? CM_ABSENT : CM_PRESENT,
                .traceparent = event->traceparent,
                .has_traceparent = event->traceparent.data ? CM_PRESENT : CM_ABSENT,
                .data = event->data,
        };
}

struct outbox_event *cm_outbox_events(struct cm_arena *arena, const struct cm_event *events,
                                      size_t count)
{
        struct outbox_event *waiting = cm_arena_array(arena, count, sizeof(*waiting));

        for (size_t i = 0; i < count; i++)
                waiting[i] = waiting_of(&events[i]);
        return waiting;
}

struct cm_event cm_outbox_event_read(const struct outbox_event *waiting)
{
        struct cm_event event = { .id = waiting->id,
                                  .source = waiting->source,
                                  .type = waiting->type,
                                  .time = waiting->time,
                                  .data = waiting->data };

        if (waiting->has_subject == CM_PRESENT)
                event.subject = waiting->subject;
        if (waiting->has_tenant == CM_PRESENT)
                event.tenant = waiting->tenant;
        if (waiting->has_traceparent == CM_PRESENT)
                event.traceparent = waiting->traceparent;
        return event;
}

struct cm_attachment cm_outbox_attach(struct cm_arena *arena, const struct cm_event *events,
                                      size_t count)
{
        struct outbox_part *part = CM_ARENA_NEW(arena, struct outbox_part);

        part->pending = true;
        part->has_pending = part->has_outbox = CM_PRESENT;
        part->outbox.items = cm_outbox_events(arena, events, count);
        part->outbox.count = count;
        return (struct cm_attachment){ &outbox_part_schema, part };
}

void cm_outbox_push(struct cm_update *update, struct cm_arena *arena, const struct cm_event *events,
                    size_t count)
{
        static const bool pending = true;

        CM_UPDATE_PUSH(update, outbox_part, outbox, cm_outbox_events(arena, events, count), count);
        CM_UPDATE_SET(update, outbox_part, pending, &pending);
}
