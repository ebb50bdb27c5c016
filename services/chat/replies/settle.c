#include "base/error.h"
#include "chat_api.h"
#include "conversations/message_store.h"
#include "reply.h"
#include "revive.h"

/* Replies whose process has died: what their log holds becomes the message, as interrupted. One
 * without a log is taken up, while it is young. */

enum log_state { LOG_OPEN, LOG_ENDED, LOG_BROKEN };

static void add_text(struct cm_arena *arena, const struct cm_stream_event *event,
                     struct cm_buf *text)
{
        struct cm_faults faults = { .count = 0 };
        struct reply_delta delta;

        if (cm_str_equal(event->type, cm_str_from(reply_event_delta.name)) &&
            cm_schema_decode(&reply_delta_schema, event->data, arena, &delta, &faults) == 0)
                cm_buf_add_str(text, delta.text);
}

/* What the log says so far. LOG_BROKEN: it has ended without a stored message. */
static int read_log(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *id,
                    struct cm_buf *text, enum log_state *state_r)
{
        struct cm_event_follower *follower;
        struct cm_stream_event event;
        int r = cm_event_follower_new(chat->logs, id, 0, &follower);

        *state_r = LOG_OPEN;
        if (r)
                return r;
        while ((r = cm_event_follower_next(follower, &event)) == 0) {
                add_text(arena, &event, text);
                if (cm_str_equal(event.type, cm_str_from(reply_event_error.name)))
                        *state_r = LOG_BROKEN;
                else if (cm_stream_event_is_last(event.type))
                        *state_r = LOG_ENDED;
                if (*state_r != LOG_OPEN)
                        break;
        }
        cm_event_follower_free(&follower);
        return r == CM_EVENT_LOG_NOT_YET ? 0 : r;
}

/* Without Redis or room it is left as it is: somebody else, or later. */
static int take_up(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                   const struct cm_uuid *user_id, const struct message_document *message,
                   cm_time now)
{
        int r = 0;

        if (!revive_is_too_early(message->created_at, now))
                r = revive(chat, arena, conversation_id, user_id, message->seq);
        return r == -CM_E_OVERLOAD || r == -CM_E_UNAVAILABLE ? 0 : r;
}

/* One that should have ended long ago and whose log is open: when nobody makes it any more, it
 * never will. */
static bool is_orphan(struct chat *chat, const struct cm_uuid *id)
{
        bool has_ended;
        int r = cm_event_log_end_orphan(chat->logs, id, &has_ended);

        return r == CM_EVENT_LOG_NONE || (r == 0 && has_ended);
}

int reply_settle(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                 const struct cm_uuid *user_id, struct message_document *message)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        cm_time now = cm_now(&cm_clock_system);
        struct message_document settled = *message;
        enum log_state state;
        int r;

        if (message->has_state != CM_PRESENT || message->state != REPLY_STATE_STREAMING)
                return 0;
        r = read_log(chat, arena, &message->id, &text, &state);
        if (r < 0)
                return 0; /* Redis is away: nobody knows */
        if (state == LOG_ENDED)
                return message_store_find(chat, arena, conversation_id, message->seq, message);
        /* The log's last event may not have been stored yet: its maker does that within a moment.
         */
        if (state != LOG_BROKEN && r == CM_EVENT_LOG_NONE &&
            revive_is_in_time(chat, message->created_at, now))
                return take_up(chat, arena, conversation_id, user_id, message, now);
        if (state != LOG_BROKEN && now - message->created_at <= chat->settings->reply_timeout_us)
                return 0;
        if (state != LOG_BROKEN && r != CM_EVENT_LOG_NONE && !is_orphan(chat, &message->id))
                return 0;
        settled.state = REPLY_STATE_INTERRUPTED;
        settled.updated_at = now;
        settled.content = text.len ? cm_arena_str(arena, cm_buf_str(&text)) : CM_STR("");
        r = message_store_finish(chat, arena, conversation_id, user_id, &settled);
        if (r == MESSAGE_SETTLED)
                return message_store_find(chat, arena, conversation_id, message->seq, message);
        if (r == 0)
                *message = settled;
        return r;
}
