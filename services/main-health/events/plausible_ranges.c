#include "plausible_ranges.h"

#include "base/attr.h"
#include "main_health_api.h"

#define QUANTITY(unit_, low_, high_, usual_low_, usual_high_)                                      \
        {                                                                                          \
                VITAL_QUANTITY, unit_, low_, high_, usual_low_, usual_high_, false                 \
        }
#define AMOUNT(unit_, high_, usual_high_)                                                          \
        {                                                                                          \
                VITAL_QUANTITY, unit_, 0, high_, 0, usual_high_, true                              \
        }

/*
 * "Refused outside" is what cannot be, or cannot be told from a typing error; "usual" is what a
 * clinician would not ask about twice. Health Connect's upper systolic bound of 200 would refuse a
 * real crisis; MIMIC-III counts 0 as valid, because its patients die.
 */
static const struct vital_kind kinds[] = {
        [VITAL_SUBTYPE_HEART_RATE] = QUANTITY("/min", 20, 300, 30, 220),
        [VITAL_SUBTYPE_RESTING_HEART_RATE] = QUANTITY("/min", 20, 200, 30, 120),
        [VITAL_SUBTYPE_WALKING_HEART_RATE] = QUANTITY("/min", 20, 300, 30, 200),
        [VITAL_SUBTYPE_HRV_SDNN] = QUANTITY("ms", 0, 1000, 1, 300),
        [VITAL_SUBTYPE_HRV_RMSSD] = QUANTITY("ms", 0, 1000, 1, 300),
        [VITAL_SUBTYPE_BLOOD_PRESSURE] = { VITAL_PRESSURE, "mm[Hg]", 20, 300, 40, 250, false },
        [VITAL_SUBTYPE_SPO2] = QUANTITY("%", 30, 100, 70, 100),
        [VITAL_SUBTYPE_BODY_TEMPERATURE] = QUANTITY("Cel", 25, 47, 34, 42),
        [VITAL_SUBTYPE_RESPIRATORY_RATE] = QUANTITY("/min", 1, 120, 6, 60),
        [VITAL_SUBTYPE_BLOOD_GLUCOSE] = QUANTITY("mg/dL", 5, 2000, 40, 600),
        [VITAL_SUBTYPE_WEIGHT] = QUANTITY("kg", 0.2, 650, 2, 350),
        [VITAL_SUBTYPE_LEAN_BODY_MASS] = QUANTITY("kg", 0.1, 300, 1.5, 150),
        [VITAL_SUBTYPE_HEIGHT] = QUANTITY("cm", 20, 275, 40, 230),
        [VITAL_SUBTYPE_WAIST] = QUANTITY("cm", 10, 400, 30, 200),
        [VITAL_SUBTYPE_BMI] = QUANTITY("kg/m2", 8, 120, 12, 70),
        [VITAL_SUBTYPE_BODY_FAT] = QUANTITY("%", 0.5, 90, 3, 65),
        [VITAL_SUBTYPE_VO2_MAX] = QUANTITY("mL/(kg.min)", 1, 120, 10, 95),
        [VITAL_SUBTYPE_BODY_BATTERY] = QUANTITY("{score}", 0, 100, 0, 100),
        [VITAL_SUBTYPE_PAIN] = QUANTITY("{score}", 0, 10, 0, 10),
        [VITAL_SUBTYPE_AUDIO_EXPOSURE] = QUANTITY("dB", 0, 200, 0, 120),
        [VITAL_SUBTYPE_STEPS] = AMOUNT("{steps}", 200000, 80000),
        [VITAL_SUBTYPE_DISTANCE] = AMOUNT("m", 1000000, 150000),
        [VITAL_SUBTYPE_CYCLING_DISTANCE] = AMOUNT("m", 2000000, 500000),
        [VITAL_SUBTYPE_SWIMMING_DISTANCE] = AMOUNT("m", 200000, 50000),
        [VITAL_SUBTYPE_FLOORS] = AMOUNT("{flights}", 10000, 1000),
        [VITAL_SUBTYPE_ACTIVE_ENERGY] = AMOUNT("kcal", 50000, 10000),
        [VITAL_SUBTYPE_BASAL_ENERGY] = AMOUNT("kcal", 50000, 6000),
        [VITAL_SUBTYPE_ACTIVE_MINUTES] = AMOUNT("min", 1440, 1440),
        [VITAL_SUBTYPE_MINDFUL_MINUTES] = AMOUNT("min", 1440, 1440),
        [VITAL_SUBTYPE_WATER] = AMOUNT("mL", 30000, 10000),
        [VITAL_SUBTYPE_STRESS] = { VITAL_STRESS, "{score}", 0, 100, 0, 100, false },
        [VITAL_SUBTYPE_SLEEP] = { VITAL_SLEEP, NULL, 0, 0, 0, 0, false },
        [VITAL_SUBTYPE_WORKOUT] = { VITAL_WORKOUT, NULL, 0, 0, 0, 0, false },
};

