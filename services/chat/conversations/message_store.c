#include "message_store.h"

#include <inttypes.h>

#include "base/error.h"
#include "bus/outbox_document.h"
#include "events.h"
#include "turn.h"

#define TRIES 64 /* lost races and full pages in a row */

static struct cm_str uuid_text(struct cm_arena *arena, const struct cm_uuid *id)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_str(arena, cm_str_from(cm_uuid_format(id, text)));
}

static struct cm_str page_id(struct cm_arena *arena, const struct cm_uuid *conversation_id,
                             int64_t page)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "%s/%" PRId64, cm_uuid_format(conversation_id, text), page);
}

static const struct cm_doc_field key_of_any =
        CM_ITEM_FIELD(message_page_document, messages, CM_EACH_ITEM, message_document, key);

/* Pages of one conversation go to one thread: by its id. */
static struct cm_str thread_key(struct cm_arena *arena, const struct cm_uuid *conversation_id)
{
        return uuid_text(arena, conversation_id);
}

static void wake(struct chat *chat, struct cm_str page)
{
        cm_worker_wake_relay_document(chat->worker, page_collection.name, page);
}

/* 0 or MESSAGE_NONE. */
static int read_page(struct chat *chat, struct cm_arena *arena,
                     const struct cm_uuid *conversation_id, int64_t page,
                     struct message_page_document *page_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str id = page_id(arena, conversation_id, page);
        int r;

        CM_FILTER_IS(&filter, message_page_document, id, &id);
        r = cm_mongo_find(chat->mongo, &page_collection, thread_key(arena, conversation_id),
                          &filter, arena, page_r);
        if (r == CM_MONGO_NO_MATCH)
                return MESSAGE_NONE;
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- appending */

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
        const struct cm_str thread = thread_key(arena, conversation_id);
        const struct cm_str id = page_id(arena, conversation_id, number);
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
                wake(chat, id);
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
                r = read_page(chat, arena, conversation_id, number - 1, &before);
                if (r == 0)
                        known = find_key(&before, in->message.key);
        }
        if (known)
                return repeated(in, known, message_r);
        return r < 0 ? r : 0;
}

/* 0, MESSAGE_NONE or an error. */
static int is_key_on(struct chat *chat, struct cm_arena *arena,
                     const struct cm_uuid *conversation_id, int64_t number, struct cm_str key)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        const struct cm_str id = page_id(arena, conversation_id, number);
        int64_t count;
        int r;

        CM_FILTER_IS(&filter, message_page_document, id, &id);
        cm_filter_compare(&filter, key_of_any, CM_COMPARE_IS, &key);
        r = cm_mongo_count(chat->mongo, &page_collection, thread_key(arena, conversation_id),
                           &filter, &count);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        return count ? 0 : MESSAGE_NONE;
}

/* May be written to where the last page was said to end, unseen: the write looks for the key on its
 * own page. 0, MESSAGE_NONE (only a look at the page tells) or an error. */
static int may_guess(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                     const struct cm_uuid *conversation_id, int64_t number)
{
        int r;

        if (in->message.has_key != CM_PRESENT)
                return 0;
        if (in->is_refused)
                return MESSAGE_NONE;
        if (number == 0)
                return 0;
        r = is_key_on(chat, arena, conversation_id, number - 1, in->message.key);
        return r < 0 ? r : r == MESSAGE_NONE ? 0 : MESSAGE_NONE;
}

/* What is on the page, or the message when its key is known. */
static int look(struct chat *chat, struct cm_arena *arena, const struct message_append *in,
                const struct cm_uuid *conversation_id, int64_t number, int64_t *count_r,
                struct message_document *message_r)
{
        struct message_page_document page = { .count = 0 };
        int r = read_page(chat, arena, conversation_id, number, &page);

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
        int r = MESSAGE_NONE;

