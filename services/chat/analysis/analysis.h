#pragma once
#include "chat.h"
#include "schemas.h"

/*
 * The stages that every message goes through before anybody is asked: language and normal form,
 * personal data, crisis, sentiment. All local and pure, in this order.
 */
struct analysis {
        struct chat_text text;
        struct chat_crisis crisis;
};

/* What goes into the stored message is put there. False when the text is not well-formed. */
bool analysis_make(const struct chat *chat, struct cm_arena *arena, struct cm_str content,
                   struct analysis *analysis_r, struct message_document *message);
