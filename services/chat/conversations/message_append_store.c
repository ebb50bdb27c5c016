#include "base/error.h"
#include "bus/outbox_document.h"
#include "events.h"
#include "message_store_internal.h"
#include "turn.h"

/* How a message and the place of its reply come behind those that are there, once. */

#define TRIES 64 /* lost races and full pages in a row */

static const struct cm_doc_field key_of_any =
        CM_ITEM_FIELD(message_page_document, messages, CM_EACH_ITEM, message_document, key);

static const struct message_document *find_key(const struct message_page_document *page,
                                               struct cm_str key)
{
        for (size_t i = 0; i < page->messages.count; i++)
                if (page->messages.items[i].has_key == CM_PRESENT &&
                    cm_str_equal(page->messages.items[i].key, key))
                        return &page->messages.items[i];
        return NULL;
}

static int repeated(const struct message_append *in, const struct message_document *known,
                    struct message_document *message_r)
{
        *message_r = *known;
        return cm_str_equal(known->request_digest, in->message.request_digest) ? MESSAGE_REPEATED
                                                                               : MESSAGE_KEY_REUSED;
}

static size_t make_events(struct cm_arena *arena, const struct message_append *in,
                          const struct cm_uuid *conversation_id,
                          const struct message_document *message, struct cm_event events[2])
{
        const struct message_created created = { .conversation_id = *conversation_id,
                                                 .message_id = message->id,
                                                 .seq = message->seq,
                                                 .role = MESSAGE_ROLE_USER,
                                                 .has_reply_id = CM_PRESENT,
                                                 .reply_id = message->reply_id };
        const struct crisis_detected detected = { .conversation_id = *conversation_id,
                                                  .message_id = message->id,
                                                  .level = message->crisis_level,
                                                  .is_of_another = in->crisis->is_of_another };
        const struct cm_uuid *user = &in->conversation->user_id;

        event_message_created(&events[0], arena, cm_fiber_context(), message->created_at, user,
                              &created);
        if (in->crisis->level == CHAT_CRISIS_NONE)
                return 1;
        event_crisis_detected(&events[1], arena, cm_fiber_context(), message->created_at, user,
                              &detected);
        return 2;
}

static void make_pair(const struct message_append *in, int64_t seq, struct message_document pair[2])
{
        pair[0] = in->message;
        pair[0].id = cm_uuid7(in->message.created_at);
        pair[0].seq = seq;
        pair[0].has_reply_id = CM_PRESENT;
        pair[0].reply_id = cm_uuid7(in->message.created_at);
        pair[1] = (struct message_document){
                .id = pair[0].reply_id,
                .seq = seq + 1,
                .role = MESSAGE_ROLE_ASSISTANT,
                .message_type = MESSAGE_TYPE_TEXT,
                .content = CM_STR(""),
                .language = in->message.language,
                .has_state = CM_PRESENT,
                .state = REPLY_STATE_STREAMING,
                .created_at = in->message.created_at,
                .updated_at = in->message.created_at,
        };
}

/* Behind what is on the page; under a key only when it is not there. */
static int push_pair(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                     struct cm_str thread, struct cm_str id, int64_t count,
                     const struct message_document pair[2], const struct cm_event *events,
                     size_t event_count)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };

        CM_FILTER_IS(&filter, message_page_document, id, &id);
        CM_FILTER_IS(&filter, message_page_document, count, &count);
        if (in->message.has_key == CM_PRESENT)
                cm_filter_compare(&filter, key_of_any, CM_COMPARE_IS_NOT, &in->message.key);
        CM_UPDATE_PUSH(&update, message_page_document, messages, pair, 2);
        CM_UPDATE_INC(&update, message_page_document, count, 2);
        cm_outbox_push(&update, arena, events, event_count);
        return cm_mongo_update(chat->mongo, &page_collection, thread, &filter, &update,
                               CM_MONGO_UPDATE);
}

/* 0, or CM_MONGO_DUPLICATE or CM_MONGO_NO_MATCH when somebody was faster, or the key is known. */
static int write_pair(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                      const struct cm_uuid *conversation_id, int64_t number, int64_t count,
                      const struct message_document pair[2])
{
        const struct cm_str thread = message_thread(arena, conversation_id);
        const struct cm_str id = message_page_id(arena, conversation_id, number);
        struct cm_event events[2];
        size_t event_count = make_events(arena, in, conversation_id, &pair[0], events);
        int r;

        if (count) {
                r = push_pair(chat, arena, in, thread, id, count, pair, events, event_count);
        } else {
                const struct message_page_document fresh = {
                        .id = id,
                        .conversation_id = *conversation_id,
                        .user_id = in->conversation->user_id,
                        .count = 2,
                        .messages = { (struct message_document *)pair, 2 },
                };
                const struct cm_attachment outbox = cm_outbox_attach(arena, events, event_count);

                r = cm_mongo_insert(chat->mongo, &page_collection, thread, &fresh, &outbox);
        }
        if (r == 0)
                message_page_wake(chat, id);
        return r;
}

