#include "service/contact.h"

struct cm_str cm_contact_context(struct cm_arena *arena, const struct cm_uuid *user)
{
        char id[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "user_ref.contact:%s", cm_uuid_format(user, id));
}
