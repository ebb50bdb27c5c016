#include "chat.h"
#include "chat_api.h"
#include "conversations/erase.h"
#include "events.h"
#include "replies/revive.h"
#include "service/user_refs.h"

/* salus-chat: conversations with the companion. */

static const struct cm_setting *const settings[] = { cm_service_setting_table, chat_setting_table,
                                                     NULL };

static const struct cm_subscription subscriptions[] = {
        CM_USER_REF_SUBSCRIPTIONS,
        { STREAM_AUTH, EVENT_USER_ERASED, &user_erased_schema, chat_on_erased },
        { STREAM_CHAT, EVENT_MESSAGE_CREATED, &message_created_schema, chat_on_message,
          chat_on_messages, .is_repeatable = true, .delay_us = REVIVE_GRACE_US },
        { 0 },
};

static const struct cm_service service = {
        .name = "chat",
        .program = "salus-chat",
        .settings = settings,
        .settings_size = sizeof(struct chat_settings),
        .documents = &chat_documents,
        .routes = &chat_routes,
        .subscriptions = subscriptions,
        .publishes = true,
        .user_refs = true,
        .worker_start = chat_worker_start,
        .worker_stop = chat_worker_stop,
};

int main(int argc, char **argv)
{
        return cm_service_main(&service, argc, argv);
}
