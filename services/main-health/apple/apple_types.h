#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "apple_text.h"
#include "base/str.h"

/*
 * What Apple's type identifiers and units are called here: tables only. An identifier that is not
 * in them is reported to the person as not understood, with its count and first lines.
 */
enum apple_kind {
        APPLE_QUANTITY = 1, /* value and unit */
        APPLE_FRACTION,     /* a share of 1 that is called "%" */
        APPLE_SLEEP,        /* a stage from start to end */
        APPLE_MINUTES,      /* the length from start to end counts */
        APPLE_SYMPTOM,
        APPLE_PRESSURE_PART, /* one half of a blood pressure: comes in its correlation */
};

struct apple_type {
        const char *name; /* without HKQuantityTypeIdentifier, HKCategoryTypeIdentifier */
        enum apple_kind kind;
        int16_t subtype;   /* VITAL_SUBTYPE_…; 0 for symptoms */
        const char *unit;  /* UCUM, when the record names none */
        const char *count; /* what "count" counts, UCUM; NULL: not a count */
        const char *label; /* symptoms: their name for people */
};

/* By the record's `type` attribute; NULL when it is not understood. */
const struct apple_type *apple_type_find(struct cm_str identifier);
/* The identifier without its HealthKit prefix, for reports and sources. */
struct cm_str apple_type_name(struct cm_str identifier);

struct apple_unit {
        const char *code;            /* UCUM */
        struct apple_decimal factor; /* the value times this is in that unit */
};

/* "count/min", "mmol<180.1558800000541>/L", "kCal" as the UCUM code of a unit that `type` can have;
 * absent: its usual one. False when nobody knows the unit. */
bool apple_unit_find(const struct apple_type *type, struct cm_str unit, struct apple_unit *unit_r);

/* SLEEP_STAGE_… of a value of SleepAnalysis; 0 when there is none. */
int16_t apple_sleep_stage(struct cm_str value);

/* How bad a symptom was, 0 to 10; -1: it was there, nobody said how bad; -2: it was not there;
 * -3: not understood. */
int apple_severity(struct cm_str value);

/* "HKWorkoutActivityTypeTraditionalStrengthTraining" as "traditional_strength_training", cut to the
 * room. Returns the length. */
size_t apple_activity_name(struct cm_str identifier, char *out, size_t size);