        if (is_fresh)
                r = may_guess(chat, arena, in, &conversation_id, number);
        if (r < 0)
                return r;
        for (int i = 0; i < TRIES; i++) {
                struct message_document pair[2];

                if (i > 0 || r == MESSAGE_NONE)
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

/* ---- reading */

int message_store_find(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t seq,
                       struct message_document *message_r)
{
        struct message_page_document page;
        int r = read_page(chat, arena, conversation_id, seq / MESSAGES_A_PAGE, &page);

        if (r)
                return r;
        if ((size_t)(seq % MESSAGES_A_PAGE) >= page.messages.count)
                return MESSAGE_NONE;
        *message_r = page.messages.items[seq % MESSAGES_A_PAGE];
        return 0;
}

int message_store_list(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t from, size_t limit,
                       struct message_document **messages_r, size_t *count_r)
{
        struct message_document *messages = cm_arena_array(arena, limit + 1, sizeof(*messages));
        size_t count = 0;
        int r = 0;

        for (int64_t seq = from; count < limit && r == 0;) {
                struct message_page_document page;
                size_t at = (size_t)(seq % MESSAGES_A_PAGE);

                r = read_page(chat, arena, conversation_id, seq / MESSAGES_A_PAGE, &page);
                while (r == 0 && at < page.messages.count && count < limit)
                        messages[count++] = page.messages.items[at++];
                if (r == 0 && at < MESSAGES_A_PAGE)
                        break;
                seq += MESSAGES_A_PAGE - seq % MESSAGES_A_PAGE;
        }
        *messages_r = messages;
        *count_r = count;
        return r < 0 ? r : 0;
}

/* Two pages at most, in any order. */
static void put_in_order(struct message_page_document *pages, size_t count)
{
        const struct message_page_document second = pages[1];

        if (count == 2 && pages[1].messages.count && pages[0].messages.count &&
            pages[1].messages.items[0].seq < pages[0].messages.items[0].seq) {
                pages[1] = pages[0];
                pages[0] = second;
        }
}

int message_store_last(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t count, int64_t limit,
                       struct cm_items *messages_r)
{
        const struct cm_mongo_tail tail = { CM_FIELD(message_page_document, messages),
                                            limit + MESSAGES_SINCE };
        const struct cm_mongo_page want = { .limit = 2, .tail = &tail };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        int64_t last = count / MESSAGES_A_PAGE;
        const struct cm_str ids[] = { page_id(arena, conversation_id, last),
                                      page_id(arena, conversation_id, last - 1) };
        bool crosses = last > 0 && count % MESSAGES_A_PAGE < limit;
        struct message_document *messages;
        struct message_page_document *pages;
        struct cm_items found;
        int r;

        CM_FILTER_IN(&filter, message_page_document, id, ids, crosses ? 2 : 1);
        r = cm_mongo_list(chat->mongo, &page_collection, ids[0], &filter, &want, arena, &found,
                          NULL);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        pages = found.items;
        put_in_order(pages, found.count);
        messages = cm_arena_array(arena, 2 * MESSAGES_A_PAGE, sizeof(*messages));
        *messages_r = (struct cm_items){ messages, 0 };
        for (size_t i = 0; i < found.count; i++) {
                const struct message_document *items = pages[i].messages.items;
                size_t before = messages_r->count;

                if (before && pages[i].messages.count &&
                    messages[before - 1].seq + 1 != items[0].seq)
                        messages_r->count = 0;
                for (size_t at = 0; at < pages[i].messages.count; at++)
                        messages[messages_r->count++] = items[at];
        }
        return 0;
}

/* ---- ending */

/* The page on which the reply still is. */
static void filter_reply(struct cm_filter *filter, const struct cm_str *page,
                         const struct message_document *reply)
{
        int64_t at = reply->seq % MESSAGES_A_PAGE;

        CM_FILTER_IS(filter, message_page_document, id, page);
        cm_filter_compare(filter,
                          CM_ITEM_FIELD(message_page_document, messages, at, message_document, id),
                          CM_COMPARE_IS, &reply->id);
}

int message_store_finish(struct chat *chat, struct cm_arena *arena,
                         const struct cm_uuid *conversation_id, const struct cm_uuid *user_id,
                         const struct message_document *reply)
{
        const struct message_created fact = { .conversation_id = *conversation_id,
                                              .message_id = reply->id,
                                              .seq = reply->seq,
                                              .role = MESSAGE_ROLE_ASSISTANT };
        const int32_t streaming = REPLY_STATE_STREAMING;
        int64_t at = reply->seq % MESSAGES_A_PAGE;
        struct cm_str id = page_id(arena, conversation_id, reply->seq / MESSAGES_A_PAGE);
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_event event;
        int r;

        filter_reply(&filter, &id, reply);
        cm_filter_compare(
                &filter,
                CM_ITEM_FIELD(message_page_document, messages, at, message_document, state),
                CM_COMPARE_IS, &streaming);
        cm_update_value(&update, CM_OPERATOR_SET, CM_ITEM(message_page_document, messages, at),
                        reply);
        event_message_created(&event, arena, cm_fiber_context(), reply->updated_at, user_id, &fact);
        cm_outbox_push(&update, arena, &event, 1);
        r = cm_mongo_update(chat->mongo, &page_collection, thread_key(arena, conversation_id),
                            &filter, &update, CM_MONGO_UPDATE);
        if (r == CM_MONGO_NO_MATCH)
                return MESSAGE_SETTLED;
        if (r == 0)
                wake(chat, id);
        return r > 0 ? -CM_E_DATABASE : r;
}

int message_store_rate(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, const struct message_document *reply,
                       const struct feedback_document *feedback)
{
        int64_t at = reply->seq % MESSAGES_A_PAGE;
        struct cm_str id = page_id(arena, conversation_id, reply->seq / MESSAGES_A_PAGE);
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        filter_reply(&filter, &id, reply);
        cm_update_value(
                &update, CM_OPERATOR_SET,
                CM_ITEM_FIELD(message_page_document, messages, at, message_document, feedback),
                feedback);
        r = cm_mongo_update(chat->mongo, &page_collection, thread_key(arena, conversation_id),
                            &filter, &update, CM_MONGO_UPDATE);
        if (r == CM_MONGO_NO_MATCH)
                return MESSAGE_NONE;
        return r > 0 ? -CM_E_DATABASE : r;
}

int message_store_forget(struct chat *chat, struct cm_arena *arena,
                         const struct cm_uuid *conversation_id, int64_t count)
{
        const struct message_page_document nothing = { .count = 0 };
        int r = 0;

        /* One more than there should be: a message may have come meanwhile. */
        for (int64_t number = 0; r == 0 && number <= count / MESSAGES_A_PAGE + 1; number++) {
                CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
                CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
                struct cm_str id = page_id(arena, conversation_id, number);

                CM_FILTER_IS(&filter, message_page_document, id, &id);
                cm_update_value(&update, CM_OPERATOR_SET, CM_FIELD(message_page_document, messages),
                                &nothing.messages);
                r = cm_mongo_update(chat->mongo, &page_collection,
                                    thread_key(arena, conversation_id), &filter, &update,
                                    CM_MONGO_UPDATE);
                if (r == CM_MONGO_NO_MATCH)
                        r = 0;
        }
        return r > 0 ? -CM_E_DATABASE : r;
}
