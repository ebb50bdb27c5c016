#pragma once
#include "base/arena.h"
#include "base/uuid.h"

/*
 * The address of an account on its way from auth, which owns it, to whoever may reach the person:
 * sealed under keys that only these services have (SALUS_CONTACT_KEYS), so the bus, its consumers
 * and their stores carry what they cannot read. The context binds it to its person.
 */
struct cm_str cm_contact_context(struct cm_arena *arena, const struct cm_uuid *user);

/* The same for a mail that auth asks scheduler to send: binds what is sealed to that mail. */
struct cm_str cm_contact_mail_context(struct cm_arena *arena, const struct cm_uuid *mail_id);
