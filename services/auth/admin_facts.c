#include "admin_facts.h"

#include "base/error.h"
#include "bus/outbox.h"
#include "errors.h"
#include "events.h"
#include "sys/fiber.h"
#include "user_facts.h"

static void ref_of(struct cm_request *request, const struct account *account,
                   struct user_ref *ref_r)
{
        const struct user user = {
                .id = account->id,
                .tenant_id = account->tenant_id,
                .user_type = account->user_type,
                .status = account->status,
                .email = account->email,
                .language = account->language,
                .time_zone = account->time_zone,
                .version = account->version,
                .updated_at = account->updated_at,
                .reference_id = account->reference_id,
                .has_reference_id = account->has_reference_id,
        };

        user_facts_ref(cm_request_service(request), cm_request_arena(request), &user, ref_r);
}

static int put(struct cm_pg_tx *tx, struct cm_event *event, const struct account *account)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        int r;

        event->tenant = account->tenant_id;
        cm_outbox_params(event, 1, &params);
        r = cm_pg_tx_query(tx, &cm_outbox_insert, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int admin_facts_created(struct cm_request *request, struct cm_pg_tx *tx,
                        const struct account *account)
{
        struct cm_event event;
        struct user_ref ref;

        ref_of(request, account, &ref);
        event_user_created(&event, cm_request_arena(request), cm_fiber_context(),
                           account->updated_at, &account->id, &ref);
        return put(tx, &event, account);
}

int admin_facts_updated(struct cm_request *request, struct cm_pg_tx *tx,
                        const struct account *account)
{
        struct cm_event event;
        struct user_ref ref;

        ref_of(request, account, &ref);
        event_user_updated(&event, cm_request_arena(request), cm_fiber_context(),
                           account->updated_at, &account->id, &ref);
        return put(tx, &event, account);
}

int admin_no_longer(struct cm_request *request)
{
        const struct cm_problem problem = { .status = 403,
                                            .code = CM_CODE_FORBIDDEN,
                                            .title = "Not allowed" };

        return cm_reply_problem(request, &problem);
}
