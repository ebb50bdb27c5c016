#pragma once
#include "planner.h"

/*
 * The embedded planner: it recognises what people say to a health companion, in English and Hebrew,
 * and answers from the person's own data. Deterministic: the same input gives the same calls and
 * the same bytes. No I/O, never suspends.
 */
struct rules_tables {
        struct cm_str intents, exercises;
};

/* NULL and *error_r when a table is wrong. Immutable afterwards: one for all threads. */
struct planner *rules_planner_new(const struct rules_tables *tables, const char **error_r);
void rules_planner_free(struct planner **planner);
