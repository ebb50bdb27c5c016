#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/time.h"
#include "events/event_store.h"
#include "sys/zones.h"

/*
 * From what an export says of one record to the event that is stored. Pure but for the zones, which
 * are read from the machine's tz database.
 */
struct apple_facts {
        struct cm_zones *zones;  /* of the calling thread */
        struct cm_str home_zone; /* the person's own, for records that name none */
        cm_time now;
        struct cm_buf scratch; /* zero; freed by the owner */
};

/* The attributes of a Record or Correlation that matter; absent ones have no data. */
struct apple_record {
        struct cm_str type;
        struct cm_str unit;
        struct cm_str value;
        struct cm_str source;
        struct cm_str start;
        struct cm_str end;
        struct cm_str zone;      /* HKTimeZone */
        struct cm_str meal_time; /* HKBloodGlucoseMealTime */
};

struct apple_pressure {
        struct apple_record of;
        struct cm_str systolic;
        struct cm_str diastolic;
        struct cm_str systolic_unit;
        struct cm_str diastolic_unit;
};

/* A number with its unit, as Workout and WorkoutStatistics have it. */
struct apple_amount {
        struct cm_str value;
        struct cm_str unit;
};

struct apple_workout {
        struct apple_record of; /* type is the activity */
        struct apple_amount duration;
        struct apple_amount distance;
        struct apple_amount energy;
};

enum apple_fact {
        APPLE_FACT = 0,
        APPLE_FACT_NONE,     /* understood, but no fact of its own */
        APPLE_FACT_UNKNOWN,  /* not understood */
        APPLE_FACT_REJECTED, /* *reason_r says why, without values */
};

/* Texts of the event and the reason live in `arena`. */
enum apple_fact apple_fact_of_record(struct apple_facts *facts, const struct apple_record *record,
                                     struct cm_arena *arena, struct imported_event *event_r,
                                     struct cm_str *reason_r);
enum apple_fact apple_fact_of_pressure(struct apple_facts *facts,
                                       const struct apple_pressure *pressure,
                                       struct cm_arena *arena, struct imported_event *event_r,
                                       struct cm_str *reason_r);
enum apple_fact apple_fact_of_workout(struct apple_facts *facts,
                                      const struct apple_workout *workout, struct cm_arena *arena,
                                      struct imported_event *event_r, struct cm_str *reason_r);
