#include "conversation_store.h"

#include "base/error.h"
#include "bus/outbox_document.h"
#include "events.h"

static struct cm_uuid id_of(const struct conversation_document *conversation)
{
        struct cm_uuid id = { 0 };

        (void)cm_uuid_parse(conversation->id, &id);
        return id;
}

static void wake(struct chat *chat, struct cm_str id)
{
        cm_worker_wake_relay_document(chat->worker, conversation_collection.name, id);
}

int conversation_store_insert(struct chat *chat, struct cm_arena *arena,
                              const struct conversation_document *conversation)
{
        const struct chat_started fact = { .conversation_id = id_of(conversation),
                                           .session_type = conversation->session_type };
        struct cm_attachment outbox;
        struct cm_event event;
        int r;

        event_chat_started(&event, arena, cm_fiber_context(), conversation->created_at,
                           &conversation->user_id, &fact);
        outbox = cm_outbox_attach(arena, &event, 1);
        r = cm_mongo_insert(chat->mongo, &conversation_collection, conversation->id, conversation,
                            &outbox);
        if (r == CM_MONGO_DUPLICATE)
                return CONVERSATION_EXISTS;
        if (r == 0)
                wake(chat, conversation->id);
        return r > 0 ? -CM_E_DATABASE : r;
}

int conversation_store_find(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *id,
                            const struct cm_uuid *user_id,
                            struct conversation_document *conversation_r)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        struct cm_str key = cm_uuid_text(arena, id);
        int r;

        CM_FILTER_IS(&filter, conversation_document, id, &key);
        r = cm_mongo_find(chat->mongo, &conversation_collection, key, &filter, arena,
                          conversation_r);
        if (r == CM_MONGO_NO_MATCH)
                return CONVERSATION_NONE;
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (!cm_uuid_equal(&conversation_r->user_id, user_id) ||
            conversation_r->status == DOCUMENT_STATUS_DELETED)
                return CONVERSATION_NONE;
        return 0;
}

int conversation_store_list(struct chat *chat, struct cm_arena *arena,
                            const struct cm_uuid *user_id, int32_t status, int64_t limit,
                            const struct conversation_document *after, struct cm_items *items_r)
{
        static const struct cm_sort newest[] = {
                { CM_FIELD(conversation_document, updated_at), true },
                { CM_FIELD(conversation_document, id), true },
        };
        const int32_t shown[] = { DOCUMENT_STATUS_ACTIVE, DOCUMENT_STATUS_ARCHIVED };
        const void *const behind[] = { after ? &after->updated_at : NULL,
                                       after ? &after->id : NULL };
        const struct cm_mongo_page page = { newest, CM_COUNT(newest), limit,
                                            after ? behind : NULL };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        int r;

        CM_FILTER_IS(&filter, conversation_document, user_id, user_id);
        if (status)
                CM_FILTER_IS(&filter, conversation_document, status, &status);
        else
                CM_FILTER_IN(&filter, conversation_document, status, shown, CM_COUNT(shown));
        r = cm_mongo_list(chat->mongo, &conversation_collection, cm_uuid_text(arena, user_id),
                          &filter, &page, arena, items_r, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- changes */

static void forget_words(struct cm_update *update)
{
        CM_UPDATE_UNSET(update, conversation_document, title);
        CM_UPDATE_UNSET(update, conversation_document, description);
        CM_UPDATE_UNSET(update, conversation_document, mood_before);
        CM_UPDATE_UNSET(update, conversation_document, request_digest);
}

int conversation_store_end(struct chat *chat, struct cm_arena *arena,
                           const struct conversation_document *conversation, int32_t status,
                           cm_time now)
{
        const struct chat_ended fact = { .conversation_id = id_of(conversation),
                                         .message_count = conversation->message_count };
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        struct cm_event event;
        int r;

        CM_FILTER_IS(&filter, conversation_document, id, &conversation->id);
        CM_FILTER_IS(&filter, conversation_document, status, &conversation->status);
        CM_UPDATE_SET(&update, conversation_document, status, &status);
        CM_UPDATE_SET(&update, conversation_document, updated_at, &now);
        if (conversation->has_ended_at != CM_PRESENT) {
                CM_UPDATE_SET(&update, conversation_document, ended_at, &now);
                event_chat_ended(&event, arena, cm_fiber_context(), now, &conversation->user_id,
                                 &fact);
                cm_outbox_push(&update, arena, &event, 1);
        }
        if (status == DOCUMENT_STATUS_DELETED)
                forget_words(&update);
        r = cm_mongo_update(chat->mongo, &conversation_collection, conversation->id, &filter,
                            &update, CM_MONGO_UPDATE);
        if (r == 0)
                wake(chat, conversation->id);
        if (r == CM_MONGO_NO_MATCH)
                return 0; /* somebody else has ended it meanwhile */
        return r > 0 ? -CM_E_DATABASE : r;
}

int conversation_store_touch(struct chat *chat, const struct conversation_document *conversation,
                             int64_t message_count, int32_t crisis_level, cm_time now)
{
        CM_CLEANUP(cm_filter_deinit) struct cm_filter filter = { 0 };
        CM_CLEANUP(cm_update_deinit) struct cm_update update = { 0 };
        int32_t active = DOCUMENT_STATUS_ACTIVE;
        bool yes = true;
        int r;

        CM_FILTER_IS(&filter, conversation_document, id, &conversation->id);
        CM_FILTER_IS(&filter, conversation_document, status, &active);
        cm_update_value(&update, CM_OPERATOR_MAX, CM_FIELD(conversation_document, message_count),
                        &message_count);
        cm_update_value(&update, CM_OPERATOR_MAX, CM_FIELD(conversation_document, updated_at),
                        &now);
        cm_update_value(&update, CM_OPERATOR_MAX, CM_FIELD(conversation_document, last_message_at),
                        &now);
        if (crisis_level > conversation->crisis_level)
                CM_UPDATE_SET(&update, conversation_document, crisis_level, &crisis_level);
        if (crisis_level > CRISIS_LEVEL_NONE)
                CM_UPDATE_SET(&update, conversation_document, safety_plan_triggered, &yes);
        r = cm_mongo_update(chat->mongo, &conversation_collection, conversation->id, &filter,
                            &update, CM_MONGO_UPDATE);
        return r > 0 ? 0 : r; /* ended meanwhile: it keeps what it had */
}
