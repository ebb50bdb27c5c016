#include "apple_types.h"

#include <string.h>

#include "base/attr.h"
#include "main_health_api.h"

#define VITAL(name, subtype, unit)                                                                 \
        {                                                                                          \
                name, APPLE_QUANTITY, VITAL_SUBTYPE_##subtype, unit, NULL, NULL                    \
        }
#define COUNTED(name, subtype, unit)                                                               \
        {                                                                                          \
                name, APPLE_QUANTITY, VITAL_SUBTYPE_##subtype, unit, unit, NULL                    \
        }
#define FRACTION(name, subtype)                                                                    \
        {                                                                                          \
                name, APPLE_FRACTION, VITAL_SUBTYPE_##subtype, "%", NULL, NULL                     \
        }
#define SYMPTOM(name, label)                                                                       \
        {                                                                                          \
                name, APPLE_SYMPTOM, 0, NULL, NULL, label                                          \
        }

/* Sorted by name, for the binary search. */
static const struct apple_type types[] = {
        SYMPTOM("AbdominalCramps", "abdominal cramps"),
        SYMPTOM("Acne", "acne"),
        VITAL("ActiveEnergyBurned", ACTIVE_ENERGY, "kcal"),
        SYMPTOM("AppetiteChanges", "appetite changes"),
        VITAL("AppleExerciseTime", ACTIVE_MINUTES, "min"),
        VITAL("BasalBodyTemperature", BODY_TEMPERATURE, "Cel"),
        VITAL("BasalEnergyBurned", BASAL_ENERGY, "kcal"),
        SYMPTOM("BladderIncontinence", "bladder incontinence"),
        SYMPTOM("Bloating", "bloating"),
        VITAL("BloodGlucose", BLOOD_GLUCOSE, "mg/dL"),
        { "BloodPressureDiastolic", APPLE_PRESSURE_PART, VITAL_SUBTYPE_BLOOD_PRESSURE, "mm[Hg]",
          NULL, NULL },
        { "BloodPressureSystolic", APPLE_PRESSURE_PART, VITAL_SUBTYPE_BLOOD_PRESSURE, "mm[Hg]",
          NULL, NULL },
        FRACTION("BodyFatPercentage", BODY_FAT),
        VITAL("BodyMass", WEIGHT, "kg"),
        COUNTED("BodyMassIndex", BMI, "kg/m2"),
        VITAL("BodyTemperature", BODY_TEMPERATURE, "Cel"),
        SYMPTOM("BreastPain", "breast pain"),
        SYMPTOM("ChestTightnessOrPain", "chest tightness or pain"),
        SYMPTOM("Chills", "chills"),
        SYMPTOM("Constipation", "constipation"),
        SYMPTOM("Coughing", "coughing"),
        SYMPTOM("Diarrhea", "diarrhea"),
        VITAL("DietaryWater", WATER, "mL"),
        VITAL("DistanceCycling", CYCLING_DISTANCE, "m"),
        VITAL("DistanceSwimming", SWIMMING_DISTANCE, "m"),
        VITAL("DistanceWalkingRunning", DISTANCE, "m"),
        SYMPTOM("Dizziness", "dizziness"),
        SYMPTOM("DrySkin", "dry skin"),
        VITAL("EnvironmentalAudioExposure", AUDIO_EXPOSURE, "dB"),
        SYMPTOM("Fainting", "fainting"),
        SYMPTOM("Fatigue", "fatigue"),
        SYMPTOM("Fever", "fever"),
        COUNTED("FlightsClimbed", FLOORS, "{flights}"),
        SYMPTOM("GeneralizedBodyAche", "generalized body ache"),
        SYMPTOM("HairLoss", "hair loss"),
        SYMPTOM("Headache", "headache"),
        VITAL("HeadphoneAudioExposure", AUDIO_EXPOSURE, "dB"),
        VITAL("HeartRate", HEART_RATE, "/min"),
        VITAL("HeartRateVariabilitySDNN", HRV_SDNN, "ms"),
        SYMPTOM("Heartburn", "heartburn"),
        VITAL("Height", HEIGHT, "cm"),
        SYMPTOM("HotFlashes", "hot flashes"),
        VITAL("LeanBodyMass", LEAN_BODY_MASS, "kg"),
        SYMPTOM("LossOfSmell", "loss of smell"),
        SYMPTOM("LossOfTaste", "loss of taste"),
        SYMPTOM("LowerBackPain", "lower back pain"),
        SYMPTOM("MemoryLapse", "memory lapse"),
        { "MindfulSession", APPLE_MINUTES, VITAL_SUBTYPE_MINDFUL_MINUTES, "min", NULL, NULL },
        SYMPTOM("MoodChanges", "mood changes"),
        SYMPTOM("Nausea", "nausea"),
        SYMPTOM("NightSweats", "night sweats"),
        FRACTION("OxygenSaturation", SPO2),
        SYMPTOM("PelvicPain", "pelvic pain"),
        SYMPTOM("RapidPoundingOrFlutteringHeartbeat", "rapid, pounding or fluttering heartbeat"),
        VITAL("RespiratoryRate", RESPIRATORY_RATE, "/min"),
        VITAL("RestingHeartRate", RESTING_HEART_RATE, "/min"),
        SYMPTOM("RunnyNose", "runny nose"),
        SYMPTOM("ShortnessOfBreath", "shortness of breath"),
        SYMPTOM("SinusCongestion", "sinus congestion"),
        SYMPTOM("SkippedHeartbeat", "skipped heartbeat"),
        { "SleepAnalysis", APPLE_SLEEP, VITAL_SUBTYPE_SLEEP, NULL, NULL, NULL },
        SYMPTOM("SleepChanges", "sleep changes"),
        SYMPTOM("SoreThroat", "sore throat"),
        COUNTED("StepCount", STEPS, "{steps}"),
        VITAL("VO2Max", VO2_MAX, "mL/(kg.min)"),
        SYMPTOM("VaginalDryness", "vaginal dryness"),
        SYMPTOM("Vomiting", "vomiting"),
        VITAL("WaistCircumference", WAIST, "cm"),
        VITAL("WalkingHeartRateAverage", WALKING_HEART_RATE, "/min"),
        SYMPTOM("Wheezing", "wheezing"),
};

