#include "event_replies.h"
#include "event_view.h"

/* One event: recording it, and reading it. */

int health_event_record(struct cm_request *request, const struct health_event_record_params *params,
                        const struct health_event_input *in)
{
        struct health *health = cm_request_service(request);
        struct recorded_event event;
        int r = event_from_input(request, in, &event_at_top, &event);

        if (r)
                return r < 0 ? r : 0;
        if (params->has_idempotency_key == CM_PRESENT)
                event.key = params->idempotency_key;
        event.body = cm_request_body(request);
        r = event_store_append(health->events, cm_request_arena(request), &event);
        return event_reply_stored(request, r, &event);
}

int health_event_read(struct cm_request *request, const struct health_event_read_params *params)
{
        struct cm_arena *arena = cm_request_arena(request);
        struct recorded_event event;
        struct health_event view;
        int r = event_find(request, &params->id, &event);

        if (r)
                return r < 0 ? r : 0;
        event_view(&event, arena, &view);
        return cm_reply_json_tagged(request, 200, &health_event_schema, &view,
                                    event_tag(&event, arena));
}
