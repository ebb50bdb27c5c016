#pragma once
#include "base/arena.h"
#include "recurrence.h"
#include "schemas.h"

/* What an expression says, in plain words, English and Hebrew; and what may not be meant. Pure. */
void explain_recurrence(const struct recurrence *recurrence, struct cm_arena *arena,
                        struct explanation *explanation_r);

enum { EXPLAIN_MAX_WARNINGS = 4 };
/* As enum schedule_warning; returns how many. */
size_t explain_warnings(const struct recurrence *recurrence,
                        int32_t warnings_r[EXPLAIN_MAX_WARNINGS]);