struct cm_str apple_type_name(struct cm_str identifier)
{
        static const struct cm_str prefixes[] = {
                { "HKQuantityTypeIdentifier", 24 },
                { "HKCategoryTypeIdentifier", 24 },
                { "HKCorrelationTypeIdentifier", 27 },
                { "HKDataType", 10 },
        };

        for (size_t i = 0; i < CM_COUNT(prefixes); i++)
                if (cm_str_starts(identifier, prefixes[i]))
                        return (struct cm_str){ identifier.data + prefixes[i].len,
                                                identifier.len - prefixes[i].len };
        return identifier;
}

/* As strcmp, of a text that does not end in NUL. */
static int compare(struct cm_str text, const char *name)
{
        int order = strncmp(text.data, name, text.len);

        return order ? order : name[text.len] ? -1 : 0;
}

const struct apple_type *apple_type_find(struct cm_str identifier)
{
        struct cm_str name = apple_type_name(identifier);
        size_t low = 0, high = CM_COUNT(types);

        if (name.len == identifier.len)
                return NULL;
        while (low < high) {
                size_t middle = (low + high) / 2;
                int order = compare(name, types[middle].name);

                if (order == 0)
                        return &types[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

#define AS_IS                                                                                      \
        {                                                                                          \
                1, 0                                                                               \
        }
#define COUNT "count"

/* Apple's units are fixed, but third parties and languages write them in other ways: compared
 * without regard to case and blanks. */
static const struct {
        const char *apple;
        const char *code;
        struct apple_decimal factor;
} units[] = {
        { "count/min", "/min", AS_IS },
        { "bpm", "/min", AS_IS },
        { "breaths/min", "/min", AS_IS },
        { "count/s", "/min", { 60, 0 } },
        { COUNT, COUNT, AS_IS },
        { "steps", COUNT, AS_IS },
        { "ms", "ms", AS_IS },
        { "s", "s", AS_IS },
        { "min", "min", AS_IS },
        { "hr", "h", AS_IS },
        { "h", "h", AS_IS },
        { "%", "%", AS_IS },
        { "km", "km", AS_IS },
        { "m", "m", AS_IS },
        { "cm", "cm", AS_IS },
        { "mi", "[mi_i]", AS_IS },
        { "ft", "[ft_i]", AS_IS },
        { "yd", "[yd_i]", AS_IS },
        { "in", "[in_i]", AS_IS },
        { "kcal", "kcal", AS_IS }, /* and Cal, which is the same in capitals */
        { "cal", "kcal", { 1, 3 } },
        { "kj", "kJ", AS_IS },
        { "j", "kJ", { 1, 3 } },
        { "kg", "kg", AS_IS },
        { "g", "g", AS_IS },
        { "lb", "[lb_av]", AS_IS },
        { "lbs", "[lb_av]", AS_IS },
        { "st", "[stone_av]", AS_IS },
        { "oz", "g", { 28349523125, 9 } },
        { "degc", "Cel", AS_IS },
        { "°c", "Cel", AS_IS },
        { "degf", "[degF]", AS_IS },
        { "°f", "[degF]", AS_IS },
        { "mg/dl", "mg/dL", AS_IS },
        { "mmol/l", "mmol/L", AS_IS },
        { "mmhg", "mm[Hg]", AS_IS },
        { "kpa", "mm[Hg]", { 750061683, 8 } },
        { "ml", "mL", AS_IS },
        { "l", "L", AS_IS },
        { "dl", "mL", { 100, 0 } },
        { "cl", "mL", { 10, 0 } },
        { "fl_oz_us", "[foz_us]", AS_IS },
        { "fl_oz_imp", "mL", { 284130625, 7 } },
        { "cup_us", "mL", { 2365882365, 7 } },
        { "cup_imp", "mL", { 284130625, 6 } },
        { "pt_us", "mL", { 473176473, 6 } },
        { "pt_imp", "mL", { 56826125, 5 } },
        { "ml/min·kg", "mL/(kg.min)", AS_IS },
        { "ml/(kg*min)", "mL/(kg.min)", AS_IS },
        { "ml/kg·min", "mL/(kg.min)", AS_IS },
        { "dbaspl", "dB", AS_IS },
        { "db", "dB", AS_IS },
        { "kg/m2", "kg/m2", AS_IS },
        { "kg/m²", "kg/m2", AS_IS },
};

/* Lower case, without blanks and without the molar mass in "mmol<180.1…>/L". */
static size_t fold_unit(struct cm_str unit, char out[32])
{
        size_t len = 0;
        bool inside = false;

        for (size_t i = 0; i < unit.len; i++) {
                char c = unit.data[i];

                inside = inside || c == '<';
                if (!inside && c != ' ') {
                        if (len == 31)
                                return 0;
                        out[len++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
                }
                inside = inside && c != '>';
        }
        out[len] = '\0';
        return len;
}

bool apple_unit_find(const struct apple_type *type, struct cm_str unit, struct apple_unit *unit_r)
{
        char folded[32];

        *unit_r = (struct apple_unit){ type->unit, AS_IS };
        if (unit.len == 0)
                return type->unit != NULL;
        if (cm_str_equal(unit, CM_STR("Cal"))) { /* the small calorie is "cal" */
                unit_r->code = "kcal";
                return true;
        }
        if (!fold_unit(unit, folded))
                return false;
        for (size_t i = 0; i < CM_COUNT(units); i++) {
                if (strcmp(folded, units[i].apple) != 0)
                        continue;
                *unit_r = (struct apple_unit){ units[i].code, units[i].factor };
                if (strcmp(units[i].code, COUNT) == 0)
                        unit_r->code = type->count;
                return unit_r->code != NULL;
        }
        return false;
}

int16_t apple_sleep_stage(struct cm_str value)
{
        static const struct {
                const char *name;
                int16_t stage;
        } stages[] = {
                { "InBed", SLEEP_STAGE_IN_BED },
                { "Asleep", SLEEP_STAGE_ASLEEP },
                { "AsleepUnspecified", SLEEP_STAGE_ASLEEP },
                { "Awake", SLEEP_STAGE_AWAKE },
                { "AsleepCore", SLEEP_STAGE_LIGHT },
                { "AsleepDeep", SLEEP_STAGE_DEEP },
                { "AsleepREM", SLEEP_STAGE_REM },
        };
        const struct cm_str prefix = CM_STR("HKCategoryValueSleepAnalysis");

        if (!cm_str_starts(value, prefix))
                return 0;
        value = (struct cm_str){ value.data + prefix.len, value.len - prefix.len };
        for (size_t i = 0; i < CM_COUNT(stages); i++)
                if (compare(value, stages[i].name) == 0)
                        return stages[i].stage;
        return 0;
}

int apple_severity(struct cm_str value)
{
        static const struct {
                const char *name;
                int severity;
        } severities[] = {
                { "HKCategoryValueSeverityUnspecified", -1 },
                { "HKCategoryValueSeverityNotPresent", -2 },
                { "HKCategoryValueSeverityMild", 3 },
                { "HKCategoryValueSeverityModerate", 5 },
                { "HKCategoryValueSeveritySevere", 8 },
                { "HKCategoryValuePresencePresent", -1 },
                { "HKCategoryValuePresenceNotPresent", -2 },
                { "HKCategoryValueAppetiteChangesUnspecified", -1 },
                { "HKCategoryValueAppetiteChangesNoChange", -2 },
                { "HKCategoryValueAppetiteChangesDecreased", -1 },
                { "HKCategoryValueAppetiteChangesIncreased", -1 },
        };

        if (!value.data)
                return -1;
        for (size_t i = 0; i < CM_COUNT(severities); i++)
                if (compare(value, severities[i].name) == 0)
                        return severities[i].severity;
        return -3;
}

static bool is_upper(char c)
{
        return c >= 'A' && c <= 'Z';
}

size_t apple_activity_name(struct cm_str identifier, char *out, size_t size)
{
        const struct cm_str prefix = CM_STR("HKWorkoutActivityType");
        size_t len = 0, from = cm_str_starts(identifier, prefix) ? prefix.len : 0;

        for (size_t i = from; i < identifier.len && len + 2 < size; i++) {
                char c = identifier.data[i];

                if ((unsigned char)c >= 0x80)
                        continue; /* never so in Apple's names */
                if (is_upper(c) && i > from && !is_upper(identifier.data[i - 1]))
                        out[len++] = '_';
                out[len++] = (char)(is_upper(c) ? c | 0x20 : c);
        }
        out[len] = '\0';
        return len;
}
