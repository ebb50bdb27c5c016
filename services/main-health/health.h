#pragma once
#include "days/vitals_cache.h"
#include "events/event_store.h"
#include "imports/imports.h"
#include "people/person_store.h"
#include "service/service.h"
#include "sys/zones.h"

/* What one worker of main-health works with. */
struct health {
        struct cm_zones *zones;
        struct event_store *events;
        struct person_store *persons;
        struct vitals_cache *vitals;
        struct cm_cache *cache;
        struct cm_pg *pg;
        struct imports *imports;
        struct cm_worker *worker;
};

int health_worker_start(struct cm_worker *worker);
void health_worker_stop(struct cm_worker *worker);
