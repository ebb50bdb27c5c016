#include "person_events.h"

#include "base/error.h"
#include "events.h"
#include "health.h"
#include "service/user_refs.h"

/* user.created, user.updated: who people are, where they live, whom they are to stand for. Run
 * inside the inbox transaction. Where somebody lived who is deleted is not written down any more,
 * also when this comes behind user.erased. */
static int on_users(struct cm_delivery *deliveries, const void *const *facts, size_t count)
{
        struct person_move *moves = cm_arena_array(deliveries->arena, count, sizeof(*moves));
        struct health *health = deliveries->service;
        int r = cm_user_ref_apply_batch(deliveries, facts, count);
        size_t moved = 0;

        for (size_t i = 0; i < count; i++) {
                const struct user_ref *user = facts[i];

                if (user->status != USER_STATUS_DELETED)
                        moves[moved++] = (struct person_move){ user->user_id, user->time_zone,
                                                               user->changed_at };
        }
        if (r == 0)
                r = person_store_claims(deliveries->tx, (const struct user_ref *const *)facts,
                                        count);
        if (r == 0 && moved)
                r = person_store_moved(deliveries->tx, moves, moved);
        for (size_t i = 0; i < moved && r == 0 && health; i++)
                person_store_drop(health->persons, &moves[i].id);
        return r > 0 ? -CM_E_DATABASE : r; /* the database's refusal says nothing of the fact */
}

static int on_user(struct cm_delivery *delivery, const void *fact)
{
        return on_users(delivery, &fact, 1);
}

/* user.erased. Runs inside the inbox transaction; again has no effect. */
static int on_erased(struct cm_delivery *delivery, const void *fact)
{
        const struct user_erased *erased = fact;
        struct health *health = delivery->service;
        int r = person_store_erase(delivery->tx, &erased->user_id);

        if (r == 0 && health) {
                person_store_drop(health->persons, &erased->user_id);
                vitals_cache_changed(health->vitals, &erased->user_id);
        }
        return r > 0 ? -CM_E_DATABASE : r;
}

const struct cm_subscription person_subscriptions[] = {
        { STREAM_AUTH, EVENT_USER_CREATED, &user_ref_schema, on_user, on_users },
        { STREAM_AUTH, EVENT_USER_UPDATED, &user_ref_schema, on_user, on_users },
        { STREAM_AUTH, EVENT_USER_ERASED, &user_erased_schema, on_erased, NULL },
        { NULL, NULL, NULL, NULL, NULL },
};
