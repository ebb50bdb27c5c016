#include "health_data_store.h"

#include <stdio.h>
#include <stdlib.h>

/* Optional values on their way to the database. */

static void put_text(struct cm_pg_params *params, uint8_t has, struct cm_str text)
{
        cm_pg_put_text(params, has == CM_PRESENT ? text : CM_STR_NONE);
}

/* As text, 15 significant digits: 0.1 is 0.1 in numeric. */
static void put_number(struct cm_pg_params *params, uint8_t has, double value)
{
        char text[32];

        snprintf(text, sizeof(text), "%.15g", value);
        put_text(params, has, cm_str_from(text));
}

/* And back. */

static uint8_t get_text(const struct cm_pg_result *result, int column, struct cm_arena *arena,
                        struct cm_str *text_r)
{
        *text_r = cm_arena_str(arena, cm_pg_text(result, 0, column));
        return text_r->data ? CM_PRESENT : CM_ABSENT;
}

static uint8_t get_number(const struct cm_pg_result *result, int column, struct cm_arena *arena,
                          double *value_r)
{
        struct cm_str text;
        uint8_t has = get_text(result, column, arena, &text);

        *value_r = has == CM_PRESENT ? strtod(text.data, NULL) : 0;
        return has;
}

/*
 * A save inserts, or updates the version that is expected; the row that comes back says that it
 * did. Two first writes at once: the second finds version 1 where it expected 0.
 */
static int save(struct cm_pg *pg, const struct cm_uuid *user,
                const struct cm_pg_statement *statement, const struct cm_pg_params *params)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };
        int r = cm_pg_query(pg, &scope, statement, params, &result);

        if (r == 0 && result.rows == 0)
                return HEALTH_DATA_CHANGED;
        return r;
}

#define SAVE_SQL(table, columns, values, excluded)                                                 \
        "INSERT INTO " table " AS t (user_id, version, updated_at, " columns ")"                   \
        " SELECT $1::uuid, 1, $2::timestamptz, " values                                            \
        " WHERE $3::int8 IN (-1, 0) OR EXISTS (SELECT FROM " table " WHERE user_id = $1)"          \
        " ON CONFLICT (user_id) DO UPDATE SET (version, updated_at, " columns ") ="                \
        " ROW(t.version + 1, excluded.updated_at, " excluded ")"                                   \
        " WHERE $3 IN (-1, t.version) RETURNING version"

static const struct cm_pg_statement data_save_statement = {
        .name = "health_data_save",
        .writes = true,
        .sql = SAVE_SQL(
                "user_health_data",
                "height, weight, blood_type, allergies, medications, medical_history, last_checkup",
                "$4::text::numeric, $5::text::numeric, $6::text, $7::text, $8::text, $9::text, "
                "$10::date",
                "excluded.height, excluded.weight, excluded.blood_type, excluded.allergies,"
                " excluded.medications, excluded.medical_history, excluded.last_checkup"),
};

int health_data_save(struct cm_pg *pg, const struct cm_uuid *user,
                     const struct user_health_data_input *in, int64_t expected, cm_time now)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user);
        cm_pg_put_time(&params, now);
        cm_pg_put_int8(&params, expected);
        put_number(&params, in->has_height, in->height);
        put_number(&params, in->has_weight, in->weight);
        put_text(&params, in->has_blood_type, in->blood_type);
        put_text(&params, in->has_allergies, in->allergies);
        put_text(&params, in->has_medications, in->medications);
        put_text(&params, in->has_medical_history, in->medical_history);
        if (in->has_last_checkup == CM_PRESENT)
                cm_pg_put_date(&params, in->last_checkup);
        else
                cm_pg_put_null(&params);
        return save(pg, user, &data_save_statement, &params);
}

static int load(struct cm_pg *pg, const struct cm_uuid *user,
                const struct cm_pg_statement *statement, struct cm_pg_result *result_r)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        const struct cm_pg_scope scope = { user, 1, NULL };

        cm_pg_put_uuid(&params, user);
        return cm_pg_query(pg, &scope, statement, &params, result_r);
}

static const struct cm_pg_statement data_load_statement = {
        .name = "health_data_load",
        .sql = "SELECT version, updated_at, height::text, weight::text, blood_type, allergies, "
               "medications,"
               " medical_history, last_checkup FROM user_health_data WHERE user_id = $1::uuid",
};

