#pragma once
#include "schemas.h"

/* Documents as the API shows them. Pure; what is shown points into the documents. */
void conversation_view(const struct conversation_document *document,
                       struct conversation *conversation_r);
void message_view(const struct message_document *document, const struct cm_uuid *conversation_id,
                  const struct cm_uuid *user_id, struct cm_arena *arena, struct message *message_r);
void feedback_view(const struct feedback_document *document, const struct cm_uuid *reply_id,
                   struct reply_feedback *feedback_r);
