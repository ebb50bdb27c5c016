#pragma once
#include <stddef.h>

#include "base/str.h"
#include "base/time.h"
#include "base/uuid.h"

/*
 * What the record needs to know of the person whose it is: in which zone they were when. People
 * move and travel, and a fact counts for the day of the zone that held when it happened.
 */
struct person_zone {
        cm_time valid_from;
        struct cm_str name;
};

struct person {
        struct cm_uuid id;
        struct person_zone *zones; /* oldest first */
        size_t zone_count;
};

/* The zone that held at that time. Before the first known one, the first; "UTC" when none is known
 * (the account's event has not arrived yet). */
struct cm_str person_zone_at(const struct person *person, cm_time at);
