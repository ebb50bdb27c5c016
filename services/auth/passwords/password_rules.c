#include "password_rules.h"

#include "codec/text.h"

static bool is_email(struct cm_arena *arena, struct cm_str folded, struct cm_str email)
{
        struct cm_str address = cm_text_fold(arena, email);
        struct cm_str rest = address;
        struct cm_str local;

        if (!cm_str_split(&rest, '@', &local))
                return false;
        return cm_str_equal(folded, address) || cm_str_equal(folded, local);
}

int password_rules_check(struct cm_arena *arena, const struct common_passwords *common,
                         struct cm_str password, const struct password_owner *owner)
{
        struct cm_str folded = cm_text_fold(arena, password);

        if (is_email(arena, folded, owner->email))
                return PASSWORD_IS_EMAIL;
        if (owner->display_name.data &&
            cm_str_equal(cm_str_trim(folded), cm_text_fold(arena, owner->display_name)))
                return PASSWORD_IS_NAME;
        return common_passwords_has(common, folded) ? PASSWORD_IS_COMMON : 0;
}

const char *password_rules_detail(int flaw)
{
        switch (flaw) {
        case PASSWORD_IS_EMAIL:
                return "must not be the e-mail address";
        case PASSWORD_IS_NAME:
                return "must not be one's name";
        default:
                return "is one of the passwords that are tried first";
        }
}
