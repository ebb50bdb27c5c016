#include "admin_facts.h"

#include "accounts/user_facts.h"
#include "base/error.h"
#include "bus/outbox.h"
#include "errors.h"

static struct user user_of(const struct account *account)
{
        return (struct user){
                .id = account->id,
                .tenant_id = account->tenant_id,
                .user_type = account->user_type,
                .status = account->status,
                .email = account->email,
                .language = account->language,
                .time_zone = account->time_zone,
                .version = account->version,
                .created_at = account->created_at,
                .updated_at = account->updated_at,
                .reference_id = account->reference_id,
                .has_reference_id = account->has_reference_id,
        };
}

int admin_facts_created(const struct auth *auth, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct account *account)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct user user = user_of(account);
        int r;

        user_facts_created(auth, arena, &user, &fact);
        r = cm_pg_tx_query(tx, &cm_outbox_insert, &fact, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int admin_facts_updated(const struct auth *auth, struct cm_pg_tx *tx, struct cm_arena *arena,
                        const struct account *account)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params fact = { 0 };
        const struct user user = user_of(account);
        int r;

        user_facts_updated(auth, arena, &user, &fact);
        r = cm_pg_tx_query(tx, &cm_outbox_insert, &fact, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int admin_no_longer(struct cm_request *request)
{
        const struct cm_problem problem = { .status = 403,
                                            .code = CM_CODE_FORBIDDEN,
                                            .title = "Not allowed" };

        return cm_reply_problem(request, &problem);
}
