#pragma once
#include "chat.h"
#include "schemas.h"

/* How a person wants to be talked to; version 0: that was never said. Suspends. */
int user_context_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *user_id,
                      struct user_context *context_r) CM_MUST_CHECK;
