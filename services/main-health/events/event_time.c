#include "event_time.h"

#include "event_store.h"
#include "main_health_api.h"

/* From this hour on a sleep that ends belongs to the next day. */
#define EVENING (18 * CM_HOUR)

cm_date event_local_date(int16_t event_type, int16_t event_subtype, const struct cm_zone *zone,
                         cm_time occurred_at, cm_time ended_at)
{
        bool sleep = event_type == HEALTH_EVENT_TYPE_VITAL && event_subtype == VITAL_SUBTYPE_SLEEP;
        cm_time end = ended_at == EVENT_NO_END ? occurred_at : ended_at;
        cm_date date;

        if (!sleep)
                return cm_zone_date(zone, occurred_at);
        date = cm_zone_date(zone, end);
        return date + (cm_zone_wall(zone, end) - date * CM_DAY >= EVENING);
}