static const struct {
        double low, high, usual_low, usual_high;
} systolic_range = { 40, 300, 70, 250 }, diastolic_range = { 20, 200, 40, 150 };

/* canonical = value * factor + shift */
static const struct {
        const char *from;
        const char *to;
        double factor;
        double shift;
} conversions[] = {
        { "[degF]", "Cel", 5.0 / 9.0, -160.0 / 9.0 },
        { "mmol/L", "mg/dL", 18.0156, 0 }, /* glucose, 180.156 g/mol */
        { "g", "kg", 0.001, 0 },
        { "[lb_av]", "kg", 0.45359237, 0 },
        { "[stone_av]", "kg", 6.35029318, 0 },
        { "m", "cm", 100, 0 },
        { "[in_i]", "cm", 2.54, 0 },
        { "[ft_i]", "cm", 30.48, 0 },
        { "km", "m", 1000, 0 },
        { "cm", "m", 0.01, 0 },
        { "[ft_i]", "m", 0.3048, 0 },
        { "[yd_i]", "m", 0.9144, 0 },
        { "[mi_i]", "m", 1609.344, 0 },
        { "kJ", "kcal", 1 / 4.184, 0 },
        { "s", "min", 1.0 / 60, 0 },
        { "h", "min", 60, 0 },
        { "s", "ms", 1000, 0 },
        { "L", "mL", 1000, 0 },
        { "[foz_us]", "mL", 29.5735295625, 0 },
};

const struct vital_kind *vital_kind_find(int16_t event_subtype)
{
        if (event_subtype < 1 || (size_t)event_subtype >= CM_COUNT(kinds) ||
            !kinds[event_subtype].shape)
                return NULL;
        return &kinds[event_subtype];
}

bool unit_convert(double value, struct cm_str from, const char *to, double *value_r)
{
        if (cm_str_equal(from, cm_str_from(to))) {
                *value_r = value;
                return true;
        }
        for (size_t i = 0; i < CM_COUNT(conversions); i++) {
                if (!cm_str_equal(from, cm_str_from(conversions[i].from)) ||
                    !cm_str_equal(cm_str_from(to), cm_str_from(conversions[i].to)))
                        continue;
                *value_r = value * conversions[i].factor + conversions[i].shift;
                return true;
        }
        return false;
}

static enum plausibility place(double value, double low, double high, double usual_low,
                               double usual_high)
{
        if (!(value >= low && value <= high))
                return IMPLAUSIBLE;
        if (value < usual_low)
                return UNUSUALLY_LOW;
        return value > usual_high ? UNUSUALLY_HIGH : PLAUSIBLE;
}

enum plausibility vital_check(const struct vital_kind *kind, double value, struct cm_str unit,
                              double *canonical_r)
{
        double canonical;

        if (!kind->unit || !unit_convert(value, unit, kind->unit, &canonical))
                return UNKNOWN_UNIT;
        if (canonical_r)
                *canonical_r = canonical;
        return place(canonical, kind->low, kind->high, kind->usual_low, kind->usual_high);
}

enum plausibility blood_pressure_check(double systolic, double diastolic)
{
        enum plausibility upper = place(systolic, systolic_range.low, systolic_range.high,
                                        systolic_range.usual_low, systolic_range.usual_high);
        enum plausibility lower = place(diastolic, diastolic_range.low, diastolic_range.high,
                                        diastolic_range.usual_low, diastolic_range.usual_high);

        if (upper == IMPLAUSIBLE || lower == IMPLAUSIBLE || systolic <= diastolic)
                return IMPLAUSIBLE;
        return upper != PLAUSIBLE ? upper : lower;
}
