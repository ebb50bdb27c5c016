#pragma once
#include "base/arena.h"
#include "base/attr.h"
#include "codec/schema.h"
#include "event_store.h"
#include "main_health_api.h"
#include "people/person.h"
#include "sys/zones.h"

/*
 * From what a client says to a fact that can be stored: defaults, the zone and local day that hold,
 * and all that a schema cannot say. Pure: no clock, no store.
 */
/* Where the event and its data are in the document that the client sent. */
struct event_pointers {
        const char *event;
        const char *data;
};
extern const struct event_pointers event_at_top; /* "", "/event_data" */

struct event_rules {
        struct cm_zones *zones;
        const struct person *person;
        cm_time now;
        struct cm_arena *arena;
        const struct event_pointers *pointers;
        struct cm_faults *faults;
};

enum { EVENT_INVALID = 1 };

/* Facts may be told this much ahead of our clock, because clocks differ. */
#define FUTURE_TOLERANCE (5 * CM_MINUTE)
/* What is planned may lie this far ahead: appointments, planned treatments. */
#define PLAN_HORIZON (5 * 366 * CM_DAY)

/* 0 with *event_r ready to be appended as version 1, or EVENT_INVALID with faults. Text is in the
 * arena or in `in`. */
int event_rules_complete(const struct event_rules *rules, const struct health_event_input *in,
                         struct recorded_event *event_r) CM_MUST_CHECK;

/* The number of a subtype within its type, by name; 0 when there is none. And back (NULL). */
int16_t event_subtype_find(int16_t event_type, struct cm_str name);
const char *event_subtype_name(int16_t event_type, int16_t event_subtype);

/* The schema of the type's event_data. */
const struct cm_schema *event_data_schema(int16_t event_type);
