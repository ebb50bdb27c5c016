#include "revive.h"

#include "base/error.h"
#include "conversations/conversation_store.h"
#include "conversations/message_store.h"
#include "conversations/reply_place_store.h"
#include "reply.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The event of a message is stored in the same write as the message, so that after any death it
 * comes here, at least once. It comes when it is REVIVE_GRACE_US old, with all that were said
 * meanwhile: by then almost every reply has long begun, and one look at Redis says so of all. Until
 * then a process may be about to begin one, or Redis has only just come back and a copy is on the
 * way.
 */
static struct cm_metric revived = CM_COUNTER("salus_chat_replies_revived_total",
                                             "Replies taken up because nobody had begun them");

bool revive_is_in_time(const struct chat *chat, cm_time said_at, cm_time now)
{
        return now - said_at <= chat->settings->revive_within_us;
}

bool revive_is_too_early(cm_time said_at, cm_time now)
{
        return now - said_at < REVIVE_GRACE_US;
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

struct said {
        const struct message_created *fact;
        const struct cm_uuid *user_id;
        cm_time at;
};

/* What was said to the companion. */
static bool wants_reply(const struct message_created *fact)
{
        return fact->role == MESSAGE_ROLE_USER && fact->has_reply_id == CM_PRESENT;
}

/* Leaves those that nobody has begun and that are not too old. */
static int sift(struct chat *chat, struct cm_arena *arena, struct said *items, size_t *count)
{
        struct cm_uuid *ids = cm_arena_array(arena, *count + 1, sizeof(*ids));
        bool *begun = cm_arena_array(arena, *count + 1, sizeof(*begun));
        size_t kept = 0;
        int r;

        for (size_t i = 0; i < *count; i++)
                ids[i] = items[i].fact->reply_id;
        r = cm_event_log_are_begun(chat->logs, ids, *count, begun);
        for (size_t i = 0; i < *count && r == 0; i++)
                if (!begun[i] && revive_is_in_time(chat, items[i].at, cm_now(&cm_clock_system)))
                        items[kept++] = items[i];
        *count = kept;
        return r;
}

/* Of a reply whose process died as soon as it had begun nobody would know where it is. */
static int complete_places(struct chat *chat, struct cm_arena *arena, const struct said *items,
                           size_t count)
{
        struct cm_uuid *ids = cm_arena_array(arena, count + 1, sizeof(*ids));
        struct reply_document *places = cm_arena_array(arena, count + 1, sizeof(*places));

        for (size_t i = 0; i < count; i++) {
                ids[i] = items[i].fact->reply_id;
                places[i] = (struct reply_document){
                        .user_id = *items[i].user_id,
                        .conversation_id = items[i].fact->conversation_id,
                        .seq = items[i].fact->seq + 1,
                };
        }
        return reply_places_complete(chat, arena, ids, places, count);
}

int chat_on_messages(struct cm_delivery *deliveries, const void *const *facts, size_t count)
{
        struct chat *chat = deliveries->service;
        struct cm_arena *arena = deliveries->arena;
        struct said *items = cm_arena_array(arena, count, sizeof(*items));
        size_t left = 0;
        int r;

        for (size_t i = 0; i < count; i++)
                if (wants_reply(facts[i]))
                        items[left++] = (struct said){ facts[i], &deliveries[i].event->subject,
                                                       deliveries[i].event->time };
        r = complete_places(chat, arena, items, left);
        if (r == 0)
                r = sift(chat, arena, items, &left);
        for (size_t i = 0; i < left && r == 0; i++)
                r = revive(chat, arena, &items[i].fact->conversation_id, items[i].user_id,
                           items[i].fact->seq + 1);
        return r;
}

int chat_on_message(struct cm_delivery *delivery, const void *fact)
{
        return chat_on_messages(delivery, &fact, 1);
}
