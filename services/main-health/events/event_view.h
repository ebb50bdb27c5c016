#pragma once
#include "base/arena.h"
#include "event_store.h"
#include "main_health_api.h"

/* How a stored event looks to clients. Text stays where it is; the arena gets the rest. */
void event_view(const struct recorded_event *event, struct cm_arena *arena,
                struct health_event *view_r);

/* The flags of a stored event as the numbers of HealthEventFlag, in the arena. Returns how many. */
size_t event_flags_view(int16_t flags, struct cm_arena *arena, int32_t **items_r);

/* The version as an entity tag. */
struct cm_str event_tag(const struct recorded_event *event, struct cm_arena *arena);
