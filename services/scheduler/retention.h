#pragma once
#include "scheduler.h"

/* Forgets what became of planned times long ago (SALUS_OCCURRENCE_KEEP), answers that were kept for
 * their idempotency keys, and addresses that are free again; some thousands at a time. Suspends. */
int retention_tidy(struct scheduler *scheduler) CM_MUST_CHECK;
