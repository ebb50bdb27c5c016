#pragma once
#include "analysis/language.h"

/* Amounts of medicine as people write them: "2 mg", "half a tablet", "2 מ\"ג". Pure. */
struct dose_unit {
        const char *ucum;    /* as the health record keeps it */
        const char *en, *he; /* as people read it */
        const char *const *words;
};

/* The first amount with a unit. False when there is none. */
bool dose_find(const struct chat_text *text, double *value_r, const struct dose_unit **unit_r);
/* NULL when it is none of ours. */
const struct dose_unit *dose_unit_of(struct cm_str ucum);
