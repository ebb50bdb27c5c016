#pragma once
#include "base/uuid.h"
#include "bus/consumer.h"
#include "service/service.h"

/*
 * What a service knows of users without asking auth: the table user_refs (user_refs.up.sql), fed by
 * user.created and user.updated. A service that sets cm_service.user_refs includes that file in a
 * migration and CM_USER_REF_SUBSCRIPTIONS in its subscriptions; the guard then refuses accounts
 * that are not active.
 */
struct cm_user_ref {
        struct cm_uuid user_id;
        struct cm_uuid tenant_id;
        int32_t user_type; /* enum user_type */
        int32_t status;    /* enum user_status */
        char language[36];
        char time_zone[65];
        int64_t version;
};

enum cm_user_ref_outcome { CM_USER_REF_UNKNOWN = 1 /* its event has not arrived yet */ };

/* Through a small cache of the worker: an answer is at most a minute old, and no older than the
 * last event that this daemon has taken. Suspends. 0, CM_USER_REF_UNKNOWN or an error. */
int cm_user_ref_get(struct cm_worker *worker, const struct cm_uuid *user_id,
                    struct cm_user_ref *ref_r) CM_MUST_CHECK;

/* The handlers of both events: a fact is a struct user_ref. For services that do more with them:
 * call it first. Older versions than the stored one change nothing. */
int cm_user_ref_apply(struct cm_delivery *delivery, const void *fact);
int cm_user_ref_apply_batch(struct cm_delivery *deliveries, const void *const *facts, size_t count);

#define CM_USER_REF_SUBSCRIPTIONS                                                                  \
        { STREAM_AUTH, EVENT_USER_CREATED, &user_ref_schema, cm_user_ref_apply,                    \
          cm_user_ref_apply_batch },                                                               \
        {                                                                                          \
                STREAM_AUTH, EVENT_USER_UPDATED, &user_ref_schema, cm_user_ref_apply,              \
                        cm_user_ref_apply_batch                                                    \
        }
