#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/*
 * Schema migrations, embedded in the daemon: NNNN_name.up.sql and NNNN_name.down.sql of the
 * service's migrations/ folder, made into this table by the build. Each runs in one transaction,
 * all under one advisory lock; the version and a digest of the text are recorded. Blocking: run
 * before the loop.
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

/* Brings the schema up to the newest version. `log_line` gets a line for each step. */
int cm_migrate_up(const char *conninfo, const struct cm_migrations *migrations) CM_MUST_CHECK;
int cm_migrate_down(const char *conninfo, const struct cm_migrations *migrations,
                    int steps) CM_MUST_CHECK;
/* Prints version, name and when applied, to standard output. */
int cm_migrate_status(const char *conninfo, const struct cm_migrations *migrations) CM_MUST_CHECK;
/* A cm_schema_state, or an error. */
int cm_migrate_check(const char *conninfo, const struct cm_migrations *migrations) CM_MUST_CHECK;
