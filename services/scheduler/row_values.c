#include "row_values.h"

uint8_t row_text(const struct cm_pg_result *result, int row, int column, struct cm_arena *arena,
                 struct cm_str *text_r)
{
        *text_r = cm_arena_str(arena, cm_pg_text(result, row, column));
        return text_r->data ? CM_PRESENT : CM_ABSENT;
}

uint8_t row_time(const struct cm_pg_result *result, int row, int column, cm_time *time_r)
{
        if (cm_pg_is_null(result, row, column))
                return CM_ABSENT;
        *time_r = cm_pg_time(result, row, column);
        return CM_PRESENT;
}

uint8_t row_enum(const struct cm_pg_result *result, int row, int column, int32_t *value_r)
{
        if (cm_pg_is_null(result, row, column))
                return CM_ABSENT;
        *value_r = (int32_t)cm_pg_int(result, row, column);
        return CM_PRESENT;
}

uint8_t row_uuid(const struct cm_pg_result *result, int row, int column, struct cm_uuid *uuid_r)
{
        if (cm_pg_is_null(result, row, column))
                return CM_ABSENT;
        *uuid_r = cm_pg_uuid(result, row, column);
        return CM_PRESENT;
}
