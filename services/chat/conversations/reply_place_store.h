#pragma once
#include "message_store.h"

/* Where replies are, by their ids. All calls suspend. */

/* MESSAGE_NONE: no such reply of this person. */
int reply_place_insert(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *reply_id,
                       const struct reply_document *place) CM_MUST_CHECK;
/* Those that are not there yet: one look at all. */
int reply_places_complete(struct chat *chat, struct cm_arena *arena,
                          const struct cm_uuid *reply_ids, const struct reply_document *places,
                          size_t count) CM_MUST_CHECK;
int reply_place_find(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *reply_id,
                     const struct cm_uuid *user_id, struct reply_document *place_r) CM_MUST_CHECK;
/* The same, and -CM_E_UNAVAILABLE for an id so young that its place may just be being stored. */
int reply_place_find_fresh(struct chat *chat, struct cm_arena *arena,
                           const struct cm_uuid *reply_id, const struct cm_uuid *user_id,
                           struct reply_document *place_r) CM_MUST_CHECK;
