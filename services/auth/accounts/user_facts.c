#include "user_facts.h"

#include "account_rules.h"
#include "bus/outbox.h"
#include "events.h"
#include "service/contact.h"
#include "sys/fiber.h"

void user_facts_ref(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                    struct user_ref *ref_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf sealed = { 0 };

        account_rules_ref(user, ref_r);
        if (!auth->contact_keys || user->status == USER_STATUS_DELETED)
                return;
        cm_seal(auth->contact_keys, cm_contact_context(arena, &user->id), user->email, &sealed);
        ref_r->contact = cm_arena_str(arena, cm_buf_str(&sealed));
        ref_r->has_contact = CM_PRESENT;
}

void user_facts_created(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                        struct cm_pg_params *params)
{
        struct cm_event event;
        struct user_ref ref;

        user_facts_ref(auth, arena, user, &ref);
        event_user_created(&event, arena, cm_fiber_context(), user->created_at, &user->id, &ref);
        event.tenant = user->tenant_id;
        cm_outbox_params(&event, 1, params);
}

void user_facts_updated(const struct auth *auth, struct cm_arena *arena, const struct user *user,
                        struct cm_pg_params *params)
{
        struct cm_event event;
        struct user_ref ref;

        user_facts_ref(auth, arena, user, &ref);
        event_user_updated(&event, arena, cm_fiber_context(), user->updated_at, &user->id, &ref);
        event.tenant = user->tenant_id;
        cm_outbox_params(&event, 1, params);
}
