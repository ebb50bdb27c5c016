#pragma once
#include "events/event_store.h"
#include "main_health_api.h"

/* The newest of each kind of vital. Suspends. */
int latest_vitals_load(struct event_store *events, struct cm_arena *arena,
                       const struct cm_uuid *user, struct latest_vitals *latest_r) CM_MUST_CHECK;
