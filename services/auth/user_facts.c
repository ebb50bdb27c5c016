#include "user_facts.h"

#include "account_rules.h"
#include "service/contact.h"

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
