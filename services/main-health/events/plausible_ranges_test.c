#include "plausible_ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "main_health_api.h"

static void edges(void **state)
{
        static const struct {
                int16_t subtype;
                double value;
                const char *unit;
                enum plausibility want;
        } cases[] = {
                { VITAL_SUBTYPE_HEART_RATE, 19.999, "/min", IMPLAUSIBLE },
                { VITAL_SUBTYPE_HEART_RATE, 20, "/min", UNUSUALLY_LOW },
                { VITAL_SUBTYPE_HEART_RATE, 30, "/min", PLAUSIBLE },
                { VITAL_SUBTYPE_HEART_RATE, 220, "/min", PLAUSIBLE },
                { VITAL_SUBTYPE_HEART_RATE, 220.5, "/min", UNUSUALLY_HIGH },
                { VITAL_SUBTYPE_HEART_RATE, 300, "/min", UNUSUALLY_HIGH },
                { VITAL_SUBTYPE_HEART_RATE, 301, "/min", IMPLAUSIBLE },
                { VITAL_SUBTYPE_HEART_RATE, 72, "bpm", UNKNOWN_UNIT },
                { VITAL_SUBTYPE_HEART_RATE, 72, "", UNKNOWN_UNIT },
                { VITAL_SUBTYPE_SPO2, 29, "%", IMPLAUSIBLE },
                { VITAL_SUBTYPE_SPO2, 0.98, "%", IMPLAUSIBLE },
                { VITAL_SUBTYPE_SPO2, 69, "%", UNUSUALLY_LOW },
                { VITAL_SUBTYPE_SPO2, 100, "%", PLAUSIBLE },
                { VITAL_SUBTYPE_SPO2, 100.1, "%", IMPLAUSIBLE },
                { VITAL_SUBTYPE_BODY_TEMPERATURE, 98.6, "[degF]", PLAUSIBLE },
                { VITAL_SUBTYPE_BODY_TEMPERATURE, 37, "Cel", PLAUSIBLE },
                { VITAL_SUBTYPE_BODY_TEMPERATURE, 98.6, "Cel", IMPLAUSIBLE },
                { VITAL_SUBTYPE_BODY_TEMPERATURE, 42.1, "Cel", UNUSUALLY_HIGH },
                { VITAL_SUBTYPE_RESPIRATORY_RATE, 0, "/min", IMPLAUSIBLE },
                { VITAL_SUBTYPE_BLOOD_GLUCOSE, 5.5, "mmol/L", PLAUSIBLE },
                { VITAL_SUBTYPE_BLOOD_GLUCOSE, 5.5, "mg/dL", UNUSUALLY_LOW },
                { VITAL_SUBTYPE_BLOOD_GLUCOSE, 2001, "mg/dL", IMPLAUSIBLE },
                { VITAL_SUBTYPE_WEIGHT, 0.19, "kg", IMPLAUSIBLE },
                { VITAL_SUBTYPE_WEIGHT, 150, "[lb_av]", PLAUSIBLE },
                { VITAL_SUBTYPE_WEIGHT, 650, "kg", UNUSUALLY_HIGH },
                { VITAL_SUBTYPE_HEIGHT, 1.8, "m", PLAUSIBLE },
                { VITAL_SUBTYPE_HEIGHT, 1.8, "cm", IMPLAUSIBLE },
                { VITAL_SUBTYPE_BMI, 121, "kg/m2", IMPLAUSIBLE },
                { VITAL_SUBTYPE_STEPS, 0, "{steps}", PLAUSIBLE },
                { VITAL_SUBTYPE_STEPS, 80001, "{steps}", UNUSUALLY_HIGH },
                { VITAL_SUBTYPE_STEPS, 200001, "{steps}", IMPLAUSIBLE },
                { VITAL_SUBTYPE_STEPS, -1, "{steps}", IMPLAUSIBLE },
                { VITAL_SUBTYPE_ACTIVE_ENERGY, 4184, "kJ", PLAUSIBLE },
                { VITAL_SUBTYPE_SLEEP, 8, "h", UNKNOWN_UNIT },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                enum plausibility found =
                        vital_check(vital_kind_find(cases[i].subtype), cases[i].value,
                                    cm_str_from(cases[i].unit), NULL);

                if (found != cases[i].want)
                        fail_msg("%d: %g %s gives %d", cases[i].subtype, cases[i].value,
                                 cases[i].unit, (int)found);
        }
        assert_null(vital_kind_find(0));
        assert_null(vital_kind_find(-1));
        assert_null(vital_kind_find(VITAL_SUBTYPE_AUDIO_EXPOSURE + 1));
        for (int16_t i = 1; i <= VITAL_SUBTYPE_AUDIO_EXPOSURE; i++)
                assert_non_null(vital_kind_find(i));
}