int health_data_load(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                     struct user_health_data *data_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = load(pg, user, &data_load_statement, &result);

        *data_r = (struct user_health_data){ .user_id = *user };
        if (r || result.rows == 0)
                return r;
        data_r->version = cm_pg_int(&result, 0, 0);
        data_r->updated_at = cm_pg_time(&result, 0, 1);
        data_r->has_height = get_number(&result, 2, arena, &data_r->height);
        data_r->has_weight = get_number(&result, 3, arena, &data_r->weight);
        data_r->has_blood_type = get_text(&result, 4, arena, &data_r->blood_type);
        data_r->has_allergies = get_text(&result, 5, arena, &data_r->allergies);
        data_r->has_medications = get_text(&result, 6, arena, &data_r->medications);
        data_r->has_medical_history = get_text(&result, 7, arena, &data_r->medical_history);
        if (!cm_pg_is_null(&result, 0, 8)) {
                data_r->has_last_checkup = CM_PRESENT;
                data_r->last_checkup = cm_pg_date(&result, 0, 8);
        }
        return 0;
}

static const struct cm_pg_statement preferences_save_statement = {
        .name = "preferences_save",
        .writes = true,
        .sql = SAVE_SQL(
                "user_preferences",
                "age, relationship_status, work_status, work_type, sports, hobbies, therapy_goals,"
                " preferred_communication",
                "$4::int4, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::text",
                "excluded.age, excluded.relationship_status, excluded.work_status, "
                "excluded.work_type,"
                " excluded.sports, excluded.hobbies, excluded.therapy_goals, "
                "excluded.preferred_communication"),
};

int preferences_save(struct cm_pg *pg, const struct cm_uuid *user,
                     const struct user_preferences_input *in, int64_t expected, cm_time now)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, user);
        cm_pg_put_time(&params, now);
        cm_pg_put_int8(&params, expected);
        if (in->has_age == CM_PRESENT)
                cm_pg_put_int4(&params, (int32_t)in->age);
        else
                cm_pg_put_null(&params);
        put_text(&params, in->has_relationship_status, in->relationship_status);
        put_text(&params, in->has_work_status, in->work_status);
        put_text(&params, in->has_work_type, in->work_type);
        put_text(&params, in->has_sports, in->sports);
        put_text(&params, in->has_hobbies, in->hobbies);
        put_text(&params, in->has_therapy_goals, in->therapy_goals);
        put_text(&params, in->has_preferred_communication, in->preferred_communication);
        return save(pg, user, &preferences_save_statement, &params);
}

static const struct cm_pg_statement preferences_load_statement = {
        .name = "preferences_load",
        .sql = "SELECT version, updated_at, age, relationship_status, work_status, work_type, "
               "sports, hobbies,"
               " therapy_goals, preferred_communication FROM user_preferences WHERE user_id = "
               "$1::uuid",
};

int preferences_load(struct cm_pg *pg, struct cm_arena *arena, const struct cm_uuid *user,
                     struct user_preferences *preferences_r)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result result = { 0 };
        int r = load(pg, user, &preferences_load_statement, &result);

        *preferences_r = (struct user_preferences){ .user_id = *user };
        if (r || result.rows == 0)
                return r;
        preferences_r->version = cm_pg_int(&result, 0, 0);
        preferences_r->updated_at = cm_pg_time(&result, 0, 1);
        if (!cm_pg_is_null(&result, 0, 2)) {
                preferences_r->has_age = CM_PRESENT;
                preferences_r->age = cm_pg_int(&result, 0, 2);
        }
        preferences_r->has_relationship_status =
                get_text(&result, 3, arena, &preferences_r->relationship_status);
        preferences_r->has_work_status = get_text(&result, 4, arena, &preferences_r->work_status);
        preferences_r->has_work_type = get_text(&result, 5, arena, &preferences_r->work_type);
        preferences_r->has_sports = get_text(&result, 6, arena, &preferences_r->sports);
        preferences_r->has_hobbies = get_text(&result, 7, arena, &preferences_r->hobbies);
        preferences_r->has_therapy_goals =
                get_text(&result, 8, arena, &preferences_r->therapy_goals);
        preferences_r->has_preferred_communication =
                get_text(&result, 9, arena, &preferences_r->preferred_communication);
        return 0;
}
