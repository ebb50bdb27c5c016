#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/pg.h"

/*
 * Schema migrations, embedded in the daemon: NNNN_name.up.sql and NNNN_name.down.sql of the
 * service's migrations/ folder, made into this table by the build. Each runs in one transaction,
 * all under one advisory lock; the version and a digest of the text are recorded in the table
 * schema_migrations, which every role may read.
 */
struct cm_migration {
        int version;
        const char *name;
        const char *up;
        const char *down;
};

struct cm_migrations {
        const struct cm_migration *items; /* by version, from 1, without gaps */
        size_t count;
};

enum cm_schema_state {
        CM_SCHEMA_CURRENT = 1,
        CM_SCHEMA_BEHIND,  /* wait: readiness is false until somebody migrates */
        CM_SCHEMA_TOO_NEW, /* refuse to start */
        CM_SCHEMA_ALTERED, /* an applied migration's text differs: refuse */
};
const char *cm_schema_state_name(int state);

/* The commands. Blocking: not in a loop's thread. Each step is logged. */

/* Brings the schema up to the newest version. 0, CM_SCHEMA_TOO_NEW or CM_SCHEMA_ALTERED when it
 * touched nothing, or an error: what was applied before the step that failed stays. */
int cm_migrate_up(const char *conninfo, const struct cm_migrations *migrations) CM_MUST_CHECK;
/* Takes back the newest `steps` migrations, or as many as there are. Results as above. */
int cm_migrate_down(const char *conninfo, const struct cm_migrations *migrations,
                    int steps) CM_MUST_CHECK;
/* Prints version, name and when applied, to standard output. Returns a cm_schema_state or an error.
 */
int cm_migrate_status(const char *conninfo, const struct cm_migrations *migrations) CM_MUST_CHECK;

/* A cm_schema_state, or an error. For the daemon: suspends the fiber. */
int cm_migrate_check(struct cm_pg *pg, const struct cm_migrations *migrations) CM_MUST_CHECK;
