#include "rpc_person.h"

#include "errors.h"
#include "schemas.h"
#include "service/user_refs.h"

int rpc_person_get(struct cm_rpc_request *call, struct rpc_person *person_r)
{
        struct health *health = call->service;
        const struct cm_zone *zone;
        struct cm_user_ref ref;
        int r = cm_user_ref_get(health->worker, &call->user, &ref);

        if (r == CM_USER_REF_UNKNOWN)
                return cm_rpc_refuse(call, CM_CODE_NOT_FOUND, "there is no such person");
        if (r)
                return r;
        if (ref.status != USER_STATUS_ACTIVE)
                return cm_rpc_refuse(call, CM_CODE_ACCOUNT_INACTIVE, NULL);
        r = person_store_get(health->persons, call->arena, &call->user, &person_r->person);
        if (r)
                return r;
        person_r->language = cm_arena_str(call->arena, cm_str_from(ref.language));
        person_r->time_zone = person_zone_at(&person_r->person, call->now);
        zone = cm_zones_get(health->zones, person_r->time_zone);
        if (!zone) {
                person_r->time_zone = CM_STR("UTC");
                zone = cm_zones_get(health->zones, person_r->time_zone);
        }
        person_r->today = cm_zone_date(zone, call->now);
        return 0;
}
