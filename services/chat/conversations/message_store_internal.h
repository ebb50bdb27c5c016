#pragma once
#include "message_store.h"

/* Of the two halves of message_store.h: pages. */

struct cm_str message_page_id(struct cm_arena *arena, const struct cm_uuid *conversation_id,
                              int64_t page);
/* Pages of one conversation go to one thread: by its id. */
struct cm_str message_thread(struct cm_arena *arena, const struct cm_uuid *conversation_id);
/* It has events for the bus. */
void message_page_wake(struct chat *chat, struct cm_str page);
/* 0, MESSAGE_NONE or an error. Suspends. */
int message_page_read(struct chat *chat, struct cm_arena *arena,
                      const struct cm_uuid *conversation_id, int64_t page,
                      struct message_page_document *page_r) CM_MUST_CHECK;
