#include "chat.h"
#include "schemas.h"

/* The collections of salus_chat. All but lists of conversations is reached by _id. */

const struct cm_collection conversation_collection = { .name = "conversations",
                                                       .schema = &conversation_document_schema };
const struct cm_collection page_collection = { .name = "pages",
                                               .schema = &message_page_document_schema };
const struct cm_collection reply_collection = { .name = "replies",
                                                .schema = &reply_document_schema };
const struct cm_collection user_context_collection = { .name = "user_contexts",
                                                       .schema = &user_context_document_schema };

static const struct cm_sort by_update[] = {
        { CM_FIELD(conversation_document, user_id), false },
        { CM_FIELD(conversation_document, updated_at), true },
        { CM_FIELD(conversation_document, id), true },
};

static const struct cm_mongo_index indexes[] = {
        { &conversation_collection, "conversations_of_user", by_update, CM_COUNT(by_update), false,
          false },
};

static const char *const outboxes[] = { "conversations", "pages", NULL };

const struct cm_documents chat_documents = {
        .store = &cm_document_store,
        .indexes = indexes,
        .index_count = CM_COUNT(indexes),
        .outboxes = outboxes,
};
