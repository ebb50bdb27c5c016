#pragma once
#include "memory_api.h"
#include "person_indexes.h"
#include "service/service.h"

/* What one worker of memory works with. */
struct memory_service {
        const struct memory_settings *settings;
        struct cm_worker *worker;
        struct cm_pg *pg;
        struct cm_redis *bus;
        struct analyser *analyser;
        struct embedder *embedder;
        struct person_indexes *indexes;
        struct accesses *accesses;
};

int memory_worker_start(struct cm_worker *worker);
void memory_worker_stop(struct cm_worker *worker);
