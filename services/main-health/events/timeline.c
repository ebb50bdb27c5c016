#include "timeline.h"

#include <string.h>

#include "event_replies.h"
#include "event_rules.h"
#include "http/cursor.h"

/*
 * The timeline, newest first. A cursor is the place of the last item shown (occurred_at, id), bound
 * to the filters, so pages stay right while events arrive: whatever comes later is before it or
 * behind it.
 */
enum { DEFAULT_LIMIT = 30 };

#define NO_SUBTYPE INT16_MAX /* no event has it */

struct place {
        cm_time occurred_at;
        struct cm_uuid id;
};

/* What the cursor is bound to. */
struct filters {
        int16_t event_type, event_subtype;
        uint8_t include_voided;
        uint8_t unused[3];
        cm_time from, to;
};

/* A subtype alone says its type as well, unless several types have one of that name. One that the
 * given type does not have filters out everything. */
static int read_subtype(struct cm_request *request, int32_t any_subtype, struct filters *filters)
{
        struct cm_str name = cm_str_from(cm_schema_enum_name(&any_subtype_schema, any_subtype));
        int types = 0;

        if (!filters->event_type) {
                for (int type = 1; type <= HEALTH_EVENT_TYPE_NOTE; type++) {
                        if (!event_subtype_find((int16_t)type, name))
                                continue;
                        filters->event_type = (int16_t)type;
                        types++;
                }
                if (types > 1)
                        return cm_reply_invalid(request, "/query/event_type",
                                                "is required: several types have this subtype")
                                       ?: REPLIED;
        }
        filters->event_subtype = event_subtype_find(filters->event_type, name) ?: NO_SUBTYPE;
        return 0;
}

static int read_filters(struct cm_request *request, const struct health_event_list_params *params,
                        struct filters *filters_r)
{
        *filters_r = (struct filters){ .from = EVENT_EARLIEST, .to = EVENT_LATEST };
        if (params->has_from == CM_PRESENT)
                filters_r->from = params->from;
        if (params->has_to == CM_PRESENT)
                filters_r->to = params->to;
        filters_r->include_voided =
                params->has_include_voided == CM_PRESENT && params->include_voided;
        if (params->has_event_type == CM_PRESENT)
                filters_r->event_type = (int16_t)params->event_type;
        return params->has_event_subtype == CM_PRESENT
                       ? read_subtype(request, params->event_subtype, filters_r)
                       : 0;
}

static struct cm_str bytes_of(const void *data, size_t len)
{
        return (struct cm_str){ data, len };
}

/* Where the page begins: behind the cursor's place, or at the upper end. */
static int read_place(struct cm_request *request, const struct health_event_list_params *params,
                      const struct filters *filters, struct place *place_r)
{
        struct cm_str text;
        int r;

        *place_r = (struct place){ .occurred_at = filters->to };
        if (params->has_cursor != CM_PRESENT)
                return 0;
        r = cm_request_cursor_open(request, bytes_of(filters, sizeof(*filters)), params->cursor,
                                   &text);
        if (r)
                return r;
        if (text.len != sizeof(*place_r))
                return cm_reply_invalid(request, "/query/cursor", "is not a cursor of this list")
                               ?: REPLIED;
        memcpy(place_r, text.data, sizeof(*place_r));
        return 0;
}

static struct cm_str next_cursor(struct cm_request *request, const struct filters *filters,
                                 const struct recorded_event *last)
{
        struct place place = { last->occurred_at, last->id };

        return cm_request_cursor_seal(request, bytes_of(filters, sizeof(*filters)),
                                      bytes_of(&place, sizeof(place)));
}

int timeline_reply(struct cm_request *request, const struct health_event_list_params *params)
{
        struct health *health = cm_request_service(request);
        size_t limit = params->has_limit == CM_PRESENT ? (size_t)params->limit : DEFAULT_LIMIT;
        struct cm_str cursor = CM_STR_NONE;
        struct filters filters;
        struct place place;
        struct event_list list;
        int r = read_filters(request, params, &filters);

        if (r == 0)
                r = read_place(request, params, &filters, &place);
        if (r)
                return r < 0 ? r : 0;

        const struct event_query query = {
                .user = cm_request_claims(request)->sub,
                .event_type = filters.event_type,
                .event_subtype = filters.event_subtype,
                .from = filters.from,
                .before = place.occurred_at,
                .before_id = place.id,
                .include_voided = filters.include_voided,
                .limit = (int32_t)limit + 1, /* one more tells whether there is a next page */
        };
        r = event_store_list(health->events, cm_request_arena(request), &query, &list);
        if (r)
                return r;
        if (list.count > limit) {
                list.count = limit;
                cursor = next_cursor(request, &filters, &list.items[limit - 1]);
        }
        return event_reply_page(request, &list, cursor);
}

int health_event_list(struct cm_request *request, const struct health_event_list_params *params)
{
        return timeline_reply(request, params);
}
