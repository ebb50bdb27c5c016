#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "apple_types.h"
#include "base/attr.h"
#include "events/plausible_ranges.h"
#include "schemas.h"

static const struct apple_type *find(const char *identifier)
{
        return apple_type_find(cm_str_from(identifier));
}

static void test_types(void **state CM_UNUSED)
{
        static const struct {
                const char *identifier;
                int16_t subtype;
        } cases[] = {
                { "HKQuantityTypeIdentifierHeartRate", VITAL_SUBTYPE_HEART_RATE },
                { "HKQuantityTypeIdentifierRestingHeartRate", VITAL_SUBTYPE_RESTING_HEART_RATE },
                { "HKQuantityTypeIdentifierStepCount", VITAL_SUBTYPE_STEPS },
                { "HKQuantityTypeIdentifierActiveEnergyBurned", VITAL_SUBTYPE_ACTIVE_ENERGY },
                { "HKQuantityTypeIdentifierBodyMass", VITAL_SUBTYPE_WEIGHT },
                { "HKQuantityTypeIdentifierBodyMassIndex", VITAL_SUBTYPE_BMI },
                { "HKQuantityTypeIdentifierVO2Max", VITAL_SUBTYPE_VO2_MAX },
                { "HKQuantityTypeIdentifierWaistCircumference", VITAL_SUBTYPE_WAIST },
                { "HKCategoryTypeIdentifierSleepAnalysis", VITAL_SUBTYPE_SLEEP },
                { "HKCategoryTypeIdentifierMindfulSession", VITAL_SUBTYPE_MINDFUL_MINUTES },
                { "HKCategoryTypeIdentifierAbdominalCramps", 0 },
                { "HKCategoryTypeIdentifierWheezing", 0 },
        };
        static const char *const unknown[] = { "HKQuantityTypeIdentifierWalkingSpeed",
                                               "HeartRate",
                                               "",
                                               "HKQuantityTypeIdentifier",
                                               "HKQuantityTypeIdentifierHeartRat",
                                               "HKQuantityTypeIdentifierHeartRate2" };

        for (size_t i = 0; i < CM_COUNT(cases); i++) {
                const struct apple_type *type = find(cases[i].identifier);

                if (!type || type->subtype != cases[i].subtype)
                        fail_msg("%s", cases[i].identifier);
                assert_true(type->subtype || type->label);
        }
        for (size_t i = 0; i < CM_COUNT(unknown); i++)
                assert_null(find(unknown[i]));
        assert_null(apple_type_find(CM_STR_NONE));
}

struct unit_case {
        const char *type; /* without the prefix */
        const char *unit;
        const char *code; /* NULL: not known */
        double factor;
};

static const struct unit_case unit_cases[] = {
        { "HeartRate", "count/min", "/min", 1 },
        { "HeartRate", "", "/min", 1 },
        { "HeartRate", "Count / Min", "/min", 1 },
        { "HeartRate", "count/s", "/min", 60 },
        { "StepCount", "count", "{steps}", 1 },
        { "FlightsClimbed", "count", "{flights}", 1 },
        { "BodyMassIndex", "count", "kg/m2", 1 },
        { "HeartRate", "count", NULL, 0 }, /* a count of what? */
        { "BodyMass", "lb", "[lb_av]", 1 },
        { "BodyMass", "st", "[stone_av]", 1 },
        { "BodyTemperature", "degF", "[degF]", 1 },
        { "BodyTemperature",
          "\xc2\xb0"
          "C",
          "Cel", 1 },
        { "BloodGlucose", "mmol<180.1558800000541>/L", "mmol/L", 1 },
        { "BloodGlucose", "mg/dL", "mg/dL", 1 },
        { "ActiveEnergyBurned", "Cal", "kcal", 1 },
        { "ActiveEnergyBurned", "cal", "kcal", 0.001 },
        { "ActiveEnergyBurned", "kJ", "kJ", 1 },
        { "DietaryWater", "fl_oz_us", "[foz_us]", 1 },
        { "VO2Max", "mL/min\xc2\xb7kg", "mL/(kg.min)", 1 },
        { "BloodPressureSystolic", "kPa", "mm[Hg]", 7.50061683 },
        { "OxygenSaturation", "%", "%", 1 },
        { "BodyMass", "parsec", NULL, 0 },
        { "BodyMass", "a unit whose name is longer than any that exists", NULL, 0 },
};

static void test_units(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(unit_cases); i++) {
                const struct unit_case *c = &unit_cases[i];
                char identifier[100] = "HKQuantityTypeIdentifier";
                struct apple_unit unit;
                bool known = apple_unit_find(find(strcat(identifier, c->type)),
                                             cm_str_from(c->unit), &unit);

                if (known != (c->code != NULL) || (known && strcmp(unit.code, c->code) != 0))
                        fail_msg("%s in %s", c->type, c->unit);
                if (known)
                        assert_true(apple_decimal_real(unit.factor) == c->factor);
        }
}

/* Whatever a unit becomes is a unit that the vital takes. */
static void test_units_are_taken(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(unit_cases); i++) {
                const struct unit_case *c = &unit_cases[i];
                char identifier[100] = "HKQuantityTypeIdentifier";
                const struct apple_type *type = find(strcat(identifier, c->type));
                const struct vital_kind *kind = vital_kind_find(type->subtype);
                double value;

                assert_non_null(kind);
                assert_true(unit_convert(1, cm_str_from(type->unit), kind->unit, &value));
                if (c->code && !unit_convert(1, cm_str_from(c->code), kind->unit, &value))
                        fail_msg("%s in %s", c->type, c->code);
        }
}

static void test_values(void **state CM_UNUSED)
{
        char name[40];

        assert_int_equal(apple_sleep_stage(CM_STR("HKCategoryValueSleepAnalysisAsleepREM")),
                         SLEEP_STAGE_REM);
        assert_int_equal(apple_sleep_stage(CM_STR("HKCategoryValueSleepAnalysisAsleep")),
                         SLEEP_STAGE_ASLEEP);
        assert_int_equal(apple_sleep_stage(CM_STR("HKCategoryValueSleepAnalysisSnoring")), 0);
        assert_int_equal(apple_sleep_stage(CM_STR("1")), 0);
        assert_int_equal(apple_severity(CM_STR("HKCategoryValueSeveritySevere")), 8);
        assert_int_equal(apple_severity(CM_STR("HKCategoryValueSeverityNotPresent")), -2);
        assert_int_equal(apple_severity(CM_STR_NONE), -1);
        assert_int_equal(apple_severity(CM_STR("HKCategoryValueTerrible")), -3);
        apple_activity_name(CM_STR("HKWorkoutActivityTypeTraditionalStrengthTraining"), name,
                            sizeof(name));
        assert_string_equal(name, "traditional_strength_training");
        apple_activity_name(
                CM_STR("HKWorkoutActivityTypeHighIntensityIntervalTrainingAndOnAndOnAndOn"), name,
                sizeof(name));
        assert_true(strlen(name) < sizeof(name));
        assert_int_equal(apple_activity_name(CM_STR("HKWorkoutActivityType"), name, sizeof(name)),
                         0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_units),
                cmocka_unit_test(test_units_are_taken),
                cmocka_unit_test(test_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
