#include "latest_vitals.h"

#include "events/event_replies.h"
#include "events/event_view.h"
#include "keys.h"

/* GET /v1/vitals/latest: read through the cache, whose entry is the reply's body. */

struct load {
        struct event_store *events;
        struct cm_uuid user_id;
};

int latest_vitals_load(struct event_store *events, struct cm_arena *arena,
                       const struct cm_uuid *user, struct latest_vitals *latest_r)
{
        struct event_list list;
        int r = event_store_latest_vitals(events, arena, user, &list);

        if (r)
                return r;
        latest_r->user_id = *user;
        latest_r->items.items =
                cm_arena_array(arena, list.count + 1, sizeof(*latest_r->items.items));
        latest_r->items.count = list.count;
        for (size_t i = 0; i < list.count; i++) {
                const struct recorded_event *event = &list.items[i];
                struct latest_vital *vital = &latest_r->items.items[i];

                vital->event_id = event->id;
                vital->event_subtype = event->event_subtype;
                vital->event_data = event->event_data;
                vital->occurred_at = event->occurred_at;
                vital->flags.count = event_flags_view(event->flags, arena, &vital->flags.items);
        }
        return 0;
}

static int load_latest(void *arg, struct cm_arena *arena, struct cm_str *value_r)
{
        const struct load *load = arg;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf json = { 0 };
        struct latest_vitals latest;
        int r = latest_vitals_load(load->events, arena, &load->user_id, &latest);

        if (r)
                return r;
        cm_schema_encode(&latest_vitals_schema, &latest, &json);
        *value_r = cm_arena_str(arena, cm_buf_str(&json));
        return 0;
}

int health_vitals_latest(struct cm_request *request)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        struct load load = { health->events, cm_request_claims(request)->sub };
        struct cm_str json;
        int r = cm_cache_get(health->cache, key_health_cache(arena, &load.user_id),
                             KEY_HEALTH_CACHE_LIFE_US, arena, load_latest, &load, &json);

        return r ? r : cm_reply_body(request, 200, "application/json", json);
}
