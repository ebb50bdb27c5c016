#pragma once
#include "auth.h"
#include "key_rotation.h"

/*
 * A worker's eye on the signing keys: it takes changes over at once when somebody signals them and
 * within a second otherwise, sees to it that Redis says what the table says, and (the first worker)
 * does what is due. When Redis is found without keys it has lost more than them, and is told all
 * again (announcements.h).
 */

/* The keys as they are, and the first one on an empty database. -CM_E_CONFIG when the settings do
 * not fit each other or the seal keys do not open the active key. Suspends. */
int key_keeper_load(struct auth *auth) CM_MUST_CHECK;
void key_keeper_start(struct auth *auth);
void key_keeper_stop(struct auth *auth);

/* The key that signs now; NULL: none that is surely still active. */
const struct cm_signing_key *key_keeper_active(const struct auth *auth);

/* What a command needs as well: `keys` seals what is made. */
struct key_rotation key_keeper_rotation(const struct auth_settings *settings,
                                        const struct cm_worker *worker,
                                        const struct signing_keys *keys);
