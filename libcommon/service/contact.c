#include "service/contact.h"

struct cm_str cm_contact_context(struct cm_arena *arena, const struct cm_uuid *user)
{
        char id[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "user_ref.contact:%s", cm_uuid_format(user, id));
}

struct cm_str cm_contact_mail_context(struct cm_arena *arena, const struct cm_uuid *mail_id)
{
        char id[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "mail.contents:%s", cm_uuid_format(mail_id, id));
}
