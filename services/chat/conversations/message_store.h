#pragma once
#include "chat.h"
#include "schemas.h"

/*
 * Messages, in pages of 64 documents' members: `seq / 64` is the page. A message and the place of
 * its reply are appended together, so a page is full after 32 of them. All calls suspend.
 */
#define MESSAGES_A_PAGE 64

enum message_outcome {
        MESSAGE_NONE = 1,   /* no such message */
        MESSAGE_REPEATED,   /* append: it is there since an earlier attempt under the same key */
        MESSAGE_KEY_REUSED, /* append: the key was used for something else */
        MESSAGE_REFUSED,    /* append: it is new */
        MESSAGE_SETTLED,    /* finish: the reply has ended before, or its conversation is gone */
};

struct message_append {
        const struct conversation_document *conversation;
        struct message_document message; /* as it is said; id and seq are given here. key absent:
                                            each attempt is one of its own */
        const struct chat_crisis
                *crisis; /* crisis.detected goes with it, unless its level is none */
        bool is_refused; /* unless it was said before under its key */
};

/*
 * Stores the message, its reply (streaming) and their events in one write; where the reply is, is
 * the caller's to store. 0 or MESSAGE_REPEATED with the message as stored, whose reply_id and seq +
 * 1 are the reply's; MESSAGE_KEY_REUSED. A key is known for at least 32 further messages. After
 * an error the message may be there, and its reply is taken up as that of a process that died.
 */
int message_store_append(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                         struct message_document *message_r) CM_MUST_CHECK;

/* The message at a place; MESSAGE_NONE. */
int message_store_find(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t seq,
                       struct message_document *message_r) CM_MUST_CHECK;
/* At most `limit` from `from` on. */
int message_store_list(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t from, size_t limit,
                       struct message_document **messages_r, size_t *count_r) CM_MUST_CHECK;

/*
 * Messages without a gap, in one look at a conversation that has `count` of them, or has had a
 * moment ago: the last `limit` (at most a page's) of those and what has come behind. Fewer, or
 * others, when more than a few have come. Items are struct message_document.
 */
#define MESSAGES_SINCE 4
int message_store_last(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t count, int64_t limit,
                       struct cm_items *messages_r) CM_MUST_CHECK;

/* The end of a reply, once: `reply` is what its place becomes. 0 or MESSAGE_SETTLED. */
int message_store_finish(struct chat *chat, struct cm_arena *arena,
                         const struct cm_uuid *conversation_id, const struct cm_uuid *user_id,
                         const struct message_document *reply) CM_MUST_CHECK;

/* What the person thinks of a reply that has ended. 0 or MESSAGE_NONE: it is gone. */
int message_store_rate(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, const struct message_document *reply,
                       const struct feedback_document *feedback) CM_MUST_CHECK;

/* All words of a conversation that had so many messages are gone; events that wait stay. */
int message_store_forget(struct chat *chat, struct cm_arena *arena,
                         const struct cm_uuid *conversation_id, int64_t count) CM_MUST_CHECK;
