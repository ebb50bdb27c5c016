#pragma once
#include "codec/seal.h"
#include "http/request.h"
#include "schedule_rules.h"
#include "service/service.h"
#include "settings.h"
#include "sys/zones.h"

struct engine;

/* What a worker's handlers share. */
struct scheduler {
        const struct scheduler_settings *settings;
        struct cm_worker *worker;
        struct cm_pg *pg;
        struct cm_zones *zones;
        char tz_version[CM_ZONES_VERSION_SIZE];
        struct cm_seal_keys *seal;     /* addresses that people give */
        struct cm_seal_keys *contacts; /* those of accounts; NULL: none are known */
        struct engine *engine;         /* the first worker's; NULL in the others */
        int64_t look_at;               /* when the zones' files are looked at again; monotonic */
        bool swept;                    /* all schedules were computed with the present rules */
};

int scheduler_worker_start(struct cm_worker *worker) CM_MUST_CHECK;
void scheduler_worker_stop(struct cm_worker *worker);

/* Something may be due sooner than was known. Any fiber of the worker; other replicas hear of it
 * from the database. */
void scheduler_wake(struct scheduler *scheduler);

/* The zone of a schedule, with the hash of its rules. A name that is gone from the database gives
 * UTC, and a line in the log. */
const struct cm_zone *scheduler_zone(struct scheduler *scheduler, struct cm_str name,
                                     int64_t *hash_r);

/* Whether schedules may be there that were computed with other rules. */
bool scheduler_zones_changed(struct scheduler *scheduler);

/* A problem with its title and status from proto/errors.yaml. `detail` and `faults` may be absent.
 */
int scheduler_problem(struct cm_request *request, const char *code, struct cm_str detail,
                      const struct cm_faults *faults);

#define SCOPE_OF(user) (&(const struct cm_pg_scope){ .users = (user), .count = 1 })
