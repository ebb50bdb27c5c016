#pragma once
#include "memory_service.h"

/* Answers a question from a person's memories, for HTTP and RPC alike; the one place that says what
 * a purpose may see. In the arena. Suspends. */
int memory_recall_for(struct memory_service *service, struct cm_arena *arena,
                      const struct cm_uuid *user, cm_time now, const struct recall_input *in,
                      struct recall_answer *answer_r) CM_MUST_CHECK;
