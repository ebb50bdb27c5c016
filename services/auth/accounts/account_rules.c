#include "account_rules.h"

enum { MAX_PREFERENCES = 16384, MAX_PRIVACY = 4096 };

void account_rules_ref(const struct user *user, struct user_ref *ref_r)
{
        *ref_r = (struct user_ref){
                .user_id = user->id,
                .tenant_id = user->tenant_id,
                .user_type = user->user_type,
                .language = user->language,
                .time_zone = user->time_zone,
                .status = user->status,
                .version = user->version,
                .changed_at = user->updated_at,
                .reference_id = user->reference_id,
                .has_reference_id = user->has_reference_id,
        };
}

/* Sets an optional text as the patch says; true when that changes it. */
static bool change_optional(struct cm_str *text, uint8_t *has, struct cm_str given,
                            uint8_t given_has)
{
        struct cm_str wanted = given_has == CM_PRESENT ? given : CM_STR_NONE;

        if (given_has == CM_ABSENT)
                return false;
        if (wanted.data ? *has && cm_str_equal(*text, wanted) : !*has)
                return false;
        *text = wanted;
        *has = wanted.data ? CM_PRESENT : CM_ABSENT;
        return true;
}

static bool change_required(struct cm_str *text, struct cm_str given, uint8_t given_has)
{
        if (given_has != CM_PRESENT || cm_str_equal(*text, given))
                return false;
        *text = given;
        return true;
}

static bool change_object(struct cm_str *object, struct cm_str merged, uint8_t given_has)
{
        if (given_has == CM_NULL)
                merged = CM_STR("{}");
        if (cm_str_equal(*object, merged))
                return false;
        *object = merged;
        return true;
}

bool account_rules_is_plain(struct cm_str name)
{
        for (size_t i = 0; i < name.len; i++) {
                char c = name.data[i];

                if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' &&
                    c != '-')
                        return false;
        }
        return true;
}

bool account_rules_is_phone(struct cm_str number)
{
        if (number.len < 8 || number.len > 16)
                return false;
        for (size_t i = 1; i < number.len; i++)
                if (number.data[i] < '0' || number.data[i] > '9')
                        return false;
        return number.data[0] == '+' && number.data[1] != '0';
}

static int look_at(const struct user_patch *patch, const struct account_merge *merged)
{
        if (patch->has_avatar_url == CM_PRESENT &&
            !cm_str_starts(patch->avatar_url, CM_STR("https://")))
                return ACCOUNT_AVATAR_NOT_HTTPS;
        if (merged->preferences.len > MAX_PREFERENCES)
                return ACCOUNT_PREFERENCES_TOO_LARGE;
        if (merged->privacy_settings.len > MAX_PRIVACY)
                return ACCOUNT_PRIVACY_TOO_LARGE;
        if (patch->has_username == CM_PRESENT && !account_rules_is_plain(patch->username))
                return ACCOUNT_USERNAME_BAD;
        if (patch->has_phone_number == CM_PRESENT && !account_rules_is_phone(patch->phone_number))
                return ACCOUNT_PHONE_BAD;
        return 0;
}

#define CHANGE_OPTIONAL(member)                                                                    \
        change_optional(&user->member, &user->has_##member, patch->member, patch->has_##member)
#define CHANGE_REQUIRED(member) change_required(&user->member, patch->member, patch->has_##member)

int account_rules_change(struct user *user, const struct user_patch *patch,
                         const struct account_merge *merged, cm_time now)
{
        bool changed = false;
        int r = look_at(patch, merged);

        if (r)
                return r;
        changed |= CHANGE_OPTIONAL(username);
        if (CHANGE_OPTIONAL(phone_number)) {
                user->has_phone_confirmed_at = CM_ABSENT; /* it was the other number */
                changed = true;
        }
        changed |= CHANGE_OPTIONAL(display_name);
        changed |= CHANGE_OPTIONAL(first_name);
        changed |= CHANGE_OPTIONAL(full_name);
        changed |= CHANGE_OPTIONAL(bio);
        changed |= CHANGE_OPTIONAL(avatar_url);
        changed |= CHANGE_REQUIRED(language);
        changed |= CHANGE_REQUIRED(time_zone);
        changed |= change_object(&user->preferences, merged->preferences, patch->has_preferences);
        changed |= change_object(&user->privacy_settings, merged->privacy_settings,
                                 patch->has_privacy_settings);
        if (!changed)
                return ACCOUNT_UNCHANGED;
        user->version++;
        user->updated_at = now > user->updated_at ? now : user->updated_at;
        return 0;
}
