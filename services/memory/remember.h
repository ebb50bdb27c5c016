#pragma once
#include "memory_service.h"

/* Stores a memory and notes it in the short-term list: 0 when it is new, an outcome of the store,
 * or an error. For HTTP and RPC alike. Suspends. */
int memory_remember_new(struct memory_service *service, struct cm_arena *arena,
                        const struct new_memory *new, struct memory *stored_r) CM_MUST_CHECK;
