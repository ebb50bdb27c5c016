#include "person_events.h"

#include "events.h"
#include "health.h"
#include "service/user_refs.h"

/* user.created, user.updated. Runs inside the inbox transaction. */
static int on_user(struct cm_delivery *delivery, const void *fact)
{
        const struct user_ref *user = fact;
        struct health *health = delivery->service;
        int r = cm_user_ref_apply(delivery, fact);

        if (r == 0)
                r = person_store_moved(delivery->tx, &user->user_id, user->time_zone,
                                       user->changed_at);
        if (r == 0 && health)
                person_store_drop(health->persons, &user->user_id);
        return r;
}

const struct cm_subscription person_subscriptions[] = {
        { STREAM_AUTH, EVENT_USER_CREATED, &user_ref_schema, on_user },
        { STREAM_AUTH, EVENT_USER_UPDATED, &user_ref_schema, on_user },
        { NULL, NULL, NULL, NULL },
};
