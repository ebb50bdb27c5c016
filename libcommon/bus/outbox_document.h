#pragma once
#include "base/arena.h"
#include "bus/event.h"
#include "store/mongo.h"

/*
 * The outbox inside a document: an event waits in the very document whose change is its cause, so
 * that both are written or neither. After the write say cm_relay_wake_document().
 *
 *     struct cm_attachment outbox = cm_outbox_attach(arena, &event, 1);
 *     r = cm_mongo_insert(mongo, &conversations, id, &conversation, &outbox);
 *
 *     cm_outbox_push(&update, arena, &event, 1);
 *     r = cm_mongo_update(mongo, &conversations, id, &filter, &update, CM_MONGO_UPDATE);
 *
 * The collections whose documents may have events are listed in the relay's configuration. An
 * event's time loses what is below a millisecond.
 */
struct cm_attachment cm_outbox_attach(struct cm_arena *arena, const struct cm_event *events,
                                      size_t count);
void cm_outbox_push(struct cm_update *update, struct cm_arena *arena, const struct cm_event *events,
                    size_t count);

/* For the relay: an event as it waits, and back (views). */
struct outbox_event;
struct outbox_event *cm_outbox_events(struct cm_arena *arena, const struct cm_event *events,
                                      size_t count);
struct cm_event cm_outbox_event_read(const struct outbox_event *waiting);
