#pragma once
#include "service/daemon.h"

/* What a worker keeps of flags, and its ear for changes. */
struct flags;
struct flags *flags_new(void);
void flags_free(struct flags **flags);
int flags_start(struct worker *worker) CM_MUST_CHECK;
