#include "contacts.h"

#include "service/contact.h"
#include "sys/log.h"

static int open_with(const struct cm_seal_keys *keys, struct cm_arena *arena, struct cm_str context,
                     struct cm_str sealed, struct cm_str *plain_r)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf plain = { 0 };

        if (!keys || cm_unseal(keys, context, sealed, &plain)) {
                cm_log(CM_LOG_WARN, "no key here opens an address", CM_F_STR("of", context));
                return CONTACT_NONE;
        }
        *plain_r = cm_arena_str(arena, cm_buf_str(&plain));
        return 0;
}

int contact_email(struct scheduler *scheduler, struct cm_arena *arena,
                  const struct cm_uuid *schedule, struct cm_str sealed_email,
                  const struct cm_uuid *user, struct cm_str sealed_contact, struct cm_str *email_r)
{
        char id[CM_UUID_TEXT_SIZE];

        if (sealed_email.data)
                return open_with(
                        scheduler->seal, arena,
                        cm_arena_printf(arena, "schedules.email:%s", cm_uuid_format(schedule, id)),
                        sealed_email, email_r);
        if (!sealed_contact.data)
                return CONTACT_NONE;
        return open_with(scheduler->contacts, arena, cm_contact_context(arena, user),
                         sealed_contact, email_r);
}
