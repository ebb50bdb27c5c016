#include "erase.h"

#include "base/error.h"
#include "conversation_store.h"
#include "message_store.h"

#define PIECE      50
#define MAX_PASSES 5

/* As in conversations.c: the words go first. */
static int forget(struct chat *chat, struct cm_arena *arena,
                  const struct conversation_document *conversation, cm_time now)
{
        struct cm_uuid id;
        int r;

        if (!cm_uuid_parse(conversation->id, &id))
                return -CM_E_DATABASE;
        r = message_store_forget(chat, arena, &id, conversation->message_count);
        if (r == 0)
                r = conversation_store_end(chat, arena, conversation, DOCUMENT_STATUS_DELETED, now);
        return r ? r : message_store_forget(chat, arena, &id, conversation->message_count);
}

static int forget_pass(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *user_id,
                       cm_time now, size_t *count)
{
        const struct conversation_document *after = NULL;
        struct cm_items items;
        int r;

        *count = 0;
        do {
                r = conversation_store_list(chat, arena, user_id, 0, PIECE, after, &items);
                for (size_t i = 0; r == 0 && i < items.count; i++, (*count)++) {
                        after = (const struct conversation_document *)items.items + i;
                        r = forget(chat, arena, after, now);
                }
        } while (r == 0 && items.count == PIECE);
        return r;
}

/* A message that came meanwhile moves its conversation to the front of the list: until none is
 * left.
 */
static int forget_conversations(struct chat *chat, struct cm_arena *arena,
                                const struct cm_uuid *user_id, cm_time now)
{
        size_t count = 1;
        int r = 0;

        for (int pass = 0; r == 0 && count && pass < MAX_PASSES; pass++)
                r = forget_pass(chat, arena, user_id, now, &count);
        return r ? r : count ? -CM_E_OVERLOAD : 0;
}

static int forget_wishes(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *user_id)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        char text[CM_UUID_TEXT_SIZE];
        struct cm_str id = cm_arena_str(arena, cm_str_from(cm_uuid_format(user_id, text)));
        int r;

        CM_FILTER_IS(&filter, user_context_document, id, &id);
        r = cm_mongo_delete_all(chat->mongo, &user_context_collection, id, &filter, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

int chat_on_erased(struct cm_delivery *delivery, const void *fact)
{
        const struct user_erased *erased = fact;
        int r = forget_conversations(delivery->service, delivery->arena, &erased->user_id,
                                     cm_now(&cm_clock_system));

        return r ? r : forget_wishes(delivery->service, delivery->arena, &erased->user_id);
}
