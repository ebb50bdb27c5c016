#include "revive.h"

#include "base/error.h"
#include "conversations/conversation_store.h"
#include "conversations/message_store.h"
#include "reply.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The event of a message is stored in the same write as the message, so that after any death it
 * comes here, at least once. Almost always the reply has long begun by then: that costs one look at
 * Redis. Otherwise it is waited for, because its process may be about to begin it, or Redis has
 * only just come back and its copy is on the way.
 */
#define GRACE_US CM_SECOND

static struct cm_metric revived = CM_COUNTER("salus_chat_replies_revived_total",
                                             "Replies taken up because nobody had begun them");

bool revive_is_in_time(const struct chat *chat, cm_time said_at, cm_time now)
{
        return now - said_at <= chat->settings->revive_within_us;
}

bool revive_is_too_early(cm_time said_at, cm_time now)
{
        return now - said_at < GRACE_US;
}

/* 0, or MESSAGE_NONE: nothing is to be made. */
static int find_message(struct chat *chat, struct cm_arena *arena,
                        const struct cm_uuid *conversation_id, int64_t seq,
                        struct message_document *message_r)
{
        struct message_document place;
        int r = message_store_find(chat, arena, conversation_id, seq, &place);

        if (r == 0 && (place.has_state != CM_PRESENT || place.state != REPLY_STATE_STREAMING))
                return MESSAGE_NONE;
        if (r == 0)
                r = message_store_find(chat, arena, conversation_id, seq - 1, message_r);
        if (r == 0 && (message_r->has_reply_id != CM_PRESENT ||
                       !cm_uuid_equal(&message_r->reply_id, &place.id)))
                return MESSAGE_NONE;
        return r;
}

int revive(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
           const struct cm_uuid *user_id, int64_t seq)
{
        const struct reply_document place = { .user_id = *user_id,
                                              .conversation_id = *conversation_id,
                                              .seq = seq };
        struct conversation_document conversation;
        struct message_document message;
        char id[CM_UUID_TEXT_SIZE];
        int r = find_message(chat, arena, conversation_id, seq, &message);

        if (r)
                return r < 0 ? r : 0;
        r = conversation_store_find(chat, arena, conversation_id, user_id, &conversation);
        if (r)
                return r < 0 ? r : 0;
        if (!reply_may_start(chat))
                return -CM_E_OVERLOAD;
        r = reply_place_insert(chat, arena, &message.reply_id, &place);
        if (r == 0)
                r = reply_take_up(chat, &conversation, &message);
        if (r)
                return r < 0 ? r : 0;
        cm_counter_add(&revived, 1);
        cm_log(CM_LOG_WARN, "a reply that nobody had begun is taken up",
               CM_F_TEXT("reply", cm_uuid_format(&message.reply_id, id)));
        return 0;
}

/* ---- the consumer */

struct unbegun {
        const struct message_created *fact;
        const struct cm_uuid *user_id;
};

static bool may_need_revival(const struct chat *chat, const struct cm_delivery *delivery,
                             const struct message_created *fact)
{
        return fact->role == MESSAGE_ROLE_USER && fact->has_reply_id == CM_PRESENT &&
               revive_is_in_time(chat, delivery->event->time, cm_now(&cm_clock_system));
}

/* Leaves those that nobody has begun. */
static int sift(struct chat *chat, struct unbegun *items, size_t *count)
{
        size_t kept = 0;
        int r = 0;

        for (size_t i = 0; i < *count && r == 0; i++) {
                bool begun = false;

                r = cm_event_log_is_begun(chat->logs, &items[i].fact->reply_id, &begun);
                if (!begun)
                        items[kept++] = items[i];
        }
        *count = kept;
        return r;
}

int chat_on_messages(struct cm_delivery *deliveries, const void *const *facts, size_t count)
{
        struct chat *chat = deliveries->service;
        struct cm_arena *arena = deliveries->arena;
        struct unbegun *items = cm_arena_array(arena, count, sizeof(*items));
        size_t left = 0;
        int r;

        for (size_t i = 0; i < count; i++)
                if (may_need_revival(chat, &deliveries[i], facts[i]))
                        items[left++] = (struct unbegun){ facts[i], &deliveries[i].event->subject };
        r = sift(chat, items, &left);
        if (r || !left)
                return r;
        r = cm_fiber_sleep(GRACE_US);
        if (r == 0)
                r = sift(chat, items, &left);
        for (size_t i = 0; i < left && r == 0; i++)
                r = revive(chat, arena, &items[i].fact->conversation_id, items[i].user_id,
                           items[i].fact->seq + 1);
        return r;
}

int chat_on_message(struct cm_delivery *delivery, const void *fact)
{
        return chat_on_messages(delivery, &fact, 1);
}
