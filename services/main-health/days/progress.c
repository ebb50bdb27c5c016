#include "base/zone.h"
#include "events/event_replies.h"
#include "progress_rules.h"

/* GET /v1/days/progress: days in a row and points, from the log. */

static cm_date today_of(const struct health *health, const struct person *person, cm_time now)
{
        const struct cm_zone *zone = cm_zones_get(health->zones, person_zone_at(person, now));

        if (!zone)
                zone = cm_zones_get(health->zones, CM_STR("UTC"));
        return cm_zone_date(zone, now);
}

int health_progress(struct cm_request *request)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user = &cm_request_claims(request)->sub;
        struct progress progress;
        struct person person;
        cm_date *days;
        size_t count;
        int r = person_store_get(health->persons, arena, user, &person);

        if (r == 0)
                r = event_store_own_days(health->events, arena, user, &days, &count);
        if (r)
                return r;
        progress_rules_make(days, count, today_of(health, &person, cm_request_now(request)),
                            &progress);
        progress.user_id = *user;
        return cm_reply_json(request, 200, &progress_schema, &progress);
}
