#include <string.h>

#include "errors.h"
#include "event_replies.h"
#include "http/cursor.h"

/* The versions of one event: what they were, corrections, voids. */

enum { DEFAULT_LIMIT = 30 };

static const struct event_pointers in_correction = { "/event", "/event/event_data" };

int health_event_history(struct cm_request *request,
                         const struct health_event_history_params *params)
{
        struct health *health = cm_request_service(request);
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        struct cm_str filters = { (const char *)params->id.bytes, sizeof(params->id.bytes) };
        struct cm_str text, cursor = CM_STR_NONE;
        struct event_list list;
        int16_t before = INT16_MAX;
        int r;

        if (params->has_cursor == CM_PRESENT) {
                r = cm_request_cursor_open(request, filters, params->cursor, &text);
                if (r)
                        return r < 0 ? r : 0;
                if (text.len != sizeof(before))
                        return cm_reply_invalid(request, "/query/cursor",
                                                "is not a cursor of this list");
                memcpy(&before, text.data, sizeof(before));
        }
        r = event_store_history(health->events, cm_request_arena(request),
                                &cm_request_claims(request)->sub, &params->id, before,
                                (int32_t)limit + 1, &list);
        if (r)
                return r;
        if (list.count == 0 && before == INT16_MAX)
                return cm_reply_not_found(request);
        if (list.count > limit) {
                list.count = limit;
                before = list.items[limit - 1].version;
                cursor = cm_request_cursor_seal(
                        request, filters, (struct cm_str){ (const char *)&before, sizeof(before) });
        }
        return event_reply_page(request, &list, cursor);
}

/* A further version of *current under the request's key. The key stands for this path and body. */
static void begin_version(struct cm_request *request, const struct recorded_event *current,
                          struct cm_str key, struct recorded_event *event)
{
        event->user_id = current->user_id;
        event->id = current->id;
        event->version = (int16_t)(current->version + 1);
        event->created_at = cm_request_now(request);
        event->key = key;
        event->body = cm_arena_printf(cm_request_arena(request), "%.*s\n%.*s",
                                      CM_STR_ARG(cm_request_path(request)),
                                      CM_STR_ARG(cm_request_body(request)));
}

/* Whether the request was answered before under its key: 0 (no), REPLIED or an error. */
static int replay(struct cm_request *request, const struct recorded_event *event)
{
        struct health *health = cm_request_service(request);
        struct recorded_event before;
        int r;

        if (!event->key.data)
                return 0;
        r = event_store_find_key(health->events, cm_request_arena(request), &event->user_id,
                                 event->key, event->body, &before);
        if (r > 0)
                r = event_reply_stored(request, r, &before) ?: REPLIED;
        return r;
}

static int check_version(struct cm_request *request, const struct recorded_event *current)
{
        struct cm_str version = cm_arena_printf(cm_request_arena(request), "%d", current->version);

        return cm_request_if_match(request, version);
}

/* The event may have at most as many versions as its number can count. */
static int check_room(struct cm_request *request, const struct recorded_event *current)
{
        if (current->version < INT16_MAX - 1)
                return 0;
        return health_problem(request, CM_CODE_CONFLICT, "this event has too many versions", NULL)
                       ?: REPLIED;
}

static int correction(struct cm_request *request, const struct recorded_event *current,
                      const struct health_event_correction *in, struct recorded_event *event_r)
{
        struct health_event_input input = in->event;

        if (current->status == HEALTH_EVENT_STATUS_ENTERED_IN_ERROR)
                return health_problem(request, CM_CODE_CONFLICT, "this event is void", NULL)
                               ?: REPLIED;
        if (input.kind != current->event_type)
                return cm_reply_invalid(request, "/event/event_type", "must be what it was")
                               ?: REPLIED;
        if (input.note_event_input.has_occurred_at != CM_PRESENT) {
                input.note_event_input.has_occurred_at = CM_PRESENT;
                input.note_event_input.occurred_at = current->occurred_at;
        }
        return event_from_input(request, &input, &in_correction, event_r);
}

int health_event_correct(struct cm_request *request,
                         const struct health_event_correct_params *params,
                         const struct health_event_correction *in)
{
        struct health *health = cm_request_service(request);
        struct recorded_event current, event = { 0 };
        int r = event_find(request, &params->id, &current);

        if (r)
                return r < 0 ? r : 0;
        begin_version(request, &current, params->idempotency_key, &event);
        r = replay(request, &event);
        if (r == 0)
                r = check_version(request, &current);
        if (r == 0)
                r = check_room(request, &current);
        if (r == 0)
                r = correction(request, &current, in, &event);
        if (r)
                return r < 0 ? r : 0;

        begin_version(request, &current, params->idempotency_key, &event);
        event.status = HEALTH_EVENT_STATUS_AMENDED;
        event.reason = in->reason;
        r = event_store_append_version(health->events, cm_request_arena(request), &event);
        return event_reply_stored(request, r, &event);
}

int health_event_void(struct cm_request *request, const struct health_event_void_params *params,
                      const struct health_event_void *in)
{
        struct health *health = cm_request_service(request);
        struct recorded_event current, event;
        int r = event_find(request, &params->id, &current);

        if (r)
                return r < 0 ? r : 0;
        event = current;
        begin_version(request, &current, params->idempotency_key, &event);
        r = replay(request, &event);
        if (r == 0 && current.status == HEALTH_EVENT_STATUS_ENTERED_IN_ERROR)
                return event_reply_stored(request, EVENT_STORED_BEFORE, &current);
        if (r == 0 && params->has_if_match == CM_PRESENT)
                r = check_version(request, &current);
        if (r == 0)
                r = check_room(request, &current);
        if (r)
                return r < 0 ? r : 0;

        event.status = HEALTH_EVENT_STATUS_ENTERED_IN_ERROR;
        event.reason = in->reason;
        r = event_store_append_version(health->events, cm_request_arena(request), &event);
        return event_reply_stored(request, r, &event);
}
