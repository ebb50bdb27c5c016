#pragma once
#include "base/arena.h"
#include "codec/schema.h"
#include "store/pg.h"

/* Columns that may be NULL, as members that may be absent: each returns CM_PRESENT or CM_ABSENT. */
uint8_t row_text(const struct cm_pg_result *result, int row, int column, struct cm_arena *arena,
                 struct cm_str *text_r);
uint8_t row_time(const struct cm_pg_result *result, int row, int column, cm_time *time_r);
uint8_t row_enum(const struct cm_pg_result *result, int row, int column, int32_t *value_r);
uint8_t row_uuid(const struct cm_pg_result *result, int row, int column, struct cm_uuid *uuid_r);
