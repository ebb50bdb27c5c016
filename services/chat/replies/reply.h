#pragma once
#include "analysis/analysis.h"
#include "chat.h"
#include "conversations/message_store.h"
#include "schemas.h"

/*
 * Replies that are being made. A reply belongs to the worker that took the message, runs in fibers
 * of its own, and does not know who follows it: everybody does so by its event log. It is stored
 * before its last event is said.
 */
struct reply;

/* There is room for one more. */
bool reply_may_start(const struct chat *chat);
/* As many replies as one person may have are being made here. */
bool reply_is_person_busy(const struct chat *chat, const struct cm_uuid *user_id);
/*
 * Makes a reply ready while its message is being stored: what others know of the person is asked
 * for already and what was said before is read, but not a word is said before the message is there.
 * It becomes a reply by reply_begin() or is given up by reply_drop(). came_us: when the message
 * came, monotonic. -CM_E_OVERLOAD. Does not suspend.
 */
int reply_prepare(struct chat *chat, const struct conversation_document *conversation,
                  const struct message_document *message, int64_t came_us,
                  struct reply **reply_r) CM_MUST_CHECK;
/* The message is stored: its reply goes on by itself, and *reply is NULL. is_placed: where it is,
 * too; else it stores that itself. -CM_E_OVERLOAD: nobody makes it; it will be taken up, or count
 * as interrupted. Does not suspend. */
int reply_begin(struct reply **reply, const struct message_document *message,
                bool is_placed) CM_MUST_CHECK;
/* NULL is allowed. Sets *reply to NULL. Does not suspend. */
void reply_drop(struct reply **reply);
/* The same for a message whose reply was to begin elsewhere and has not: of all who try, one makes
 * it. CM_EVENT_LOG_BEGUN, or as above. Suspends. */
int reply_take_up(struct chat *chat, const struct conversation_document *conversation,
                  const struct message_document *message) CM_MUST_CHECK;
/* The end of the worker: replies may finish; those that take too long end as interrupted. Suspends,
 * at the latest until the fiber's deadline. */
void replies_end(struct chat *chat);

/*
 * A reply that says that it is being made, though its process has died, ends: *message is as it is
 * afterwards. One that never began is taken up instead. Left alone when it is still at work, or may
 * be. Suspends.
 */
int reply_settle(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                 const struct cm_uuid *user_id, struct message_document *message) CM_MUST_CHECK;
