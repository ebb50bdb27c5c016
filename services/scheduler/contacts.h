#pragma once
#include "scheduler.h"

/* Where a person is reached: opened at the time of sending, and nowhere else. */
enum contact_outcome { CONTACT_NONE = 1 /* there is no address, or no key here opens it */ };

/* The schedule's own address, or the account's. In the arena. */
int contact_email(struct scheduler *scheduler, struct cm_arena *arena,
                  const struct cm_uuid *schedule, struct cm_str sealed_email,
                  const struct cm_uuid *user, struct cm_str sealed_contact,
                  struct cm_str *email_r) CM_MUST_CHECK;
