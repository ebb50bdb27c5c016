#include "health.h"

#include "base/mem.h"

int health_worker_start(struct cm_worker *worker)
{
        struct health *health = CM_NEW(struct health);
        int r;

        worker->object = health;
        health->worker = worker;
        health->pg = worker->pg;
        health->zones = cm_zones_new(NULL);
        health->persons = person_store_new(worker->pg);
        health->cache = worker->cache;
        health->vitals = vitals_cache_new(worker->cache);
        r = event_store_new(worker->pg, &health->events);
        return r ? r : imports_start(worker, health->persons, health->vitals, &health->imports);
}

void health_worker_stop(struct cm_worker *worker)
{
        struct health *health = worker->object;

        if (!health)
                return;
        imports_stop(&health->imports);
        event_store_free(&health->events);
        vitals_cache_free(&health->vitals);
        person_store_free(&health->persons);
        cm_zones_free(&health->zones);
        cm_free(health);
        worker->object = NULL;
}
