#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "main_health_api.h"
#include "store/pg.h"

/* What a record says about the person as a whole: one row each, whose version counts its writes. */

enum health_data_outcome {
        HEALTH_DATA_CHANGED = 1 /* another version than the expected one is there */
};

/* Version 0 when nothing was stored. Suspend, all four. */
int health_data_load(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                     struct user_health_data *data_r) CM_MUST_CHECK;
/* Replaces it. `expected`: the version that must be there, -1: any. 0 or HEALTH_DATA_CHANGED. */
int health_data_save(struct cm_pg *pg, const struct cm_uuid *user,
                     const struct user_health_data_input *in, int64_t expected,
                     cm_time now) CM_MUST_CHECK;

int preferences_load(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                     struct user_preferences *preferences_r) CM_MUST_CHECK;
int preferences_save(struct cm_pg *pg, const struct cm_uuid *user,
                     const struct user_preferences_input *in, int64_t expected,
                     cm_time now) CM_MUST_CHECK;
