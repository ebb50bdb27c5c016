#pragma once
#include "auth.h"
#include "sessions/session_store.h"

/*
 * What all services must know at once, over Redis: the public keys of access tokens, the
 * sessions that have ended, and feature flags. PostgreSQL remembers them; Redis is told again each
 * time it comes back, and when it is found without keys, because it may have lost them.
 */

/* Tells Redis now and at each reconnection. */
void announcements_start(struct auth *auth);
/* The same in the background, because something could not be told or Redis was found without keys
 * (key_keeper.c); nothing while Redis is gone. */
void announcements_repeat(struct auth *auth);
/* Waits until nothing is being told any more. */
void announcements_stop(struct auth *auth);

/* Sessions have ended, durably: their access tokens are void. Suspends. When that fails they are
 * told again in the background, at the latest when Redis is back. */
void announce_ended_sessions(struct auth *auth, struct cm_arena *arena,
                             const struct ended_sessions *ended);
