#include "day_summary.h"

#include "day_rules.h"
#include "events/event_replies.h"

/* GET /v1/days/{date}/summary: the person's own day, made from its events when it is asked for. */

/* Noon of the day, so that a move in the night does not matter. */
static void place_day(const struct health *health, const struct person *person, cm_date date,
                      struct day_summary *summary)
{
        const struct cm_zone *zone;

        summary->date = date;
        summary->time_zone = person_zone_at(person, date * CM_DAY + 12 * CM_HOUR);
        zone = cm_zones_get(health->zones, summary->time_zone);
        if (!zone) {
                summary->time_zone = CM_STR("UTC");
                zone = cm_zones_get(health->zones, summary->time_zone);
        }
        summary->starts_at = cm_zone_day_start(zone, date);
        summary->ends_at = cm_zone_day_start(zone, date + 1);
}

void day_summary_make(const struct health *health, const struct person *person, cm_date date,
                      const struct event_list *events, struct cm_arena *arena,
                      struct day_summary *summary_r)
{
        *summary_r = (struct day_summary){ .user_id = person->id };
        place_day(health, person, date, summary_r);
        day_rules_summarize(events, arena, summary_r);
}

int health_day_summary(struct cm_request *request, const struct health_day_summary_params *params)
{
        struct health *health = cm_request_service(request);
        struct cm_arena *arena = cm_request_arena(request);
        const struct cm_uuid *user = &cm_request_claims(request)->sub;
        struct day_summary summary;
        struct person person;
        struct event_list events;
        int r = person_store_get(health->persons, arena, user, &person);

        if (r == 0)
                r = event_store_days(health->events, arena, user, params->date, params->date,
                                     &events);
        if (r)
                return r;
        day_summary_make(health, &person, params->date, &events, arena, &summary);
        return cm_reply_json(request, 200, &day_summary_schema, &summary);
}