/* The key may be on the page before, too. 0 when it is new. */
static int look_for_key(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                        const struct cm_uuid *conversation_id, int64_t number,
                        const struct message_page_document *page,
                        struct message_document *message_r)
{
        const struct message_document *known = NULL;
        struct message_page_document before;
        int r = 0;

        if (in->message.has_key != CM_PRESENT)
                return 0;
        if (page)
                known = find_key(page, in->message.key);
        if (!known && number > 0) {
                r = message_page_read(chat, arena, conversation_id, number - 1, &before);
                if (r == 0)
                        known = find_key(&before, in->message.key);
        }
        if (known)
                return repeated(in, known, message_r);
        return r < 0 ? r : 0;
}

/* Whether it may be written to where the last page was said to end, unseen: the write looks for the
 * key on its own page, and this on the one before. */
static int look_before_guess(struct chat *chat, struct cm_arena *arena,
                             const struct message_append *in, const struct cm_uuid *conversation_id,
                             int64_t number, bool *may_guess_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        const struct cm_str before = message_page_id(arena, conversation_id, number - 1);
        bool has_key = in->message.has_key == CM_PRESENT;
        int64_t count = 0;
        int r;

        *may_guess_r = !has_key || !in->is_refused;
        if (!has_key || in->is_refused || number == 0)
                return 0;
        CM_FILTER_IS(&filter, message_page_document, id, &before);
        cm_filter_compare(&filter, key_of_any, CM_COMPARE_IS, &in->message.key);
        r = cm_mongo_count(chat->mongo, &page_collection, message_thread(arena, conversation_id),
                           &filter, &count);
        *may_guess_r = count == 0;
        return r > 0 ? -CM_E_DATABASE : r;
}

/* What is on the page, or the message when its key is known. */
static int look(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                const struct cm_uuid *conversation_id, int64_t number, int64_t *count_r,
                struct message_document *message_r)
{
        struct message_page_document page = { .count = 0 };
        int r = message_page_read(chat, arena, conversation_id, number, &page);

        *count_r = page.count;
        if (r < 0)
                return r;
        return look_for_key(chat, arena, in, conversation_id, number, r == 0 ? &page : NULL,
                            message_r);
}

static int append_to_last_page(struct chat *chat, struct cm_arena *arena,
                               const struct message_append *in, struct cm_uuid conversation_id,
                               bool is_fresh, struct message_document *message_r)
{
        int64_t number = in->conversation->message_count / MESSAGES_A_PAGE;
        int64_t count = in->conversation->message_count % MESSAGES_A_PAGE;
        bool may_guess = false;
        int r = 0;

        if (is_fresh)
                r = look_before_guess(chat, arena, in, &conversation_id, number, &may_guess);
        if (r)
                return r;
        for (int i = 0; i < TRIES; i++) {
                struct message_document pair[2];

                r = 0;
                if (i > 0 || !may_guess)
                        r = look(chat, arena, in, &conversation_id, number, &count, message_r);
                if (r)
                        return r;
                if (in->is_refused)
                        return MESSAGE_REFUSED;
                if (count + 2 > MESSAGES_A_PAGE) {
                        number++;
                        continue;
                }
                make_pair(in, number * MESSAGES_A_PAGE + count, pair);
                r = write_pair(chat, arena, in, &conversation_id, number, count, pair);
                if (r == 0)
                        *message_r = pair[0];
                if (r <= 0)
                        return r;
        }
        return -CM_E_OVERLOAD;
}

int message_store_append(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                         struct message_document *message_r)
{
        struct cm_uuid conversation_id;
        struct turn turn;
        bool waited;
        int r;

        (void)cm_uuid_parse(in->conversation->id, &conversation_id);
        if (in->is_refused) /* only looks */
                return append_to_last_page(chat, arena, in, conversation_id, true, message_r);
        r = turn_take(&turn, chat, &conversation_id, &waited);
        if (r)
                return r;
        r = append_to_last_page(chat, arena, in, conversation_id, !waited, message_r);
        turn_pass(&turn);
        return r;
}
