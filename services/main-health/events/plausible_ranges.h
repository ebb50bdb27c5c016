#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * What vitals can be: for each kind its unit, the units that are taken, the range outside of which
 * a value is refused, and the range outside of which it is stored with a flag. The ranges are those
 * of docs/health-record.md, compared with Health Connect, OpenMRS and the MIMIC-III benchmark.
 */
enum vital_shape {
        VITAL_QUANTITY = 1, /* value and unit */
        VITAL_PRESSURE,     /* systolic and diastolic */
        VITAL_STRESS,       /* a word, a score, or both */
        VITAL_SLEEP,
        VITAL_WORKOUT,
};

struct vital_kind {
        enum vital_shape shape;
        const char *unit;             /* the canonical one, UCUM; NULL for sleep and workouts */
        double low, high;             /* refused outside, in the canonical unit */
        double usual_low, usual_high; /* flagged outside */
        bool adds_up; /* amounts of a stretch of time, such as steps: summed over a day */
};

/* NULL when there is no such VITAL_SUBTYPE_…. */
const struct vital_kind *vital_kind_find(int16_t event_subtype);

enum plausibility {
        PLAUSIBLE = 0,
        UNUSUALLY_LOW,  /* store with HEALTH_EVENT_FLAG_UNUSUALLY_LOW */
        UNUSUALLY_HIGH, /* store with HEALTH_EVENT_FLAG_UNUSUALLY_HIGH */
        IMPLAUSIBLE,    /* refuse */
        UNKNOWN_UNIT,   /* refuse */
};

/* `canonical_r` (may be NULL) gets the value in the kind's own unit. */
enum plausibility vital_check(const struct vital_kind *kind, double value, struct cm_str unit,
                              double *canonical_r);
enum plausibility blood_pressure_check(double systolic, double diastolic);

/* The value in another unit; false when the two do not measure the same. */
bool unit_convert(double value, struct cm_str from, const char *to, double *value_r);
