#include <inttypes.h>

#include "base/error.h"
#include "bus/outbox_document.h"
#include "events.h"
#include "message_store_internal.h"

/* What is read of messages, and what becomes of a reply's place. How messages come:
 * message_append_store.c. */

struct cm_str message_page_id(struct cm_arena *arena, const struct cm_uuid *conversation_id,
                              int64_t page)
{
        char text[CM_UUID_TEXT_SIZE];

        return cm_arena_printf(arena, "%s/%" PRId64, cm_uuid_format(conversation_id, text), page);
}

struct cm_str message_thread(struct cm_arena *arena, const struct cm_uuid *conversation_id)
{
        return cm_uuid_text(arena, conversation_id);
}

void message_page_wake(struct chat *chat, struct cm_str page)
{
        cm_worker_wake_relay_document(chat->worker, page_collection.name, page);
}

int message_page_read(struct chat *chat, struct cm_arena *arena,
                      const struct cm_uuid *conversation_id, int64_t page,
                      struct message_page_document *page_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str id = message_page_id(arena, conversation_id, page);
        int r;

        CM_FILTER_IS(&filter, message_page_document, id, &id);
        r = cm_mongo_find(chat->mongo, &page_collection, message_thread(arena, conversation_id),
                          &filter, arena, page_r);
        if (r == CM_MONGO_NO_MATCH)
                return MESSAGE_NONE;
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- reading */

int message_store_find(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, int64_t seq,
                       struct message_document *message_r)
{
        struct message_page_document page;
        int r = message_page_read(chat, arena, conversation_id, seq / MESSAGES_A_PAGE, &page);

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

                r = message_page_read(chat, arena, conversation_id, seq / MESSAGES_A_PAGE, &page);
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
        const struct cm_str ids[] = { message_page_id(arena, conversation_id, last),
                                      message_page_id(arena, conversation_id, last - 1) };
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
        struct cm_str id = message_page_id(arena, conversation_id, reply->seq / MESSAGES_A_PAGE);
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
        r = cm_mongo_update(chat->mongo, &page_collection, message_thread(arena, conversation_id),
                            &filter, &update, CM_MONGO_UPDATE);
        if (r == CM_MONGO_NO_MATCH)
                return MESSAGE_SETTLED;
        if (r == 0)
                message_page_wake(chat, id);
        return r > 0 ? -CM_E_DATABASE : r;
}

int message_store_rate(struct chat *chat, struct cm_arena *arena,
                       const struct cm_uuid *conversation_id, const struct message_document *reply,
                       const struct feedback_document *feedback)
{
        int64_t at = reply->seq % MESSAGES_A_PAGE;
        struct cm_str id = message_page_id(arena, conversation_id, reply->seq / MESSAGES_A_PAGE);
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int r;

        filter_reply(&filter, &id, reply);
        cm_update_value(
                &update, CM_OPERATOR_SET,
                CM_ITEM_FIELD(message_page_document, messages, at, message_document, feedback),
                feedback);
        r = cm_mongo_update(chat->mongo, &page_collection, message_thread(arena, conversation_id),
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
                struct cm_str id = message_page_id(arena, conversation_id, number);

                CM_FILTER_IS(&filter, message_page_document, id, &id);
                cm_update_value(&update, CM_OPERATOR_SET, CM_FIELD(message_page_document, messages),
                                &nothing.messages);
                r = cm_mongo_update(chat->mongo, &page_collection,
                                    message_thread(arena, conversation_id), &filter, &update,
                                    CM_MONGO_UPDATE);
                if (r == CM_MONGO_NO_MATCH)
                        r = 0;
        }
        return r > 0 ? -CM_E_DATABASE : r;
}
