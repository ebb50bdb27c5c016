#include "admin_rules.h"

static bool set(int32_t *value, int32_t wanted)
{
        if (!wanted || *value == wanted)
                return false;
        *value = wanted;
        return true;
}

/* What an account of the old type stood for is nothing that one of the new type can stand for. */
static bool set_type(const struct admin_act *act, struct account *account)
{
        if (!set(&account->user_type, act->user_type))
                return false;
        account->has_reference_id = CM_ABSENT;
        return true;
}

static bool set_reference(const struct admin_act *act, struct account *account)
{
        bool wanted = act->has_reference == CM_PRESENT,
             has = account->has_reference_id == CM_PRESENT;

        if (act->has_reference == CM_ABSENT ||
            (wanted == has && (!has || cm_uuid_equal(&act->reference_id, &account->reference_id))))
                return false;
        account->reference_id = act->reference_id;
        account->has_reference_id = wanted ? CM_PRESENT : CM_ABSENT;
        return true;
}

int admin_rules_apply(const struct admin_act *act, cm_time now, struct account *account)
{
        bool changed = false;

        if (account->status == USER_STATUS_DELETED)
                return ADMIN_DELETED;
        changed |= set_type(act, account);
        changed |= set(&account->status, act->status);
        changed |= set_reference(act, account);
        if (act->phone.data && account->has_phone_confirmed_at != CM_PRESENT) {
                account->phone_confirmed_at = now;
                account->has_phone_confirmed_at = CM_PRESENT;
                changed = true;
        }
        if (act->must_change && !account->password_must_change) {
                account->password_must_change = true;
                changed = true;
        }
        if (account->user_type == USER_TYPE_ADMIN && account->has_reference_id == CM_PRESENT)
                return ADMIN_STANDS_FOR_NOBODY;
        if (!changed)
                return ADMIN_UNCHANGED;
        account->version++;
        account->updated_at = now > account->updated_at ? now : account->updated_at;
        return 0;
}
