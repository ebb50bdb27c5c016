#include "accesses.h"
#include "base/mem.h"
#include "memory_service.h"

int memory_worker_start(struct cm_worker *worker)
{
        struct memory_service *service = CM_NEW(struct memory_service);
        struct person_indexes_config config = { .pg = worker->pg };
        int r;

        worker->object = service;
        service->worker = worker;
        service->settings = worker->settings;
        service->pg = worker->pg;
        service->bus = worker->bus;
        r = analyser_new(&service->analyser);
        if (r == 0)
                r = embedder_new(service->settings->embedding, &service->embedder);
        if (r == 0)
                r = vector_store_find(service->settings->vector_db_type, &config.vectors);
        if (r)
                return r;
        config.analyser = service->analyser;
        config.embedder = service->embedder;
        config.max_bytes = (size_t)service->settings->memory_index;
        config.short_term_life_us = service->settings->memory_short_term_life_us;
        service->indexes = person_indexes_new(&config);
        return accesses_start(worker->pg, &service->accesses);
}

void memory_worker_stop(struct cm_worker *worker)
{
        struct memory_service *service = worker->object;

        if (!service)
                return;
        accesses_stop(&service->accesses);
        person_indexes_free(&service->indexes);
        embedder_free(&service->embedder);
        analyser_free(&service->analyser);
        cm_free(service);
        worker->object = NULL;
}
