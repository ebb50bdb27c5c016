#pragma once
#include "chat.h"
#include "schemas.h"

/*
 * Conversations as documents. Only the owner's are found. All calls suspend; machinery errors as
 * store/mongo.h says.
 */
enum conversation_outcome {
        CONVERSATION_NONE = 1, /* no such conversation of this person */
        CONVERSATION_EXISTS,   /* of this id: it was made before */
};

int conversation_store_insert(struct chat *chat, struct cm_arena *arena,
                              const struct conversation_document *conversation) CM_MUST_CHECK;
int conversation_store_find(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *id,
                            const struct cm_uuid *user_id,
                            struct conversation_document *conversation_r) CM_MUST_CHECK;

/* Newest first, behind `after` (NULL: from the first). `status` 0: all that are not deleted. */
int conversation_store_list(struct chat *chat, struct cm_arena *arena,
                            const struct cm_uuid *user_id, int32_t status, int64_t limit,
                            const struct conversation_document *after,
                            struct cm_items *items_r) CM_MUST_CHECK;

/* Ends it, with chat.ended, unless that was done before. `status` is archived or deleted; of a
 * deleted one nothing stays that somebody wrote. */
int conversation_store_end(struct chat *chat, struct cm_arena *arena,
                           const struct conversation_document *conversation, int32_t status,
                           cm_time now) CM_MUST_CHECK;

/* A message came: its time, how many there are, and the level of a crisis when it is higher. */
int conversation_store_touch(struct chat *chat, const struct conversation_document *conversation,
                             int64_t message_count, int32_t crisis_level,
                             cm_time now) CM_MUST_CHECK;
