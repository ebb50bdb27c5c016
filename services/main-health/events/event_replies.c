#include "event_replies.h"

#include "base/error.h"

#include "errors.h"
#include "event_rules.h"
#include "event_view.h"
#include "http/idempotency.h"

int health_problem(struct cm_request *request, const char *code, const char *detail,
                   const struct cm_faults *faults)
{
        const struct cm_error_code *known = cm_error_code_find(code);
        const struct cm_problem problem = {
                .status = known->status,
                .code = code,
                .title = known->title,
                .detail = cm_str_from(detail),
                .faults = faults,
        };

        return cm_reply_problem(request, &problem);
}

int event_from_input(struct cm_request *request, const struct health_event_input *in,
                     const struct event_pointers *pointers, struct recorded_event *event_r)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct cm_faults faults = { .count = 0 };
        struct person person;
        struct event_rules rules = {
                .zones = health->zones,
                .person = &person,
                .now = cm_request_now(request),
                .arena = arena,
                .pointers = pointers,
                .faults = &faults,
        };
        int r = person_store_get(health->persons, arena, &cm_request_claims(request)->sub, &person);

        if (r)
                return r;
        if (event_rules_complete(&rules, in, event_r) == 0)
                return 0;
        r = health_problem(request, CM_CODE_INVALID, NULL, &faults);
        return r < 0 ? r : REPLIED;
}

static int reply_event(struct cm_request *request, int status, const struct recorded_event *event)
{
        struct cm_arena *arena = cm_request_arena(request);
        struct health_event view;

        event_view(event, arena, &view);
        return cm_reply_json_tagged(request, status, &health_event_schema, &view,
                                    event_tag(event, arena));
}

/* The first reply again: the database keeps the members of event_data in an order of its own. */
static int reply_again(struct cm_request *request, const struct recorded_event *event)
{
        const struct cm_schema *schema = event_data_schema(event->event_type);
        struct cm_arena *arena = cm_request_arena(request);
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct recorded_event first = *event;
        struct cm_faults faults = { .count = 0 };
        void *data = cm_arena_alloc(arena, schema->size);

        if (cm_schema_decode(schema, event->event_data, arena, data, &faults) == 0) {
                cm_schema_encode(schema, data, &json);
                first.event_data = cm_arena_str(arena, cm_buf_str(&json));
        }
        cm_reply_header(request, "Idempotency-Replayed", CM_STR("true"));
        return reply_event(request, 200, &first);
}

int event_reply_stored(struct cm_request *request, int r, const struct recorded_event *event)
{
        struct health *health = cm_request_service(request);

        switch (r) {
        case 0:
                if (event->event_type == HEALTH_EVENT_TYPE_VITAL)
                        vitals_cache_changed(health->vitals, &event->user_id);
                return reply_event(request, 201, event);
        case EVENT_STORED_BEFORE:
                return reply_again(request, event);
        case EVENT_KEY_REUSED:
                return health_problem(request, CM_CODE_IDEMPOTENCY_CONFLICT, NULL, NULL);
        case EVENT_KEY_AT_WORK:
                return cm_idempotency_reply_running(request);
        case EVENT_VERSION_TAKEN:
                return health_problem(request, CM_CODE_PRECONDITION_FAILED, NULL, NULL);
        case CM_PG_REFUSED:
                return health_problem(request, CM_CODE_INVALID, "the database refuses this event",
                                      NULL);
        default:
                return r < 0 ? r : -CM_E_DATABASE;
        }
}

int event_reply_page(struct cm_request *request, const struct event_list *list,
                     struct cm_str next_cursor)
{
        struct cm_arena *arena = cm_request_arena(request);
        struct health_event_page page = {
                .items = { cm_arena_array(arena, list->count + 1, sizeof(*page.items.items)),
                           list->count },
                .next_cursor = next_cursor,
                .has_next_cursor = next_cursor.data ? CM_PRESENT : CM_ABSENT,
        };

        for (size_t i = 0; i < list->count; i++)
                event_view(&list->items[i], arena, &page.items.items[i]);
        return cm_reply_json(request, 200, &health_event_page_schema, &page);
}

int event_find(struct cm_request *request, const struct cm_uuid *id, struct recorded_event *event_r)
{
        struct health *health = cm_request_service(request);
        int r = event_store_read(health->events, cm_request_arena(request),
                                 &cm_request_claims(request)->sub, id, event_r);

        if (r != EVENT_NOT_FOUND)
                return r;
        r = cm_reply_not_found(request);
        return r < 0 ? r : REPLIED;
}