static void pressures(void **state)
{
        static const struct {
                double systolic, diastolic;
                enum plausibility want;
        } cases[] = {
                { 120, 80, PLAUSIBLE },       { 250, 150, PLAUSIBLE },
                { 251, 100, UNUSUALLY_HIGH }, { 300, 120, UNUSUALLY_HIGH },
                { 301, 120, IMPLAUSIBLE },    { 69, 45, UNUSUALLY_LOW },
                { 39, 30, IMPLAUSIBLE },      { 80, 80, IMPLAUSIBLE },
                { 80, 90, IMPLAUSIBLE },      { 120, 39, UNUSUALLY_LOW },
                { 210, 151, UNUSUALLY_HIGH }, { 100, 19, IMPLAUSIBLE },
        };

        (void)state;
        for (size_t i = 0; i < CM_COUNT(cases); i++)
                if (blood_pressure_check(cases[i].systolic, cases[i].diastolic) != cases[i].want)
                        fail_msg("%g/%g", cases[i].systolic, cases[i].diastolic);
}

static void conversions(void **state)
{
        double value;

        (void)state;
        assert_true(unit_convert(212, CM_STR("[degF]"), "Cel", &value));
        assert_true(value > 99.9999999 && value < 100.0000001);
        assert_true(unit_convert(26.2, CM_STR("[mi_i]"), "m", &value));
        assert_true(value > 42164 && value < 42165);
        assert_true(unit_convert(1, CM_STR("m"), "m", &value));
        assert_true(value == 1);
        assert_false(unit_convert(1, CM_STR("m"), "kg", &value));
        assert_false(unit_convert(1, CM_STR_NONE, "kg", &value));
}

/*
 * The MIMIC-III benchmark's ranges (SALUS_REALDATA): what it would put in for a missing value is a
 * value that we take without a flag, and what it calls an outlier we refuse.
 */
static const struct {
        const char *name;
        int16_t subtype; /* 0: systolic, -1: diastolic */
        bool heavier;    /* we take more than patients of intensive care weigh */
} compared[] = {
        { "Heart rate", VITAL_SUBTYPE_HEART_RATE, false },
        { "Oxygen saturation", VITAL_SUBTYPE_SPO2, false },
        { "Temperature", VITAL_SUBTYPE_BODY_TEMPERATURE, false },
        { "Respiratory rate", VITAL_SUBTYPE_RESPIRATORY_RATE, false },
        { "Glucose", VITAL_SUBTYPE_BLOOD_GLUCOSE, false },
        { "Weight", VITAL_SUBTYPE_WEIGHT, true },
        { "Height", VITAL_SUBTYPE_HEIGHT, false },
        { "Systolic blood pressure", 0, false },
        { "Diastolic blood pressure", -1, false },
};

static enum plausibility check(int16_t subtype, double value)
{
        const struct vital_kind *kind;

        if (subtype == 0)
                return blood_pressure_check(value, 50);
        if (subtype == -1)
                return blood_pressure_check(210, value);
        kind = vital_kind_find(subtype);
        return vital_check(kind, value, cm_str_from(kind->unit), NULL);
}

static void against_mimic(void **state)
{
        const char *folder = getenv("SALUS_REALDATA");
        char path[1024], line[512];
        size_t seen = 0;
        FILE *file;

        (void)state;
        snprintf(path, sizeof(path), "%s/health/ranges/variable_ranges.csv", folder ?: "");
        file = folder ? fopen(path, "r") : NULL;
        if (!file) {
                print_message("skipped: SALUS_REALDATA names no folder with health/ranges\n");
                skip();
        }
        while (fgets(line, sizeof(line), file)) {
                char name[128];
                double outlier_low, valid_low, typical, valid_high, outlier_high;

                if (sscanf(line, "%127[^,],,%lf,%lf,%lf,%lf,%lf", name, &outlier_low, &valid_low,
                           &typical, &valid_high, &outlier_high) != 6)
                        continue;
                for (size_t i = 0; i < CM_COUNT(compared); i++) {
                        if (strcmp(compared[i].name, name) != 0)
                                continue;
                        seen++;
                        assert_int_equal(check(compared[i].subtype, typical), PLAUSIBLE);
                        assert_int_equal(check(compared[i].subtype, outlier_low - 0.1),
                                         IMPLAUSIBLE);
                        if (!compared[i].heavier)
                                assert_int_equal(check(compared[i].subtype, outlier_high + 0.1),
                                                 IMPLAUSIBLE);
                }
        }
        fclose(file);
        assert_int_equal(seen, CM_COUNT(compared));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(edges),
                cmocka_unit_test(pressures),
                cmocka_unit_test(conversions),
                cmocka_unit_test(against_mimic),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
