#pragma once
#include "base/attr.h"
#include "base/uuid.h"
#include "days/vitals_cache.h"
#include "import_source.h"
#include "people/person_store.h"
#include "store/pg.h"
#include "sys/loop.h"
#include "sys/work.h"

/*
 * The worker's import job: takes one waiting import after the other and works it through, batch by
 * batch. While a batch is being stored the next one is read on a worker thread. Whatever ends a
 * process, the import goes on behind the last batch that was stored.
 */
struct import_jobs;

struct import_jobs_config {
        struct cm_loop *loop;
        struct cm_pg *pg;
        struct cm_work_lane *lane; /* for reading; a thread is busy as long as a batch takes */
        struct person_store *persons;
        struct vitals_cache *vitals;
        const char *folder;
        struct cm_uuid folder_id;
        struct import_limits limits;
        void (*tidy)(void *arg); /* called every few minutes, in the job's fiber */
        void *arg;
};

/* Starts the job's fiber. -CM_E_OVERLOAD when there is none. */
int import_jobs_start(const struct import_jobs_config *config,
                      struct import_jobs **jobs_r) CM_MUST_CHECK;
/* There is something to do. Any fiber of the loop. */
void import_jobs_wake(struct import_jobs *jobs);
/* Ends after the batch that is under way; waits for it. In a fiber. */
void import_jobs_stop(struct import_jobs **jobs);
